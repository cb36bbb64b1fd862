"""Positions as vectors: sinusoids to begin with, learned from there."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class SinusoidalEmbedding(nn.Module):
    """A learned table of positions that starts as sinusoids; every row is L2-normalised and scaled by one learned gain.

    Beyond the table the sinusoid goes on, normalised alike.
    """

    def __init__(self, num_positions: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(make_sinusoids(torch.arange(num_positions), width))  # (num_positions, D)
        self.gain = nn.Parameter(torch.tensor(math.sqrt(width / 2)))  # the sinusoid's own length

    def forward(self, num_rows: int, offset: int = 0) -> Tensor:
        """The rows of positions from `offset` on, (T, D)."""
        rows = self.table[offset : offset + num_rows]
        if (missing := num_rows - len(rows)) > 0:
            positions = torch.arange(offset + num_rows - missing, offset + num_rows, device=rows.device)
            rows = torch.cat([rows, make_sinusoids(positions, rows.shape[1])])  # (T, D)
        return self.gain * functional.normalize(rows, dim=-1)


def make_sinusoids(positions: Tensor, width: int) -> Tensor:
    """Sines, then cosines of positions (T,) times width / 2 frequencies, (T, width) float32 (arXiv 1706.03762)."""
    if width % 2:
        raise ValueError(f"sinusoids need an even width, got {width}")
    exponents = torch.arange(width // 2, dtype=torch.float64, device=positions.device) / (width // 2)
    angles = positions[:, None] * torch.exp(-math.log(10000.0) * exponents)  # (T, D/2) float64
    return torch.cat([angles.sin(), angles.cos()], dim=-1).float()
