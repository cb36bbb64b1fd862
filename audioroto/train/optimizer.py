"""AdamW and its learning rate over the run."""

import math

import torch
from torch import nn

from audioroto.config import Train


def make_optimizer(model: nn.Module, weight_decay: float) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices and kernels only: gains, biases and scales are left free."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    free = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), fused=True)


def learning_rate(update: int, settings: Train) -> float:
    """The rate at `update` (0-based): linear warm-up to the peak, then a cosine down to its final share."""
    if update < settings.warmup_updates:
        return settings.learning_rate * (update + 1) / settings.warmup_updates
    progress = (update - settings.warmup_updates) / max(1, settings.max_updates - settings.warmup_updates)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    share = settings.final_learning_rate_share
    return settings.learning_rate * (share + (1 - share) * cosine)
