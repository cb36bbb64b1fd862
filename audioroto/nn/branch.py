"""Residual branches that start small and are dropped a channel at a time."""

import torch
from torch import Tensor, nn

from audioroto.nn.packing import Packing


class Branch(nn.Module):
    """A residual branch: `frames + scale · dropout(layer(norm(frames)))`.

    The learned scale of each channel starts small, so that a deep stack begins near the identity and leaves the first
    plateau of CTC early (LayerScale, arXiv 2103.17239). Dropout drops a channel for a whole utterance: one random
    number a channel instead of one a frame, which on a CPU is a quarter of the training step.
    """

    INITIAL_SCALE = 0.2

    def __init__(self, layer: nn.Module, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.layer = layer
        self.scale = nn.Parameter(torch.full((width,), self.INITIAL_SCALE))
        self.dropout = dropout
        self.strength = 1.0  # share of the dropout in force; training lets it grow

    def forward(self, frames: Tensor, *context: object, packing: Packing | None = None) -> Tensor:
        """Frames (B, T, D), or (N, D) of a `packing`, to as many; `context` is handed on to the layer."""
        outputs = self.layer(self.norm(frames), *context)
        scale: Tensor = self.scale
        rate = self.dropout * self.strength
        if self.training and rate > 0:
            batch_size = len(frames) if packing is None else len(packing.lengths)
            keep = torch.rand(batch_size, len(scale), device=frames.device) >= rate  # (B, D)
            keep = keep.to(outputs.dtype)
            outputs = outputs * (keep.unsqueeze(1) if packing is None else packing.spread(keep))
            scale = scale / (1 - rate)
        return torch.addcmul(frames, outputs, scale)
