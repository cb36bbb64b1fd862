import itertools

import pytest
import torch
from torch import Tensor

from audioroto.model.decoder import Decoder, Memory, Past
from audioroto.search.attention_beam import MOST_REPEATS, attention_beam
from audioroto.text.tokenizer import END_ID

VOCAB = 6
TOKENS = (1, 3, 4, 5)  # what may be said: no blank, no end


def make_decoder(seed: int) -> Decoder:
    """A decoder with strong opinions."""
    torch.manual_seed(seed)
    decoder = Decoder(VOCAB, width=16, num_blocks=2, num_heads=2, feedforward_width=32, dropout=0.1).eval()
    with torch.no_grad():
        decoder.project.weight *= 6
    return decoder


def make_frames(lengths: list[int], seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(len(lengths), max(lengths), 16, generator=generator), torch.tensor(lengths)


def score_alone(decoder: Decoder, frames: Tensor, tokens: tuple[int, ...]) -> float:
    row = torch.tensor([[tokens]], dtype=torch.int64).view(1, 1, -1)
    with torch.no_grad():
        return decoder.score(frames[None], torch.tensor([len(frames)]), row, torch.tensor([[len(tokens)]])).item()


def decode_greedily(decoder: Decoder, frames: Tensor) -> tuple[int, ...]:
    """The most probable token, again and again, all tokens anew at each step."""
    tokens: list[int] = []
    memory = decoder.listen(frames[None], torch.tensor([len(frames)]))
    while len(tokens) < len(frames):
        log_probs = decoder(torch.tensor([[[END_ID, *tokens]]]), memory)
        log_probs[..., 0] = -torch.inf
        token = int(log_probs[0, 0, -1].argmax())
        if token == END_ID:
            break
        tokens.append(token)
    return tuple(tokens)


class Bigrams:
    """Stands in for a decoder: the next token depends on the last one alone."""

    def __init__(self, log_probs: Tensor) -> None:
        self.log_probs = log_probs  # (V, V)

    def listen(self, frames: Tensor, lengths: Tensor) -> Memory:
        return Memory((), lengths)

    def step(self, tokens: Tensor, memory: Memory, past: Past | None) -> tuple[Tensor, Past]:
        return self.log_probs[tokens], Past((), torch.ones_like(tokens[..., None], dtype=torch.bool), 0)


@pytest.mark.parametrize("seed", range(8))
def test_a_beam_of_one_is_greedy(seed):
    decoder = make_decoder(seed)
    frames, lengths = make_frames([7, 5, 6], seed)
    found = attention_beam(decoder, frames, lengths, beam_size=1)
    for row, length in enumerate(lengths.tolist()):
        assert found[row][0].tokens == decode_greedily(decoder, frames[row, :length])


@pytest.mark.parametrize("length_bonus", [-0.5, 0.0, 0.8])
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_the_best_of_all_sequences(seed, length_bonus):
    decoder = make_decoder(seed)
    frames, lengths = make_frames([4, 2], seed)
    found = attention_beam(decoder, frames, lengths, beam_size=400, length_bonus=length_bonus)
    for row, length in enumerate(lengths.tolist()):
        sequences = [s for number in range(length + 1) for s in itertools.product(TOKENS, repeat=number)]
        scores = {s: score_alone(decoder, frames[row, :length], s) + length_bonus * len(s) for s in sequences}
        assert found[row][0].tokens == max(scores, key=scores.__getitem__)
        assert len({h.tokens for h in found[row]}) == len(found[row])
        assert [h.score for h in found[row]] == sorted((h.score for h in found[row]), reverse=True)
        for hypothesis in found[row]:
            assert hypothesis.score == pytest.approx(scores[hypothesis.tokens], abs=1e-4)


def test_a_batch_gives_what_each_gives_alone():
    decoder = make_decoder(3)
    frames, lengths = make_frames([12, 5, 1, 9], 3)
    together = attention_beam(decoder, frames, lengths, beam_size=4, length_bonus=0.3)
    for row, length in enumerate(lengths.tolist()):
        alone = attention_beam(
            decoder, frames[row : row + 1, :length], lengths[row : row + 1], beam_size=4, length_bonus=0.3
        )[0]
        assert [h.tokens for h in together[row]] == [h.tokens for h in alone]
        assert [h.score for h in together[row]] == pytest.approx([h.score for h in alone], abs=1e-4)


def test_no_frames_no_tokens():
    frames, _ = make_frames([5, 5])
    found = attention_beam(make_decoder(0), frames, torch.tensor([5, 0]), beam_size=3)
    assert [h.tokens for h in found[1]] == [()]


def test_there_are_at_most_as_many_tokens_as_frames():
    decoder = make_decoder(0)
    with torch.no_grad():
        decoder.project.bias[END_ID] = -100.0
    frames, lengths = make_frames([6, 3])
    for beam_size in (1, 4):
        found = attention_beam(decoder, frames, lengths, beam_size=beam_size, length_bonus=5.0)
        assert [len(row[0].tokens) for row in found] == [6, 3]
        assert all(0 not in h.tokens and END_ID not in h.tokens for row in found for h in row)


@pytest.mark.parametrize("pattern", [(3,), (3, 4), (3, 1, 4, 5)])
def test_a_decoder_in_a_loop_is_stopped(pattern):
    logits = torch.zeros(VOCAB, VOCAB)
    logits[:, END_ID] = -30.0  # nearly never ends
    logits[END_ID, pattern[0]] = 20.0
    for left, right in itertools.pairwise((*pattern, pattern[0])):
        logits[left, right] = 20.0
    frames, lengths = make_frames([500])
    decoder = Bigrams(logits.log_softmax(-1))
    assert attention_beam(decoder, frames, lengths, beam_size=1)[0][0].tokens == pattern * (MOST_REPEATS + 1)
    # A wider beam has somewhere else to go; nowhere does it go round for ever.
    assert all(len(h.tokens) < 100 for h in attention_beam(decoder, frames, lengths, beam_size=5)[0])


def test_what_is_said_often_but_not_endlessly_is_kept():
    said = (3,) * MOST_REPEATS

    class Counting(Bigrams):
        num_steps = 0

        def step(self, tokens: Tensor, memory: Memory, past: Past | None) -> tuple[Tensor, Past]:
            logits, past = super().step(tokens, memory, past)
            logits[..., END_ID] = 9.0 if self.num_steps == len(said) else -9.0
            self.num_steps += 1
            return logits.log_softmax(-1), past

    always_3 = torch.full((VOCAB, VOCAB), -9.0)
    always_3[:, 3] = 0.0
    frames, lengths = make_frames([50])
    assert attention_beam(Counting(always_3), frames, lengths, beam_size=3)[0][0].tokens == said
