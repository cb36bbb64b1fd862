import pytest
import torch
from torch import Tensor
from torch.nn import functional

from audioroto.model.decoder import Decoder, choose_hypotheses
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


@pytest.mark.parametrize("steps", [[1] * 6, [2, 4], [3, 1, 2]])
def test_step_by_step_equals_all_at_once(decoder, steps):
    frames, lengths, tokens = make_batch(4, sum(steps))
    memory = decoder.listen(frames, lengths)
    whole, _ = decoder(tokens, memory)
    past, parts = None, []
    for part in tokens.split(steps, dim=2):
        log_probs, past = decoder(part, memory, past)
        parts.append(log_probs)
    assert (torch.cat(parts, dim=2) - whole).abs().max() < 1e-5


def test_it_steps_beyond_the_table_of_positions(decoder):
    frames, lengths, tokens = make_batch(1, NUM_POSITIONS + 3)
    memory = decoder.listen(frames, lengths)
    whole, _ = decoder(tokens, memory)
    _, past = decoder(tokens[..., : NUM_POSITIONS - 1], memory)
    rest, _ = decoder(tokens[..., NUM_POSITIONS - 1 :], memory, past)
    assert (rest - whole[:, :, NUM_POSITIONS - 1 :]).abs().max() < 1e-5


def test_a_cache_is_not_changed_by_its_use(decoder):
    frames, lengths, tokens = make_batch(2, 4)
    memory = decoder.listen(frames, lengths)
    _, past = decoder(tokens[..., :3], memory)
    first, _ = decoder(tokens[..., 3:], memory, past)
    decoder(tokens[..., :1], memory, past)
    again, _ = decoder(tokens[..., 3:], memory, past)
    assert torch.equal(first, again)


def test_chosen_hypotheses_go_on_from_their_own_past(decoder):
    frames, lengths, tokens = make_batch(3, 5)
    memory = decoder.listen(frames, lengths)
    parents = torch.tensor([[2, 2, 0], [1, 0, 2], [0, 0, 0]])
    chosen = tokens[torch.arange(3)[:, None], parents]
    whole, _ = decoder(chosen, memory)
    _, past = decoder(tokens[..., :4], memory)
    last, _ = decoder(chosen[..., 4:], memory, choose_hypotheses(past, parents))
    assert (last - whole[:, :, 4:]).abs().max() < 1e-5


def test_some_utterances_go_on_without_the_others(decoder):
    frames, lengths, tokens = make_batch(3, 5)
    memory = decoder.listen(frames, lengths)
    kept = torch.tensor([0, 2])
    parents = torch.tensor([[2, 2, 0], [1, 0, 2]])
    chosen = tokens[kept[:, None], parents]
    whole, _ = decoder(tokens, memory)
    _, past = decoder(tokens[..., :4], memory)
    last, _ = decoder(chosen[..., 4:], memory.select(kept), choose_hypotheses(past, parents, kept))
    assert (last - whole[kept[:, None], parents][:, :, 4:]).abs().max() < 1e-5


def test_hypotheses_and_utterances_do_not_hear_each_other(decoder):
    frames, lengths, tokens = make_batch(3, 4)
    together, _ = decoder(tokens, decoder.listen(frames, lengths))
    for row, length in enumerate(lengths.tolist()):
        memory = decoder.listen(frames[row : row + 1, :length], lengths[row : row + 1])
        for number in range(3):
            alone, _ = decoder(tokens[row, number][None, None], memory)
            assert (alone[0, 0] - together[row, number]).abs().max() < 1e-5


def test_what_comes_later_is_not_known(decoder):
    frames, lengths, tokens = make_batch(1, 5)
    memory = decoder.listen(frames, lengths)
    before, _ = decoder(tokens, memory)
    tokens[..., 3] = (tokens[..., 3] + 1) % VOCAB
    after, _ = decoder(tokens, memory)
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
        log_probs, _ = decoder(said[None, None], memory)
        targets = torch.tensor([*tokens[row, :length], END_ID])
        alone += functional.cross_entropy(log_probs[0, 0], targets, label_smoothing=smoothing, reduction="sum")
    torch.testing.assert_close(together, alone)


def test_an_utterance_without_frames_has_a_finite_gradient(decoder):
    frames, _, tokens = make_batch(1, 2)
    lengths = torch.tensor([9, 0, 3])
    decoder.loss(frames, lengths, tokens[:, 0], torch.tensor([2, 1, 2])).backward()
    assert all(p.grad.isfinite().all() for p in decoder.parameters())
