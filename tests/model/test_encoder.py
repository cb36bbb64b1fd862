import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.model.encoder import Encoder


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 90), min_size=2, max_size=4),
    subsampling=st.sampled_from([4, 8]),
    num_blocks=st.integers(1, 3),
    kernel_size=st.sampled_from([1, 3, 15]),
    coupling=st.sampled_from(["sequential", "parallel", "attention", "convolution"]),
    local_heads=st.integers(0, 2),
    window_frames=st.integers(1, 6),
    global_keys=st.sampled_from([3, 8, 100]),
    bias=st.sampled_from(["none", "buckets", "dynamic"]),
    qk_norm=st.booleans(),
    seed=st.integers(0, 100),
)
def test_an_utterance_alone_gives_what_it_gives_padded(lengths, subsampling, num_blocks, kernel_size, seed, **chosen):
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
        **chosen,
    ).eval()
    for parameter in encoder.planner.parameters():
        torch.nn.init.normal_(parameter)
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


@pytest.mark.parametrize(("coupling", "silent"), [("attention", "convolution"), ("convolution", "attention")])
def test_a_branch_that_is_switched_off_is_as_if_it_gave_nothing(coupling, silent):
    torch.manual_seed(0)
    sequential = Encoder(20, 32, 2, 2, 48, 5, 0.0, 4, 4).eval()
    alone = Encoder(20, 32, 2, 2, 48, 5, 0.0, 4, 4, coupling=coupling).eval()
    weights = sequential.state_dict()
    alone.load_state_dict({name: weights[name] for name in alone.state_dict()})
    features, lengths = torch.randn(1, 60, 20), torch.tensor([60])
    assert not torch.equal(alone(features, lengths)[0], sequential(features, lengths)[0])
    for block in sequential.blocks:
        torch.nn.init.zeros_(getattr(block, silent).scale)
    assert torch.equal(alone(features, lengths)[0], sequential(features, lengths)[0])


def test_parallel_adds_one_branch_where_sequential_adds_two():
    block = Encoder(20, 32, 1, 2, 48, 5, 0.0, 4, 4, coupling="parallel").blocks[0]
    assert [name for name, _ in block.named_children()] == ["feedforward_in", "merge", "feedforward_out"]
