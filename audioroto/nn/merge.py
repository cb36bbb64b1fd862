"""Attention and convolution side by side."""

import torch
from torch import Tensor, nn

from audioroto.nn.convolution import DepthwiseConvolution
from audioroto.nn.packing import Packing
from audioroto.nn.plan import AttentionPlan


class Merge(nn.Module):
    """Both branches on the same input, joined by a depthwise convolution and a projection (E-Branchformer).

    Each output frame sees both branches, each over `kernel_size` frames (arXiv 2210.00077, figure 2c: the depthwise
    convolution is added to what it convolves).
    """

    def __init__(self, attention: nn.Module, convolution: nn.Module, width: int, kernel_size: int) -> None:
        super().__init__()
        self.attention = attention
        self.convolution = convolution
        self.depthwise = DepthwiseConvolution(2 * width, kernel_size)
        self.project_out = nn.Linear(2 * width, width)

    def forward(self, frames: Tensor, packing: Packing, plan: AttentionPlan, rotation: Tensor | None = None) -> Tensor:
        """Frames (N, D) → (N, D); `packing` keeps utterances apart."""
        branches = (self.attention(frames, packing, plan, rotation), self.convolution(frames, packing))
        joined = torch.cat(branches, dim=-1)  # (N, 2D)
        return self.project_out(joined + self.depthwise(joined, packing))  # (N, D)
