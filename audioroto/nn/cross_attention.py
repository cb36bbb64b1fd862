"""Attention to keys and values that were made before: those of another sequence, or of what was said so far."""

from torch import Tensor, nn
from torch.nn import functional


class KeysValues(nn.Module):
    """The keys and values that a sequence offers; made once, attended to as often as wanted."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.project = nn.Linear(width, 2 * width, bias=False)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T, D) → keys and values, each (B, H, T, K)."""
        keys, values = self.project(frames).unflatten(-1, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return keys, values


class CrossAttention(nn.Module):
    """Multi-head attention of one sequence to given keys and values. No rotary positions: there is no common time."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.project_in = nn.Linear(width, width, bias=False)
        self.project_out = nn.Linear(width, width, bias=False)

    def forward(self, tokens: Tensor, keys: Tensor, values: Tensor, allowed: Tensor) -> Tensor:
        """Tokens (B, U, D), keys and values (B, H, T, K) → (B, U, D); `allowed` broadcasts to (B, H, U, T)."""
        queries = self.project_in(tokens).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, H, U, K)
        attended = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed)
        return self.project_out(attended.transpose(1, 2).flatten(2))  # (B, U, D)
