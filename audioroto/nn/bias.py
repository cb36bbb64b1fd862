"""A learned bias of attention scores by relative distance, beside rotary positions.

A bias is a function of the signed distance i − j alone (query minus key, in frames, whole or between), given for a
vector of distances: windows and pooled keys look up their few distances, and no (T, T) table is built for them. All
layers share it, as in T5, so that it is evaluated once a forward and added to the same tensor that keeps padding out.

What it costs: in training that tensor needs a gradient, which takes `scaled_dot_product_attention` off its fused
kernels, on a CPU and on a GPU, to plain matrix products (on a CPU in bfloat16 attention takes that path anyway, see
`audioroto.nn.attention.attend`). In inference nothing needs a gradient and the fused kernel runs as without a bias.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Bias = Literal["none", "buckets", "dynamic"]


def make_bias(kind: Bias, num_heads: int) -> "BucketBias | DynamicBias | None":
    """The bias module of a name; `none` is None."""
    if kind == "none":
        return None
    return BucketBias(num_heads) if kind == "buckets" else DynamicBias(num_heads)


class BucketBias(nn.Module):
    """One number a head and bucket of distances (T5, arXiv 1910.10683).

    Past and future have the same buckets, each with its own number: one a frame up to EXACT frames, then spaced by the
    logarithm up to FARTHEST, and one for all beyond.
    """

    EXACT = 8
    NUM_BUCKETS = 16  # in each direction
    FARTHEST = 128

    def __init__(self, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.table = nn.Parameter(torch.zeros(num_heads * (2 * self.NUM_BUCKETS - 1)))  # flat: not a matrix to decay

    def forward(self, distances: Tensor) -> Tensor:
        """Distances (N,) float → (H, N)."""
        return self.table.view(self.num_heads, -1)[:, self.buckets(distances)]

    def buckets(self, distances: Tensor) -> Tensor:
        """The bucket of each distance, int64: 0 is the far future, NUM_BUCKETS − 1 the frame itself."""
        size = distances.abs()
        spread = (self.NUM_BUCKETS - self.EXACT) / math.log(self.FARTHEST / self.EXACT)
        far = self.EXACT + (size.clamp_min(self.EXACT) / self.EXACT).log() * spread
        bucket = torch.where(size < self.EXACT, size, far).floor().clamp_max(self.NUM_BUCKETS - 1)
        return (self.NUM_BUCKETS - 1 + distances.sign() * bucket).long()


class DynamicBias(nn.Module):
    """A small network on the signed logarithm of the distance, one output a head; zero until it is trained."""

    HIDDEN_WIDTH = 32

    def __init__(self, num_heads: int) -> None:
        super().__init__()
        self.expand = nn.Linear(1, self.HIDDEN_WIDTH)
        self.contract = nn.Linear(self.HIDDEN_WIDTH, num_heads, bias=False)  # the same for all keys: softmax drops it
        nn.init.zeros_(self.contract.weight)

    def forward(self, distances: Tensor) -> Tensor:
        """Distances (N,) float → (H, N)."""
        with torch.autocast(distances.device.type, enabled=False):  # bfloat16 cannot tell distance 256 from 257
            inputs = (distances.sign() * distances.abs().log1p()).to(self.expand.weight.dtype)
            return self.contract(functional.silu(self.expand(inputs[:, None]))).T  # (H, N)
