import pytest
import torch

from audioroto.nn.plan import HIDDEN, AttentionPlanner, skew


def make_planner(**settings) -> AttentionPlanner:
    return AttentionPlanner(**{"num_heads": 4, "local_heads": 2, "window_frames": 4, "global_keys": 10} | settings)


def test_stride_is_each_utterances_own():
    plan = make_planner()(torch.tensor([31, 10, 0, 21]), 31, None)
    frames_per_block = plan.blocks.weights[..., 0].reciprocal()  # (B, G)
    shown = plan.blocks.bias[0, :, 0] != HIDDEN  # (B, G)
    assert frames_per_block[0][shown[0]].tolist() == [4] * 7 + [3]
    assert frames_per_block[1][shown[1]].tolist() == [1] * 10
    assert not shown[2].any()
    assert frames_per_block[3][shown[3]].tolist() == [3] * 7


def test_no_more_keys_than_allowed_however_long():
    planner = make_planner()
    for num_frames in (11, 99, 1000, 1001):
        assert planner(torch.tensor([num_frames]), num_frames, None).blocks.weights.shape[1] == 10


def test_min_stride_acts_in_training_only():
    planner = make_planner(global_keys=99)
    planner.min_stride = 3
    assert planner.train()(torch.tensor([10]), 10, None).blocks.weights[0, :, 0].reciprocal().tolist() == [3, 3, 3, 1]
    assert planner.eval()(torch.tensor([10]), 10, None).blocks is None


def test_nothing_square_is_built_for_a_long_utterance():
    plan = make_planner(bias="dynamic")(torch.tensor([5000]), 5000, None)
    assert plan.frame_bias is None
    assert plan.window_bias.numel() == 2 * 5000 * 12
    assert plan.blocks.bias.numel() == 2 * 5000 * 10


def test_skew_reads_each_row_one_column_earlier():
    by_diagonal = torch.arange(6).expand(3, 6)  # 3 queries, 4 keys
    assert skew(by_diagonal).tolist() == [[2, 3, 4, 5], [1, 2, 3, 4], [0, 1, 2, 3]]


@pytest.mark.parametrize(
    "settings", [{"local_heads": 5}, {"local_heads": -1}, {"window_frames": 0}, {"global_keys": 0}]
)
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        make_planner(**settings)
