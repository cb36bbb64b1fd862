import torch
from torch import nn

from audioroto.nn.branch import Branch
from audioroto.nn.packing import Packing


def test_evaluation_is_the_plain_residual():
    branch = Branch(nn.Linear(8, 8), 8, dropout=0.5).eval()
    frames = torch.randn(2, 5, 8)
    expected = frames + branch.scale * branch.layer(branch.norm(frames))
    torch.testing.assert_close(branch(frames), expected)


def test_dropout_takes_whole_channels_and_keeps_the_mean():
    torch.manual_seed(0)
    branch = Branch(nn.Identity(), 256, dropout=0.4)
    frames = torch.randn(16, 7, 256)
    plain = branch.eval()(frames) - frames
    dropped = branch.train()(frames) - frames
    gone = (dropped == 0).all(dim=1)  # (B, D)
    assert torch.equal(gone, (dropped == 0).any(dim=1))
    assert abs(gone.float().mean().item() - 0.4) < 0.03
    torch.testing.assert_close(dropped[~gone[:, None].expand_as(dropped)], plain[~gone[:, None].expand_as(plain)] / 0.6)


def test_strength_zero_is_no_dropout():
    branch = Branch(nn.Identity(), 32, dropout=0.5).train()
    branch.strength = 0.0
    frames = torch.randn(2, 3, 32)
    torch.testing.assert_close(branch(frames), branch.eval()(frames))


def test_packed_frames_are_dropped_as_padded_ones():
    torch.manual_seed(0)
    branch, packing = Branch(nn.Linear(16, 16), 16, dropout=0.5).train(), Packing(torch.tensor([4, 0, 7]), 9)
    frames = torch.randn(3, 9, 16)
    torch.manual_seed(1)
    padded = branch(frames)
    torch.manual_seed(1)
    packed = branch(packing.pack(frames), packing=packing)
    torch.testing.assert_close(packed, packing.pack(padded))
