import itertools

import numpy as np
import torch

from audioroto.model.ctc import CtcHead, consistency_loss, ctc_loss


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    merged = [token for token, _ in itertools.groupby(path)]
    return tuple(token for token in merged if token != 0)


def test_loss_is_the_sum_over_all_alignments():
    log_probs = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(1)).log_softmax(-1)
    for tokens in [(1,), (1, 2), (2, 2), (1, 2, 1)]:
        total = sum(
            np.exp(sum(log_probs[0, frame, token].item() for frame, token in enumerate(path)))
            for path in itertools.product(range(3), repeat=4)
            if collapse(path) == tokens
        )
        loss = ctc_loss(log_probs, torch.tensor([4]), torch.tensor([tokens]), torch.tensor([len(tokens)]))
        assert abs(loss.item() + np.log(total)) < 1e-5


def test_an_utterance_too_short_for_its_labels_has_no_loss_and_no_gradient():
    log_probs = torch.randn(1, 2, 3).log_softmax(-1).requires_grad_()
    loss = ctc_loss(log_probs, torch.tensor([2]), torch.tensor([[1, 1, 2]]), torch.tensor([3]))
    loss.backward()
    assert loss.item() == 0
    assert log_probs.grad.abs().sum() == 0


def test_head_gives_float32_log_probabilities_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        log_probs = CtcHead(8, 5)(torch.randn(2, 3, 8))
    assert log_probs.dtype == torch.float32
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(2, 3))


def test_consistency_is_the_divergence_both_ways_over_real_frames():
    log_probs = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(2)).log_softmax(-1).requires_grad_()
    loss = consistency_loss(log_probs, torch.tensor([5, 2, 5, 2]))
    loss.backward()
    expected = torch.zeros(())
    for row, length in enumerate([5, 2]):
        one, other = log_probs[row, :length], log_probs[row + 2, :length]
        expected = expected + (one.exp() * (one - other) + other.exp() * (other - one)).sum() / 2
    torch.testing.assert_close(loss, expected)
    # Each view learns from the other as from a fixed target: cross-entropy's gradient, and none into the target.
    torch.testing.assert_close(log_probs.grad[:2], -log_probs[2:].exp().detach().where(pad(5, [5, 2]), 0.0) / 2)
    assert not log_probs.grad[1, 2:].any()


def pad(num_frames: int, lengths: list[int]) -> torch.Tensor:
    return (torch.arange(num_frames) < torch.tensor(lengths)[:, None])[:, :, None]


def test_views_that_agree_cost_nothing():
    log_probs = torch.randn(2, 4, 3).log_softmax(-1).repeat(2, 1, 1).requires_grad_()
    assert consistency_loss(log_probs, torch.full((4,), 4)).item() == 0
