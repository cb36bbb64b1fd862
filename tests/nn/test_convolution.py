import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.nn.convolution import ConvolutionModule
from audioroto.nn.packing import Packing


@pytest.mark.parametrize("kernel_size", [1, 3, 31])
@settings(deadline=None, max_examples=15)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_utterances_never_hear_each_other(kernel_size, lengths):
    torch.manual_seed(0)
    convolution = ConvolutionModule(8, kernel_size)
    frames = torch.randn(sum(lengths), 8)
    outputs = convolution(frames, Packing(torch.tensor(lengths), max(lengths) + 3))
    assert outputs.shape == frames.shape
    for own, length, together in zip(frames.split(lengths), lengths, outputs.split(lengths), strict=True):
        alone = convolution(own, Packing(torch.tensor([length]), length))
        torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_reaches_half_a_kernel_to_each_side():
    torch.manual_seed(0)
    convolution = ConvolutionModule(8, kernel_size=5)
    packing = Packing(torch.tensor([21]), 21)
    frames = torch.randn(21, 8)
    changed = frames.clone()
    changed[10] += 1
    differs = (convolution(frames, packing) != convolution(changed, packing)).any(-1)
    assert differs.nonzero().flatten().tolist() == [8, 9, 10, 11, 12]


def test_no_statistics_of_the_batch():
    assert not list(ConvolutionModule(8, 3).buffers())
