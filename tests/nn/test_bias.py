import pytest
import torch

from audioroto.nn.attention import HybridAttention
from audioroto.nn.bias import BucketBias, DynamicBias, make_bias
from audioroto.nn.packing import Packing
from audioroto.nn.plan import AttentionPlanner
from audioroto.nn.rotation import rotary_frequencies

KINDS = ["buckets", "dynamic"]


def shake(module: torch.nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()


def make_layers(bias: str, local_heads: int, global_keys: int) -> tuple[AttentionPlanner, HybridAttention]:
    torch.manual_seed(0)
    planner = AttentionPlanner(4, local_heads=local_heads, window_frames=3, global_keys=global_keys, bias=bias)
    return planner, HybridAttention(32, 4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("local_heads", "global_keys"), [(0, 99), (2, 99), (2, 7), (4, 99)])
def test_zero_at_first_and_its_gradient_is_not(kind, local_heads, global_keys):
    frames, lengths = torch.randn(41, 32), torch.tensor([30, 11])
    planner, attention = make_layers(kind, local_heads, global_keys)
    packing = Packing(lengths, 30)
    outputs = attention(frames, packing, planner(lengths, 30, rotary_frequencies(8)))
    plain_planner = AttentionPlanner(4, local_heads=local_heads, window_frames=3, global_keys=global_keys)
    plain = attention(frames, packing, plain_planner(lengths, 30, rotary_frequencies(8)))
    torch.testing.assert_close(outputs, plain, rtol=0, atol=1e-6)
    outputs.square().sum().backward()
    assert all(parameter.grad is not None for parameter in planner.bias.parameters())
    last = planner.bias.table if kind == "buckets" else planner.bias.contract.weight
    assert (last.grad.unflatten(0, (4, -1)).abs().sum(1) > 0).all()  # every head's


@pytest.mark.parametrize("kind", KINDS)
def test_table_of_frames_holds_the_bias_of_each_distance(kind):
    planner, _ = make_layers(kind, local_heads=0, global_keys=99)
    shake(planner)
    table = planner(torch.tensor([20]), 20, None).frame_bias[:, 0]  # (H, T, T)
    for query, key in [(0, 0), (3, 17), (19, 0), (19, 18), (0, 19)]:
        expected = planner.bias(torch.tensor([float(query - key)]))[:, 0]
        torch.testing.assert_close(table[:, query, key], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_windows_and_blocks_hold_the_same_bias_as_the_table(kind):
    planner, _ = make_layers(kind, local_heads=2, global_keys=10)
    shake(planner)
    plan = planner(torch.tensor([29]), 29, None)
    # windows of 3: query 13 is the second of window 4, whose keys begin at frame 9
    expected = planner.bias(13 - torch.arange(9.0, 18.0))[:2]
    visible = (13 - torch.arange(9, 18)).abs() <= 3
    torch.testing.assert_close(plan.window_bias[:, 4, 1][:, visible], expected[:, visible])
    # blocks of 3 frames, the last of 2: centres 1, 4, 7 … 25, 27.5
    centres = torch.tensor([*range(1, 27, 3), 27.5])
    torch.testing.assert_close(plan.blocks.bias[:, 0, 13], planner.bias(13 - centres)[2:])


@pytest.mark.parametrize("kind", KINDS)
def test_depends_on_the_distance_alone(kind):
    planner, _ = make_layers(kind, local_heads=0, global_keys=99)
    shake(planner)
    table = planner(torch.tensor([40]), 40, None).frame_bias[:, 0]  # (H, T, T)
    for distance in (-25, -1, 0, 7, 30):
        assert (table.diagonal(distance, 1, 2) == table.diagonal(distance, 1, 2)[:, :1]).all()


def test_buckets_are_exact_near_and_logarithmic_far():
    bias = BucketBias(1)
    distances = torch.tensor([0.0, 1.0, 7.0, 8.0, 16.0, 127.0, 128.0, 1e6])
    assert (bias.buckets(distances) - 15).tolist() == [0, 1, 7, 8, 10, 15, 15, 15]
    assert (bias.buckets(-distances) - 15).tolist() == [0, -1, -7, -8, -10, -15, -15, -15]


def test_dynamic_tells_past_from_future_and_far_from_farther():
    torch.manual_seed(0)
    bias = DynamicBias(2)
    shake(bias)
    with torch.autocast("cpu", torch.bfloat16):
        values = bias(torch.tensor([-300.0, 256.0, 257.0, 300.0]))
    assert values.dtype == torch.float32
    assert len(values[0].unique()) == 4


def test_none_is_no_module():
    assert make_bias("none", 4) is None
