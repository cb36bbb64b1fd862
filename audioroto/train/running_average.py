"""The running average of the weights of a run, which is what it validates and keeps."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class RunningAverage:
    """An exponential moving average of all floating-point weights and statistics of `model`.

    After n updates it keeps min(decay, (1 + n) / (10 + n)) of itself, so that the first ones do not count for long.
    With a `decay` of 0 there is none, and the model's own weights stand for it. `tensors` are its state.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        state = model.state_dict() if decay else {}
        self._weights = {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
        self.tensors: dict[str, Tensor] = {name: tensor.clone() for name, tensor in self._weights.items()}

    def reset(self) -> None:
        """Begin from the weights as they are."""
        _copy(self._weights, self.tensors)

    @torch.no_grad()
    def step(self, num_updates: int) -> None:
        """Take in the weights after `num_updates` updates."""
        if self.decay:
            keep = min(self.decay, (1 + num_updates) / (10 + num_updates))
            torch._foreach_lerp_(list(self.tensors.values()), list(self._weights.values()), 1 - keep)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the averaged weights inside, and its own again after."""
        own = {name: tensor.clone() for name, tensor in self._weights.items()}
        _copy(self.tensors, self._weights)
        try:
            yield
        finally:
            _copy(own, self._weights)


@torch.no_grad()
def _copy(source: dict[str, Tensor], target: dict[str, Tensor]) -> None:
    for name, tensor in target.items():
        tensor.copy_(source[name])
