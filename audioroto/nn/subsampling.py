"""The convolutional front end: fewer frames, more channels."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from audioroto.nn.masks import valid_frames


def subsampled_lengths(frame_lengths: Tensor, factor: int) -> Tensor:
    """Frames that leave the convolutional front end, (B,) int64, for the frames that enter it.

    Exactly the length of each utterance as if it were alone, so that padding never adds a frame.
    """
    for _ in range(factor.bit_length() - 1):
        frame_lengths = (frame_lengths + 1) // 2
    return frame_lengths


class Subsampling(nn.Module):
    """Depthwise-separable convolutions over time and mel, each halving both: frames are divided by `factor`, 4 or 8."""

    def __init__(self, num_mels: int, width: int, channels: int, factor: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, channels, 3, stride=2, padding=1)
        num_halvings = factor.bit_length() - 1
        self.depthwise = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, stride=2, padding=1, groups=channels) for _ in range(num_halvings - 1)
        )
        self.pointwise = nn.ModuleList(nn.Linear(channels, channels) for _ in range(num_halvings - 1))
        for _ in range(num_halvings):
            num_mels = (num_mels + 1) // 2
        self.project = nn.Linear(channels * num_mels, width)
        self.norm = nn.LayerNorm(width)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, features: Tensor, frame_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, T, F), zero at padding, and lengths → frames (B, ⌈T/factor⌉, D) and their lengths."""
        maps = features.unsqueeze(1).contiguous(memory_format=torch.channels_last)  # (B, 1, T, F)
        maps = functional.silu(self.first(maps))  # (B, C, T/2, F/2)
        lengths = (frame_lengths + 1) // 2
        for depthwise, pointwise in zip(self.depthwise, self.pointwise, strict=True):
            valid = valid_frames(lengths, maps.shape[2])[:, None, :, None]  # (B, 1, T, 1)
            # Note: float32, because backward through a depthwise convolution in bfloat16 is six times as slow on a CPU.
            with torch.autocast(maps.device.type, enabled=False):
                maps = depthwise((maps * valid).float())  # (B, C, T/4, F/4)
            maps = functional.silu(pointwise(maps.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)  # channels last
            lengths = (lengths + 1) // 2
        return self.norm(self.project(maps.permute(0, 2, 3, 1).flatten(2))), lengths  # (B, T', D)
