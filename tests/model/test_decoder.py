import pytest
import torch
from torch import Tensor
from torch.nn import functional

from audioroto.model.decoder import Decoder, Memory, Past
from audioroto.nn.sinusoid import NUM_POSITIONS
from audioroto.text.tokenizer import END_ID

VOCAB = 7


@pytest.fixture
def decoder() -> Decoder:
    torch.manual_seed(0)
    return Decoder(VOCAB, width=16, num_blocks=2, num_heads=2, feedforward_width=32, dropout=0.2).eval()


def make_batch(num_hypotheses: int, num_tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    frames = torch.randn(3, 9, 16, generator=generator)
    tokens = torch.randint(3, VOCAB, (3, num_hypotheses, num_tokens), generator=generator)
    return frames, torch.tensor([9, 6, 1]), tokens


def say(decoder: Decoder, memory: Memory, tokens: Tensor) -> tuple[Tensor, Past | None]:
    """Step by step: log-probabilities (B, N, U, V), and the past after the last step."""
    past, parts = None, []
    for last in tokens.unbind(dim=2):
        log_probs, past = decoder.step(last, memory, past)
        parts.append(log_probs)
    return torch.stack(parts, dim=2), past


def test_step_by_step_equals_all_at_once(decoder):
    frames, lengths, tokens = make_batch(4, 6)
    memory = decoder.listen(frames, lengths)
    log_probs, _ = say(decoder, memory, tokens)
    assert (log_probs - decoder(tokens, memory)).abs().max() < 1e-5


def test_it_steps_beyond_the_table_of_positions(decoder):
    frames, lengths, tokens = make_batch(1, NUM_POSITIONS + 3)
    memory = decoder.listen(frames, lengths)
    log_probs, _ = say(decoder, memory, tokens)
    assert (log_probs - decoder(tokens, memory)).abs().max() < 1e-5


def test_a_past_is_not_changed_by_its_use(decoder):
    frames, lengths, tokens = make_batch(2, 4)
    memory = decoder.listen(frames, lengths)
    _, past = say(decoder, memory, tokens[..., :3])
    first, _ = decoder.step(tokens[..., 3], memory, past)
    past.choose(torch.tensor([[1, 1]] * 3))
    decoder.step(tokens[..., 0], memory, past)
    again, _ = decoder.step(tokens[..., 3], memory, past)
    assert torch.equal(first, again)


def test_chosen_hypotheses_go_on_from_their_own_past(decoder):
    frames, lengths, tokens = make_batch(3, 5)
    memory = decoder.listen(frames, lengths)
    parents = torch.tensor([[2, 2, 0], [1, 0, 2], [0, 0, 0]])
    chosen = tokens[torch.arange(3)[:, None], parents]
    _, past = say(decoder, memory, tokens[..., :4])
    last, _ = decoder.step(chosen[..., 4], memory, past.choose(parents))
    assert (last - decoder(chosen, memory)[:, :, 4]).abs().max() < 1e-5


def test_some_utterances_go_on_without_the_others(decoder):
    frames, lengths, tokens = make_batch(3, 5)
    memory = decoder.listen(frames, lengths)
    kept = torch.tensor([0, 2])
    parents = torch.tensor([[2, 2, 0], [1, 0, 2]])
    chosen = tokens[kept[:, None], parents]
    _, past = say(decoder, memory, tokens[..., :4])
    last, _ = decoder.step(chosen[..., 4], memory.select(kept), past.choose(parents, kept))
    assert (last - decoder(tokens, memory)[kept[:, None], parents][:, :, 4]).abs().max() < 1e-5


def test_a_beam_that_parts_and_meets_again_equals_all_at_once(decoder):
    frames, lengths, tokens = make_batch(5, 12)
    memory = decoder.listen(frames, lengths)
    generator = torch.Generator().manual_seed(2)
    said, past = tokens[..., :0], None
    for last in tokens.unbind(dim=2):
        said = torch.cat([said, last[..., None]], dim=2)
        log_probs, past = decoder.step(last, memory, past)
        assert (log_probs - decoder(said, memory)[:, :, -1]).abs().max() < 1e-5
        parents = torch.randint(5, (3, 5), generator=generator)
        said, past = said[torch.arange(3)[:, None], parents], past.choose(parents)


def test_what_hypotheses_have_in_common_is_held_once(decoder):
    frames, lengths, tokens = make_batch(4, 6)
    _, past = say(decoder, decoder.listen(frames, lengths), tokens)
    assert past.said.shape[2] == 4 * 6
    assert past.choose(torch.tensor([[1, 1, 1, 1], [0, 3, 0, 0], [2, 2, 2, 2]])).said.shape[2] == 2 * 6
    assert past.choose(torch.tensor([[2, 2, 2, 2]]), torch.tensor([1])).said.all()


def test_hypotheses_and_utterances_do_not_hear_each_other(decoder):
    frames, lengths, tokens = make_batch(3, 4)
    together = decoder(tokens, decoder.listen(frames, lengths))
    for row, length in enumerate(lengths.tolist()):
        memory = decoder.listen(frames[row : row + 1, :length], lengths[row : row + 1])
        for number in range(3):
            alone = decoder(tokens[row, number][None, None], memory)
            assert (alone[0, 0] - together[row, number]).abs().max() < 1e-5


def test_what_comes_later_is_not_known(decoder):
    frames, lengths, tokens = make_batch(1, 5)
    memory = decoder.listen(frames, lengths)
    before = decoder(tokens, memory)
    tokens[..., 3] = (tokens[..., 3] + 1) % VOCAB
    after = decoder(tokens, memory)
    assert torch.equal(before[:, :, :3], after[:, :, :3])
    assert not torch.allclose(before[:, :, 3:], after[:, :, 3:])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_sum_over_tokens_and_ends(decoder, smoothing):
    frames, lengths, tokens = make_batch(1, 4)
    tokens, token_lengths = tokens[:, 0], torch.tensor([4, 0, 2])
    together = decoder.loss(frames, lengths, tokens, token_lengths, smoothing)
    alone = 0.0
    for row, length in enumerate(token_lengths.tolist()):
        said = torch.tensor([END_ID, *tokens[row, :length]])
        memory = decoder.listen(frames[row : row + 1], lengths[row : row + 1])
        log_probs = decoder(said[None, None], memory)
        targets = torch.tensor([*tokens[row, :length], END_ID])
        alone += functional.cross_entropy(log_probs[0, 0], targets, label_smoothing=smoothing, reduction="sum")
    torch.testing.assert_close(together, alone)


def test_an_utterance_without_frames_has_a_finite_gradient(decoder):
    frames, _, tokens = make_batch(1, 2)
    lengths = torch.tensor([9, 0, 3])
    decoder.loss(frames, lengths, tokens[:, 0], torch.tensor([2, 1, 2])).backward()
    assert all(p.grad.isfinite().all() for p in decoder.parameters())
