import itertools

import pytest
import torch
from torch import Tensor

from audioroto.model.ctc import ctc_loss
from audioroto.model.decoder import Decoder, Memory, Past
from audioroto.search.attention_beam import MOST_REPEATS, attention_beam
from audioroto.search.joint import joint_beam
from audioroto.text.tokenizer import END_ID

VOCAB = 6
TOKENS = (1, 3, 4, 5)


def make_inputs(lengths: list[int], seed: int) -> tuple[Decoder, Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    decoder = Decoder(VOCAB, width=16, num_blocks=1, num_heads=2, feedforward_width=32, dropout=0.1).eval()
    with torch.no_grad():
        decoder.project.weight *= 6
    frames = 2 * torch.randn(len(lengths), max(lengths), 16)
    log_probs = (2 * torch.randn(len(lengths), max(lengths), VOCAB)).log_softmax(-1)
    return decoder, frames, torch.tensor(lengths), log_probs


def score_alone(
    decoder: Decoder, frames: Tensor, log_probs: Tensor, tokens: tuple[int, ...], ctc_weight: float
) -> float:
    """The weighted sum from the two losses: nothing of the search is used."""
    row, length = torch.tensor(tokens, dtype=torch.int64)[None], torch.tensor([len(frames)])
    number = torch.tensor([len(tokens)])
    with torch.no_grad():
        decoded = -decoder.loss(frames[None], length, row, number).item()
    heard = -ctc_loss(log_probs[None].double(), length, row, number).item()
    if heard == 0.0:
        return -float("inf")  # the frames are too few for these tokens
    return (1 - ctc_weight) * decoded + ctc_weight * heard


@pytest.mark.parametrize("ctc_weight", [0.3, 0.8, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_the_best_of_all_sequences(seed, ctc_weight):
    decoder, frames, lengths, log_probs = make_inputs([4, 2], seed)
    found = joint_beam(decoder, frames, lengths, log_probs, beam_size=400, ctc_weight=ctc_weight, length_bonus=0.4)
    for row, length in enumerate(lengths.tolist()):
        sequences = [s for number in range(length + 1) for s in itertools.product(TOKENS, repeat=number)]
        scores = {
            s: score_alone(decoder, frames[row, :length], log_probs[row, :length], s, ctc_weight) + 0.4 * len(s)
            for s in sequences
        }
        assert found[row][0].tokens == max(scores, key=scores.__getitem__)
        for hypothesis in found[row]:
            assert hypothesis.score == pytest.approx(scores[hypothesis.tokens], abs=1e-4)


def test_without_ctc_it_is_the_attention_beam():
    decoder, frames, lengths, log_probs = make_inputs([8, 5], 0)
    joint = joint_beam(decoder, frames, lengths, log_probs, beam_size=3, ctc_weight=0.0)
    assert joint == attention_beam(decoder, frames, lengths, beam_size=3)


def test_ctc_brings_a_wandering_decoder_back():
    """CTC is sure of 3, 4, 3; the decoder, untrained, of something else."""
    decoder, frames, lengths, log_probs = make_inputs([9], 1)
    path = torch.tensor([3, 0, 0, 4, 4, 0, 3, 3, 0])
    log_probs = (30.0 * torch.nn.functional.one_hot(path, VOCAB)).log_softmax(-1)[None]
    assert attention_beam(decoder, frames, lengths, beam_size=4)[0][0].tokens != (3, 4, 3)
    assert joint_beam(decoder, frames, lengths, log_probs, beam_size=4, ctc_weight=0.9)[0][0].tokens == (3, 4, 3)


def test_a_batch_gives_what_each_gives_alone():
    decoder, frames, lengths, log_probs = make_inputs([12, 5, 1, 9], 2)
    together = joint_beam(decoder, frames, lengths, log_probs, beam_size=4)
    for row, length in enumerate(lengths.tolist()):
        one = slice(row, row + 1)
        alone = joint_beam(decoder, frames[one, :length], lengths[one], log_probs[one, :length], beam_size=4)[0]
        assert [h.tokens for h in together[row]] == [h.tokens for h in alone]
        assert [h.score for h in together[row]] == pytest.approx([h.score for h in alone], abs=1e-4)


def test_no_frames_no_tokens():
    decoder, frames, _, log_probs = make_inputs([5, 5], 0)
    found = joint_beam(decoder, frames, torch.tensor([5, 0]), log_probs, beam_size=3)
    assert [h.tokens for h in found[1]] == [()]


class Looping:
    """Stands in for a decoder: 3 and 4 in turn, for ever."""

    def listen(self, frames: Tensor, lengths: Tensor) -> Memory:
        return Memory((), lengths)

    def step(self, tokens: Tensor, memory: Memory, past: Past | None) -> tuple[Tensor, Past]:
        logits = torch.zeros(*tokens.shape, VOCAB)
        logits[..., END_ID] = -30.0
        logits[..., 4] = torch.where(tokens == 3, 20.0, 0.0)
        logits[..., 3] = torch.where(tokens == 3, 0.0, 20.0)
        return logits.log_softmax(-1), Past((), torch.ones_like(tokens[..., None], dtype=torch.bool), 0)


@pytest.mark.parametrize("beam_size", [1, 5])
def test_a_decoder_in_a_loop_is_stopped(beam_size):
    """CTC, which has no opinion, does not hold it back."""
    log_probs = torch.zeros(1, 500, VOCAB).log_softmax(-1)
    frames, lengths = torch.zeros(1, 500, 16), torch.tensor([500])
    best = joint_beam(Looping(), frames, lengths, log_probs, beam_size=beam_size, ctc_weight=0.1)[0][0]
    if beam_size == 1:
        assert best.tokens == (3, 4) * (MOST_REPEATS + 1)
    # A wider beam has somewhere else to go; nowhere does it go round for ever.
    assert len(best.tokens) <= 100


@pytest.mark.parametrize("ctc_weight", [0.0, 0.3, 1.0])
def test_there_are_at_most_the_tokens_that_the_frames_allow(ctc_weight):
    """However much the decoder wants more, and is paid for it; with CTC, a token that repeats needs a frame between."""
    decoder, frames, lengths, log_probs = make_inputs([9, 4], 0)
    with torch.no_grad():
        decoder.project.bias[END_ID] = -100.0
    for beam_size in (1, 4):
        found = joint_beam(
            decoder, frames, lengths, log_probs, beam_size=beam_size, ctc_weight=ctc_weight, length_bonus=50.0
        )
        for row, length in zip(found, lengths.tolist(), strict=True):
            for hypothesis in row:
                num_between = sum(left == right for left, right in itertools.pairwise(hypothesis.tokens))
                assert len(hypothesis.tokens) + (num_between if ctc_weight else 0) <= length
            assert len(row[0].tokens) > length / 2
