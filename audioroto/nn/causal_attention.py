"""Self-attention of tokens to those before them, with rotary positions: what a language model is made of."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from audioroto.nn.rotation import apply_rotary, rotary_angles, rotary_frequencies


class CausalAttention(nn.Module):
    """Multi-head attention of each token to itself and to those before it, with normalised queries and keys."""

    frequencies: Tensor

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.project_in = nn.Linear(width, 3 * width, bias=False)
        self.project_out = nn.Linear(width, width, bias=False)
        self.register_buffer("frequencies", rotary_frequencies(width // num_heads), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Rows of tokens (S, U, D) → (S, U, D)."""
        queries, keys, values = self._offer(rows, 0)
        return self._join(functional.scaled_dot_product_attention(queries, keys, values, is_causal=True))

    def step(
        self, tokens: Tensor, said: Tensor, offset: int, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """N hypotheses' tokens (B, N, D), all at position `offset` → (B, N, D), and keys and values (B, H, P + N, K).

        `past` are those of the P tokens before; `said` (B, N, P + N) says which of them all a hypothesis has said.
        """
        queries, keys, values = self._offer(tokens.flatten(0, 1)[:, None], offset)  # (B·N, H, 1, K)
        queries, keys, values = (
            heads[:, :, 0].unflatten(0, tokens.shape[:2]).transpose(1, 2) for heads in (queries, keys, values)
        )  # (B, H, N, K)
        if past is not None:
            keys, values = torch.cat([past[0], keys], dim=2), torch.cat([past[1], values], dim=2)
        attended = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=said[:, None])
        return self._join(attended), (keys, values)

    def _offer(self, rows: Tensor, offset: int) -> tuple[Tensor, Tensor, Tensor]:
        """Rows (S, U, D) from position `offset` on → queries, keys and values, each (S, H, U, K)."""
        heads = self.project_in(rows).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        angles = rotary_angles(rows.shape[1], self.frequencies, offset)
        queries, keys = (
            apply_rotary(functional.rms_norm(part.float(), part.shape[-1:]), *angles).to(heads.dtype)
            for part in heads[:2]
        )
        return queries, keys, heads[2]

    def _join(self, attended: Tensor) -> Tensor:
        """Heads (S, H, U, K) → (S, U, D)."""
        return self.project_out(attended.transpose(1, 2).flatten(2))
