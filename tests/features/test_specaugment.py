from itertools import groupby

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.features.specaugment import spec_augment

BINS = 24


def _augment(features: torch.Tensor, lengths: list[int], seeds: list[int], **changes: object) -> torch.Tensor:
    options = {
        "num_frequency_masks": 2,
        "frequency_mask_bins": 7,
        "num_time_masks": [2] * len(seeds),
        "time_mask_share": 0.1,
    }
    return spec_augment(features, torch.tensor(lengths), seeds, **(options | changes))


def _longest_run(hidden: torch.Tensor) -> int:
    return max((len(list(run)) for value, run in groupby(hidden.tolist()) if value), default=0)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 2**63), st.integers(0, 5)), min_size=1, max_size=5),
    st.floats(0.0, 1.0),
)
def test_company_in_the_batch_changes_nothing(utterances, share):
    lengths, seeds, num_time_masks = (list(column) for column in zip(*utterances, strict=True))
    features = torch.randn(len(seeds), 100, BINS)
    batch = _augment(features, lengths, seeds, num_time_masks=num_time_masks, time_mask_share=share)
    for row, (length, seed, num_masks) in enumerate(utterances):
        alone = _augment(
            features[row : row + 1, :length], [length], [seed], num_time_masks=[num_masks], time_mask_share=share
        )
        assert torch.equal(batch[row, :length], alone[0])
        assert torch.equal(batch[row, length:], features[row, length:])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 200), st.floats(0.0, 0.5), st.integers(0, 2 * BINS))
def test_no_mask_is_wider_than_its_bound(seed, length, share, bins):
    features = torch.ones(1, length, BINS)
    one = {"num_frequency_masks": 0, "num_time_masks": [1], "time_mask_share": share}
    hidden_frames = (_augment(features, [length], [seed], **one) == 0).all(dim=2)[0]
    assert hidden_frames.sum() == _longest_run(hidden_frames) <= share * length
    one = {"num_frequency_masks": 1, "num_time_masks": [0], "frequency_mask_bins": bins}
    hidden_bins = (_augment(features, [length], [seed], **one) == 0).all(dim=1)[0]
    assert hidden_bins.sum() == _longest_run(hidden_bins) <= min(bins, BINS)


def test_masks_reach_every_place_and_width():
    seeds = list(range(400))
    hidden = (
        _augment(torch.ones(400, 50, BINS), [50] * 400, seeds, num_frequency_masks=1, num_time_masks=[1] * 400) == 0
    )
    hidden_frames, hidden_bins = hidden.all(dim=2), hidden.all(dim=1)
    assert hidden_frames.any(dim=0).all()
    assert hidden_bins.any(dim=0).all()
    assert set(hidden_frames.sum(dim=1).tolist()) == set(range(6))
    assert set(hidden_bins.sum(dim=1).tolist()) == set(range(8))


def test_the_same_seed_the_same_masks_another_seed_others():
    features = torch.randn(1, 100, BINS)
    assert torch.equal(_augment(features, [100], [7]), _augment(features, [100], [7]))
    assert not torch.equal(_augment(features, [100], [7]), _augment(features, [100], [8]))


def test_without_masks_nothing_changes():
    features = torch.randn(2, 60, BINS)
    augmented = _augment(features, [60, 31], [1, 2], num_frequency_masks=0, num_time_masks=[0, 0])
    assert torch.equal(augmented, features)


def test_gradients_pass_where_nothing_is_hidden():
    features = torch.randn(2, 60, BINS, requires_grad=True)
    augmented = _augment(features, [60, 31], [1, 2])
    augmented.sum().backward()
    assert torch.equal(features.grad, (augmented != 0).float())
    assert 0 < features.grad.sum() < features.numel()


def test_a_seed_for_every_utterance():
    with pytest.raises(ValueError, match="longer"):
        _augment(torch.ones(2, 10, BINS), [10, 10], [1])
