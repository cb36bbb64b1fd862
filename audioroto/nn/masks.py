"""Which frames are real: padding must never change a result, so every layer that looks sideways asks here."""

import torch
from torch import Tensor


def valid_frames(lengths: Tensor, num_frames: int) -> Tensor:
    """True at the real frames of each utterance, (B, num_frames) bool, for lengths (B,) int64."""
    return torch.arange(num_frames, device=lengths.device) < lengths[:, None]  # (B, T)
