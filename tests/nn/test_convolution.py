import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.nn.convolution import ConvolutionModule
from audioroto.nn.masks import valid_frames


@pytest.mark.parametrize("kernel_size", [1, 3, 31])
@settings(deadline=None, max_examples=15)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_padding_never_leaks_and_lengths_are_kept(kernel_size, lengths):
    torch.manual_seed(0)
    convolution = ConvolutionModule(8, kernel_size)
    num_frames = max(lengths) + 3
    frames = torch.randn(len(lengths), num_frames, 8)  # padding is not zero here
    outputs = convolution(frames, valid_frames(torch.tensor(lengths), num_frames))
    assert outputs.shape == frames.shape
    for index, length in enumerate(lengths):
        alone = convolution(frames[index : index + 1, :length], torch.ones(1, length, dtype=torch.bool))
        torch.testing.assert_close(outputs[index, :length], alone[0], rtol=0, atol=1e-5)


def test_reaches_half_a_kernel_to_each_side():
    torch.manual_seed(0)
    convolution = ConvolutionModule(8, kernel_size=5)
    valid = torch.ones(1, 21, dtype=torch.bool)
    frames = torch.randn(1, 21, 8)
    changed = frames.clone()
    changed[0, 10] += 1
    differs = (convolution(frames, valid) != convolution(changed, valid)).any(-1)[0]
    assert differs.nonzero().flatten().tolist() == [8, 9, 10, 11, 12]


def test_no_statistics_of_the_batch():
    assert not list(ConvolutionModule(8, 3).buffers())
