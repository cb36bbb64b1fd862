"""Self-attention with rotary positions."""

from torch import Tensor, nn
from torch.nn import functional

from audioroto.nn.rotation import apply_rotary


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
        attended = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed)
        return self.project_out(attended.transpose(1, 2).flatten(2))  # (B, T, D)
