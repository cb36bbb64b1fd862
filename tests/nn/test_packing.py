import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.nn.packing import Packing

LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=5)


@settings(deadline=None)
@given(lengths=LENGTHS, more=st.integers(0, 3))
def test_unpacked_is_padded_with_zeros_and_packs_to_itself(lengths, more):
    packing = Packing(torch.tensor(lengths), max(lengths) + more)
    frames = torch.randn(sum(lengths), 2, 3)
    padded = packing.unpack(frames)
    assert padded.shape == (len(lengths), max(lengths) + more, 2, 3)
    for own, length, row in zip(frames.split(lengths), lengths, padded, strict=True):
        assert torch.equal(row[:length], own)
        assert not row[length:].any()
    assert torch.equal(packing.pack(padded), frames)


@settings(deadline=None)
@given(lengths=LENGTHS, gap=st.integers(0, 3))
def test_gaps_lie_between_utterances_alone(lengths, gap):
    places, num_rows = Packing(torch.tensor(lengths), 10).places_with_gaps(gap)
    expected, start = [], 0
    for length in lengths:
        expected += range(start, start + length)
        start += length + gap
    assert places.tolist() == expected
    assert num_rows == max(1, start - gap)


def test_gradients_pass_both_ways():
    packing = Packing(torch.tensor([3, 1]), 4)
    frames, padded = torch.randn(4, 2, requires_grad=True), torch.randn(2, 4, 2, requires_grad=True)
    packing.unpack(frames).square().sum().backward()
    torch.testing.assert_close(frames.grad, 2 * frames.detach())
    packing.pack(padded).square().sum().backward()
    torch.testing.assert_close(padded.grad, packing.unpack(packing.pack(2 * padded.detach())))


def test_each_frame_gets_what_is_its_utterances():
    packing = Packing(torch.tensor([2, 0, 1]), 2)
    assert packing.spread(torch.tensor([[5], [6], [7]])).tolist() == [[5], [5], [7]]
