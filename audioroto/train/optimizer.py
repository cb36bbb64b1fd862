"""The optimizer, AdamW alone or beside Muon, and its learning rate over the run."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from audioroto.config import Train
from audioroto.model.device import choose_precision

# Of the quintic iteration: chosen for its slope at 0, so that few steps suffice; values end between 0.7 and 1.2 or so.
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_NUM_STEPS = 5
_SMALLEST_NORM = 1e-7  # a gradient of zeros stays zero


class Muon(torch.optim.Optimizer):
    """Steps along the nearest orthogonal matrix to Nesterov's momentum (K. Jordan, "Muon: an optimizer for hidden
    layers", 2024), scaled to the size of AdamW's steps (arXiv 2502.16982), so that a rate found for AdamW holds.

    torch.optim.Muon, but for the precision: bfloat16 where the processor multiplies it fast, else float32. Most CPUs
    emulate bfloat16, fifty times as slowly.
    """

    def __init__(self, matrices: list[Tensor], weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(matrices, {"lr": 0.0, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step on all matrices that have a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(matrix)
                mean = state["momentum_buffer"].lerp_(matrix.grad, 1 - group["momentum"])
                direction = orthogonalize(matrix.grad.lerp(mean, group["momentum"]))
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(direction, alpha=-group["lr"] * 0.2 * math.sqrt(max(matrix.shape)))


def orthogonalize(matrix: Tensor) -> Tensor:
    """About the nearest matrix to (M, N) whose singular values are 1: the same singular vectors, values near 1."""
    a, b, c = _NEWTON_SCHULZ
    wide = matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix  # products of the smaller side
    wide = wide.to(choose_precision("auto", matrix.device))
    wide = wide / wide.norm().clamp_min(_SMALLEST_NORM)
    for _ in range(_NUM_STEPS):
        gram = wide @ wide.mT
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return (wide.mT if matrix.shape[0] > matrix.shape[1] else wide).to(matrix.dtype)


class MuonAdamW(torch.optim.Optimizer):
    """Muon for the matrices that layers multiply by, AdamW for all else, at the same learning rate."""

    def __init__(self, matrices: list[Tensor], groups: list[dict[str, Any]], weight_decay: float) -> None:
        self.parts = (Muon(matrices, weight_decay), _make_adamw(groups))
        super().__init__([group for part in self.parts for group in part.param_groups], {})
        for part in self.parts:
            part.state = self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step of both."""
        for part in self.parts:
            part.step(closure)


def make_optimizer(model: nn.Module, settings: Train) -> torch.optim.Optimizer:
    """The optimizer of `settings.optimizer`; weight decay on matrices and kernels only: gains and biases are free."""
    matrices = _layer_matrices(model) if settings.optimizer == "muon" else []
    taken = {id(parameter) for parameter in matrices}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in taken]
    groups = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    return MuonAdamW(matrices, groups, settings.weight_decay) if matrices else _make_adamw(groups)


def _make_adamw(groups: list[dict[str, Any]]) -> torch.optim.AdamW:
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), fused=True)


def _layer_matrices(model: nn.Module) -> list[Tensor]:
    """Weights of linear layers inside blocks: neither tables of embeddings nor projections onto the vocabulary."""
    blocks = [module for name, module in model.named_modules() if name.endswith("blocks")]
    linear = [module for block in blocks for module in block.modules() if isinstance(module, nn.Linear)]
    return [module.weight for module in linear]


def learning_rate(update: int, settings: Train) -> float:
    """The rate at `update` (0-based): linear warm-up to the peak, then a cosine down to its final share."""
    if update < settings.warmup_updates:
        return settings.learning_rate * (update + 1) / settings.warmup_updates
    progress = (update - settings.warmup_updates) / max(1, settings.max_updates - settings.warmup_updates)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    share = settings.final_learning_rate_share
    return settings.learning_rate * (share + (1 - share) * cosine)
