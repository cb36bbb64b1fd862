"""The rotary base follows the training loss: a paired probe between updates."""

import math
from collections.abc import Callable

import torch
from torch import nn

from audioroto.config import Position
from audioroto.model.asr import AsrModel
from audioroto.nn.frequency import RotaryBase


class BaseController:
    """Moves the base of `rotary_base`, the one of `model`, to where a training batch costs less.

    The loss falls by itself while a model learns, so that comparing it with last time's would teach nothing: each probe
    compares base/factor, base and base·factor on one batch and one set of weights. The state is the base alone, which
    the model's state dict holds, so that a resumed run goes on as if never interrupted.

    `threshold` is the share of the loss that a move must gain, `bounds` are the smallest and the largest base.
    `reduce` turns the three losses of this process into those of all (their mean, say), so that all move alike.
    """

    def __init__(
        self,
        model: nn.Module,
        rotary_base: RotaryBase,
        *,
        factor: float,
        every_updates: int,
        threshold: float,
        bounds: tuple[float, float],
        reduce: Callable[[list[float]], list[float]] = list,
    ) -> None:
        if rotary_base.mode != "loss":
            raise ValueError(f"a rotary base of mode {rotary_base.mode} does not follow the loss")
        self.model = model
        self.rotary_base = rotary_base
        self.factor = factor
        self.every_updates = every_updates
        self.threshold = threshold
        self.bounds = bounds
        self.reduce = reduce

    def step(self, update: int, evaluate: Callable[[], float]) -> None:
        """Probe if `update` is due; call it between optimizer steps, after the `update`th.

        `evaluate` gives the loss of one training batch; it is called without gradient and with the model in evaluation
        mode (no dropout), and the same batch must answer each time. Does nothing on a model in evaluation mode.
        """
        if update % self.every_updates or not self.model.training:
            return
        start = self.rotary_base.base
        low, high = self.bounds
        candidates = [max(start / self.factor, low), start, min(start * self.factor, high)]
        losses = self.reduce(self._probe(candidates, evaluate))
        best = min(range(3), key=lambda index: losses[index])
        if all(map(math.isfinite, losses)) and losses[1] - losses[best] > self.threshold * losses[1]:
            self.rotary_base.base = candidates[best]

    def _probe(self, candidates: list[float], evaluate: Callable[[], float]) -> list[float]:
        start = self.rotary_base.log_base.clone()
        losses = []
        self.model.eval()
        try:
            with torch.no_grad():
                for candidate in candidates:
                    self.rotary_base.base = candidate
                    losses.append(evaluate())
        finally:
            self.rotary_base.log_base.copy_(start)
            self.model.train()
        return losses


def follow_loss(
    model: AsrModel, settings: Position, reduce: Callable[[list[float]], list[float]] = list
) -> BaseController | None:
    """The controller of a model whose rotary base answers to the loss, as `reduce` has it; None for other modes."""
    base = model.encoder.rotary_base
    if base is None or settings.mode != "loss":
        return None
    return BaseController(
        model,
        base,
        factor=settings.probe_factor,
        every_updates=settings.probe_every_updates,
        threshold=settings.probe_threshold,
        bounds=(settings.min_base, settings.max_base),
        reduce=reduce,
    )
