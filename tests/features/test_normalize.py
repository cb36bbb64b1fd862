import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.errors import UserError
from audioroto.features.normalize import MIN_STD, FrameStatistics, GlobalNormalization


def _batch(seed: int, frame_lengths: list[int], num_mels: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scale = torch.linspace(0.5, 4.0, num_mels)
    features = torch.randn(len(frame_lengths), max(frame_lengths), num_mels, generator=generator) * scale - 8.0
    return features, torch.tensor(frame_lengths)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=4), min_size=1, max_size=4), st.integers(0, 99))
def test_statistics_are_those_of_all_real_frames(batches, seed):
    statistics = FrameStatistics(6)
    real = []
    for frame_lengths in [*batches, [2]]:
        features, lengths = _batch(seed, frame_lengths)
        statistics.accumulate(features, lengths)
        real += [row[:length] for row, length in zip(features, frame_lengths, strict=True)]
    frames = torch.cat(real).double()
    assert statistics.num_frames == len(frames)
    torch.testing.assert_close(statistics.mean, frames.mean(dim=0))
    torch.testing.assert_close(statistics.std, frames.std(dim=0, correction=0).clamp_min(MIN_STD), rtol=1e-6, atol=1e-6)


def test_the_training_set_comes_out_with_mean_zero_and_deviation_one():
    features, lengths = _batch(0, [300, 200])
    statistics = FrameStatistics(6)
    statistics.accumulate(features, lengths)
    normalization = GlobalNormalization(6)
    normalization.set_statistics(statistics)
    normalized = normalization(features, lengths)
    frames = torch.cat([normalized[0], normalized[1, :200]])
    torch.testing.assert_close(frames.mean(dim=0), torch.zeros(6), rtol=0, atol=1e-5)
    torch.testing.assert_close(frames.std(dim=0, correction=0), torch.ones(6), rtol=0, atol=1e-5)
    assert not normalized[1, 200:].any()


def test_a_bin_that_never_changes_does_not_divide_by_zero():
    statistics = FrameStatistics(3)
    statistics.accumulate(torch.full((2, 50, 3), -15.942385), torch.tensor([50, 50]))
    normalization = GlobalNormalization(3)
    normalization.set_statistics(statistics)
    normalized = normalization(torch.full((1, 4, 3), -15.0), torch.tensor([4]))
    assert normalized.abs().max() < 1.0 / MIN_STD


def test_statistics_of_nothing_are_refused():
    statistics = FrameStatistics(6)
    statistics.accumulate(torch.zeros(2, 5, 6), torch.tensor([0, 0]))
    with pytest.raises(UserError, match="no frame"):
        _ = statistics.mean
    with pytest.raises(UserError, match="no frame"):
        GlobalNormalization(6).set_statistics(statistics)


def test_statistics_travel_with_the_weights():
    features, lengths = _batch(0, [30])
    statistics = FrameStatistics(6)
    statistics.accumulate(features, lengths)
    normalization, copy = GlobalNormalization(6), GlobalNormalization(6)
    normalization.set_statistics(statistics)
    copy.load_state_dict(normalization.state_dict())
    assert torch.equal(copy(features, lengths), normalization(features, lengths))
    assert not torch.equal(copy(features, lengths), GlobalNormalization(6)(features, lengths))
