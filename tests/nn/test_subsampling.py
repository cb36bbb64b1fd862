import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

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
    frames, frame_lengths = subsampling(features, torch.tensor(lengths))
    assert frame_lengths.tolist() == subsampled_lengths(torch.tensor(lengths), factor).tolist()
    for index, length in enumerate(lengths):
        alone, alone_lengths = subsampling(features[index : index + 1, :length], torch.tensor([length]))
        assert alone.shape[1] == alone_lengths.item() == frame_lengths[index].item()
        torch.testing.assert_close(frames[index, : alone.shape[1]], alone[0], rtol=0, atol=1e-5)
