import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.model.encoder import Encoder


@settings(max_examples=20)
@given(
    lengths=st.lists(st.integers(1, 90), min_size=2, max_size=4),
    subsampling=st.sampled_from([4, 8]),
    num_blocks=st.integers(1, 3),
    kernel_size=st.sampled_from([1, 3, 15]),
    seed=st.integers(0, 100),
)
def test_an_utterance_alone_gives_what_it_gives_padded(lengths, subsampling, num_blocks, kernel_size, seed):
    torch.manual_seed(seed)
    encoder = Encoder(
        num_mels=20,
        width=32,
        num_blocks=num_blocks,
        num_heads=2,
        feedforward_width=48,
        kernel_size=kernel_size,
        dropout=0.1,
        subsampling=subsampling,
        subsampling_channels=4,
    ).eval()
    features = torch.zeros(len(lengths), max(lengths), 20)
    for row, length in zip(features, lengths, strict=True):
        row[:length] = torch.randn(length, 20)
    frames, frame_lengths = encoder(features, torch.tensor(lengths))
    for index, length in enumerate(lengths):
        alone, alone_lengths = encoder(features[index : index + 1, :length], torch.tensor([length]))
        assert alone_lengths.item() == frame_lengths[index].item() == alone.shape[1]
        assert (frames[index, : alone.shape[1]] - alone[0]).abs().max() < 1e-4


@pytest.mark.parametrize("lengths", [[0], [0, 30]])
def test_an_utterance_without_frames_harms_nobody(lengths):
    torch.manual_seed(0)
    encoder = Encoder(20, 32, 1, 2, 48, 5, 0.0, 4, 4)
    frames, frame_lengths = encoder(torch.zeros(len(lengths), max(lengths), 20), torch.tensor(lengths))
    frames.sum().backward()
    assert frame_lengths[0] == 0
    assert all(torch.isfinite(parameter.grad).all() for parameter in encoder.parameters())
