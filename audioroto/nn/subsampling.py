"""The convolutional front end: fewer frames, more channels."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from audioroto.nn.packing import Packing, scatter_rows


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
        self.factor = factor
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

    def forward(self, features: Tensor, frame_lengths: Tensor) -> tuple[Tensor, Packing]:
        """Features (B, T, F) and lengths → real frames (N, D), ⌈length/factor⌉ of each utterance, and their packing."""
        inputs = Packing(frame_lengths, features.shape[1])
        outputs = Packing(subsampled_lengths(frame_lengths, self.factor), -(-features.shape[1] // self.factor))
        # All utterances stand in one image, each in a room of whole output frames with a zero after its last at every
        # step: what a convolution sees beyond its ends is what it would see if it were alone.
        rooms = subsampled_lengths(frame_lengths, self.factor // 2) // 2 + 1  # (B,) output frames
        starts = rooms.cumsum(0) - rooms
        rows = starts[inputs.utterances] * self.factor + inputs.offsets
        image = scatter_rows(inputs.pack(features), rows, int(rooms.sum()) * self.factor)  # (R, F)
        valid = torch.zeros(len(image), 1, dtype=torch.bool, device=image.device).index_fill_(0, rows, True)
        maps = functional.silu(self.first(image[None, None]))  # (1, C, R/2, F/2), channels last
        for depthwise, pointwise in zip(self.depthwise, self.pointwise, strict=True):
            valid = valid[::2]  # every second frame, from the first on, leads to an output frame
            # Note: float32, because backward through a depthwise convolution in bfloat16 is six times as slow on a CPU.
            with torch.autocast(maps.device.type, enabled=False):
                maps = depthwise((maps * valid).float())  # (1, C, R/4, F/4)
            maps = functional.silu(pointwise(maps.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)  # channels last
        frames = self.project(maps[0].permute(1, 2, 0).flatten(1))  # (R/factor, D)
        return self.norm(frames.index_select(0, starts[outputs.utterances] + outputs.offsets)), outputs  # (N, D)
