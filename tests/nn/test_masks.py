import torch

from audioroto.nn.masks import valid_frames


def test_true_is_a_real_frame():
    assert valid_frames(torch.tensor([0, 2, 3]), 3).tolist() == [
        [False, False, False],
        [True, True, False],
        [True, True, True],
    ]
