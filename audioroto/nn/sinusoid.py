"""Positions as learned sinusoids of one length, added to what they belong to."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from audioroto.nn.rotation import rotary_positional_embedding

NUM_POSITIONS = 512  # tokens or frames with a learned position; beyond them the sinusoid goes on


class SinusoidalEmbedding(nn.Module):
    """A table of positions that starts as sinusoids; every row is L2-normalised and scaled by one learned gain.

    Beyond the table the sinusoids go on, normalised alike. At the start the rows are exactly those of
    `rotary_positional_embedding`. `checkpoint=True` keeps no activations for the backward pass and computes them again.
    """

    def __init__(self, width: int, checkpoint: bool = False, num_positions: int = NUM_POSITIONS) -> None:
        super().__init__()
        self.width = width
        self.checkpoint = checkpoint
        self.table = nn.Parameter(rotary_positional_embedding(torch.arange(num_positions), width))  # (N, D)
        self.gain = nn.Parameter(torch.tensor(math.sqrt(width / 2)))

    def forward(self, num_rows: int, offset: int = 0) -> Tensor:
        """The rows of positions from `offset` on, (T, D) float32."""
        if self.checkpoint and torch.is_grad_enabled():
            return checkpoint(self._embed, num_rows, offset, use_reentrant=False, preserve_rng_state=False)
        return self._embed(num_rows, offset)

    def _embed(self, num_rows: int, offset: int) -> Tensor:
        positions = torch.arange(offset, offset + num_rows, device=self.table.device)
        inside = self.table[offset : offset + num_rows]
        beyond = positions[len(inside) :]
        rows = torch.cat((inside, rotary_positional_embedding(beyond, self.width)))  # (T, D)
        return functional.normalize(rows, dim=-1) * self.gain
