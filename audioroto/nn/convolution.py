"""Gated depthwise convolution: what is near in time."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from audioroto.nn.packing import Packing, scatter_rows


class ConvolutionModule(nn.Module):
    """Pointwise gate, depthwise convolution over frames, normalisation, pointwise (Conformer, arXiv 2005.08100).

    LayerNorm stands where the paper has BatchNorm: batch statistics would let an utterance hear its neighbours.
    """

    def __init__(self, width: int, kernel_size: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, 2 * width)
        self.depthwise = DepthwiseConvolution(width, kernel_size)
        self.norm = nn.LayerNorm(width)
        self.project_out = nn.Linear(width, width)

    def forward(self, frames: Tensor, packing: Packing) -> Tensor:
        """Frames (N, D) → (N, D); `packing` keeps utterances apart."""
        gated = functional.glu(self.gate(frames), dim=-1)  # (N, D)
        return self.project_out(functional.silu(self.norm(self.depthwise(gated, packing))))


class DepthwiseConvolution(nn.Conv2d):
    """A convolution over frames of each channel by itself: (N, D) → (N, D), zeros beyond the ends of an utterance.

    A one-dimensional convolution wants channels before frames; as a two-dimensional one in channels-last layout it
    takes (N, D) as it lies in memory, eight times as fast on a CPU.
    """

    def __init__(self, width: int, kernel_size: int) -> None:
        super().__init__(width, width, (kernel_size, 1), padding=(kernel_size // 2, 0), groups=width)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, frames: Tensor, packing: Packing) -> Tensor:  # type: ignore[override]
        places, num_rows = packing.places_with_gaps(self.kernel_size[0] // 2)
        row = scatter_rows(frames, places, num_rows)  # (N + gaps, D)
        return super().forward(row.T[None, :, :, None])[0, :, :, 0].T.index_select(0, places)  # (N, D)
