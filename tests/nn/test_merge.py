import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.nn.attention import HybridAttention
from audioroto.nn.convolution import ConvolutionModule
from audioroto.nn.merge import Merge
from audioroto.nn.packing import Packing
from audioroto.nn.plan import AttentionPlan, AttentionPlanner
from audioroto.nn.rotation import rotary_frequencies

PLANNER = AttentionPlanner(2, local_heads=1, window_frames=4, global_keys=9)


def make_merge() -> Merge:
    torch.manual_seed(0)
    return Merge(HybridAttention(16, 2), ConvolutionModule(16, 5), 16, 5)


def plan_for(lengths: torch.Tensor, num_frames: int) -> tuple[Packing, AttentionPlan]:
    return Packing(lengths, num_frames), PLANNER(lengths, num_frames, rotary_frequencies(8))


@settings(deadline=None, max_examples=25)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_utterances_never_hear_each_other(lengths):
    merge = make_merge()
    num_frames = max(lengths) + 2
    frames = torch.randn(sum(lengths), 16)
    outputs = merge(frames, *plan_for(torch.tensor(lengths), num_frames))
    assert outputs.shape == frames.shape
    for own, length, together in zip(frames.split(lengths), lengths, outputs.split(lengths), strict=True):
        alone = merge(own, *plan_for(torch.tensor([length]), length))
        torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_both_branches_see_the_same_input_and_reach_the_output():
    merge = make_merge()
    seen = []
    for branch in (merge.attention, merge.convolution):
        branch.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    frames = torch.randn(20, 16)
    merge(frames, *plan_for(torch.tensor([20]), 20)).sum().backward()
    assert seen[0] is frames
    assert seen[1] is frames
    assert all(parameter.grad.abs().sum() > 0 for parameter in merge.parameters())


def test_a_branch_that_gives_nothing_is_not_heard():
    merge = make_merge()
    frames, context = torch.randn(20, 16), plan_for(torch.tensor([20]), 20)
    with torch.no_grad():
        merge.project_out.weight[:, :16] = 0  # the attention half
    before = merge(frames, *context)
    with torch.no_grad():
        merge.attention.project_in.weight.normal_()
    assert torch.equal(merge(frames, *context), before)
    with torch.no_grad():
        merge.convolution.gate.weight.normal_()
    assert not torch.equal(merge(frames, *context), before)
