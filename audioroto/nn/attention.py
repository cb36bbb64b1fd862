"""Self-attention with rotary positions."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from audioroto.nn.rotation import apply_rotary

MOST_KEYS_OF_PLAIN_PRODUCT = 1024


class Attention(nn.Module):
    """Multi-head self-attention over frames; positions enter as rotations of queries and keys."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.project_in = nn.Linear(width, 3 * width, bias=False)
        self.project_out = nn.Linear(width, width, bias=False)

    def forward(self, frames: Tensor, allowed: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
        """Frames (B, T, D) → (B, T, D).

        `allowed` broadcasts to (B, H, T, T), True = may attend; `rotary` is what `rotary_angles` gave for T frames.
        """
        queries, keys, values = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, H, T, K)
            for part in self.project_in(frames).chunk(3, dim=-1)
        )
        queries, keys = apply_rotary(queries, *rotary), apply_rotary(keys, *rotary)
        attended = attend(queries, keys, values, allowed)
        return self.project_out(attended.transpose(1, 2).flatten(2))  # (B, T, D)


def attend(queries: Tensor, keys: Tensor, values: Tensor, allowed: Tensor) -> Tensor:
    """Scaled dot-product attention, (B, H, T, K), where `allowed` (broadcast to (B, H, T, T)) is True.

    Training on a CPU takes the plain product of matrices while a row of scores is short: backward through torch's
    fused kernel is three times as slow there, and the scores of utterances fit into memory.
    """
    if torch.is_grad_enabled() and queries.device.type == "cpu" and keys.shape[2] <= MOST_KEYS_OF_PLAIN_PRODUCT:
        scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-1, -2)  # (B, H, T, T)
        return scores.masked_fill(~allowed, -torch.inf).softmax(dim=-1) @ values
    return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed)
