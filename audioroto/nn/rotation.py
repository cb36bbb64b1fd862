"""Rotations of queries and keys: position as an angle (rotary positional embedding)."""

import math

import torch
from torch import Tensor


def rotary_frequencies(head_width: int, base: float = 10000.0) -> Tensor:
    """Radians a frame of each pair of channels, (K/2,) float64: base^(−2i/K) (Su et al. 2021, arXiv 2104.09864)."""
    if head_width % 2:
        raise ValueError(f"rotary positions need an even head width, got {head_width}")
    exponents = torch.arange(0, head_width, 2, dtype=torch.float64) / head_width
    return torch.exp(-math.log(base) * exponents)


def rotary_angles(num_frames: int, frequencies: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of position × frequency, each (T, K/2) float32, for `apply_rotary`."""
    # Note: angles in float64; in float32 they are wrong by 1e-4 at position 100 000, and bf16 cannot tell 256 from 257.
    positions = torch.arange(num_frames, dtype=torch.float64, device=frequencies.device)
    angles = positions[:, None] * frequencies  # (T, K/2)
    return angles.cos().float(), angles.sin().float()


def apply_rotary(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn each pair of channels (2i, 2i+1) of `heads` (B, H, T, K) by its angle, (T, K/2); the dtype is kept."""
    pairs = heads.float().unflatten(-1, (-1, 2))  # (B, H, T, K/2, 2)
    even, odd = pairs.unbind(-1)
    turned = torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), dim=-1)
    return turned.flatten(-2).to(heads.dtype)  # (B, H, T, K)
