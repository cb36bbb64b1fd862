import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from audioroto.nn.subsampling import Subsampling, subsampled_lengths


@pytest.mark.parametrize("factor", [4, 8])
@settings(deadline=None, max_examples=15)
@given(lengths=st.lists(st.integers(1, 70), min_size=1, max_size=4))
def test_lengths_and_frames_are_those_of_each_utterance_alone(factor, lengths):
    torch.manual_seed(0)
    subsampling = Subsampling(num_mels=20, width=16, channels=4, factor=factor)
    features = torch.zeros(len(lengths), max(lengths), 20)
    for row, length in zip(features, lengths, strict=True):
        row[:length] = torch.randn(length, 20)
    frames, packing = subsampling(features, torch.tensor(lengths))
    own_lengths = subsampled_lengths(torch.tensor(lengths), factor).tolist()
    assert packing.lengths.tolist() == own_lengths
    for index, (length, together) in enumerate(zip(lengths, frames.split(own_lengths), strict=True)):
        alone, alone_packing = subsampling(features[index : index + 1, :length], torch.tensor([length]))
        assert len(alone) == alone_packing.num_frames == own_lengths[index]
        torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("factor", [4, 8])
@pytest.mark.parametrize("length", [1, 7, 8, 9, 15, 16, 17, 31, 33])
def test_one_long_image_equals_convolutions_with_zeros_at_their_ends(factor, length):
    torch.manual_seed(0)
    subsampling, features = Subsampling(20, 16, 4, factor), torch.randn(length, 20)
    maps = functional.silu(subsampling.first(features[None, None]))
    for depthwise, pointwise in zip(subsampling.depthwise, subsampling.pointwise, strict=True):
        maps = functional.silu(pointwise(depthwise(maps).transpose(1, 3))).transpose(1, 3)
    plain = subsampling.norm(subsampling.project(maps[0].permute(1, 2, 0).flatten(1)))
    batch = torch.stack((features, torch.randn(length, 20)))
    frames, _ = subsampling(batch, torch.tensor([length, length]))
    torch.testing.assert_close(frames[: len(plain)], plain, rtol=0, atol=1e-5)
