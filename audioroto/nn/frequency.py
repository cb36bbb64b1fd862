"""The rotary base: one for the whole network, fixed, answering to the training loss, or learned."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from audioroto.nn.rotation import Spacing, rotary_angles, rotary_exponents

Mode = Literal["fixed", "loss", "learned", "learned_frequencies"]


class RotaryBase(nn.Module):
    """Owner of the rotary frequencies base^−e, which are derived from the state at every call, never kept.

    The state is the logarithm of the base: a buffer when `fixed` or moved between updates by the training `loss`
    (`train/base_control.py`), a parameter when `learned`. With `learned_frequencies` it is the logarithm of each head's
    frequencies. All of it is in the state dict, and none of it is decayed by the optimizer (it has no matrix).
    """

    exponents: Tensor

    def __init__(
        self,
        head_width: int,
        num_heads: int = 1,
        base: float = 10000.0,
        spacing: Spacing = "standard",
        mode: Mode = "fixed",
    ) -> None:
        super().__init__()
        self.mode = mode
        self.num_heads = num_heads
        self.register_buffer("exponents", rotary_exponents(head_width, spacing), persistent=False)  # (K/2,)
        log_base = torch.tensor(math.log(base), dtype=torch.float64)
        if mode == "learned_frequencies":
            self.log_frequencies = nn.Parameter((-log_base * self.exponents).float().repeat(num_heads))  # (H · K/2,)
        elif mode == "learned":
            self.log_base = nn.Parameter(log_base.float())
        else:
            self.register_buffer("log_base", log_base)

    def frequencies(self) -> Tensor:
        """Radians a frame of each pair of channels, float64: (K/2,), or (H, K/2) with learned frequencies."""
        if self.mode == "learned_frequencies":
            return self.log_frequencies.view(self.num_heads, -1).double().exp()
        return torch.exp(-self.log_base.double() * self.exponents)

    def forward(self, num_frames: int, offset: int = 0) -> tuple[Tensor, Tensor]:
        """Cosine and sine for `apply_rotary` at positions from `offset` on, (T, K/2) or (H, T, K/2) float32."""
        return rotary_angles(num_frames, self.frequencies(), offset)

    @property
    def base(self) -> float:
        """The base in force; with learned frequencies the one that fits them best (least squares of logarithms)."""
        if self.mode != "learned_frequencies":
            return math.exp(self.log_base.item())
        logarithms = self.log_frequencies.detach().double().view(self.num_heads, -1).mean(0)  # (K/2,)
        return math.exp(-(logarithms @ self.exponents / (self.exponents @ self.exponents)).item())

    @base.setter
    def base(self, value: float) -> None:
        if self.mode != "loss":
            raise ValueError(f"the base of mode {self.mode} is not set from outside")
        self.log_base.fill_(math.log(value))
