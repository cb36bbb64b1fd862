"""Position-wise feed-forward layer."""

from torch import Tensor, nn
from torch.nn import functional


class FeedForward(nn.Module):
    """Two linear layers with SiLU between: frames (…, D) → (…, D)."""

    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__()
        self.expand = nn.Linear(width, hidden_width)
        self.contract = nn.Linear(hidden_width, width)

    def forward(self, frames: Tensor) -> Tensor:
        return self.contract(functional.silu(self.expand(frames)))  # (…, D)
