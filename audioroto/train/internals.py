"""What goes on inside the model at an update: activations, gradients and steps; which module is the first to break."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audioroto.files import atomic_path
from audioroto.train.metrics import MetricsLog

_FIGURES = {"activation_rms": "activations", "gradient_rms": "gradients, clipped", "step_ratio": "step / weights"}


class Internals:
    """Writes a line to `path` for each update that is watched: `modules` by name, of those that hold parameters.

    Of each `activation_mean`, `activation_rms`, `activation_max` (absolute) of what it gave out last, padding included;
    `gradient_rms` after clipping, `weight_rms`, and `step_ratio`, how far the optimizer moved its weights for their
    size. An update that is skipped has activations alone. Modules have hooks only while they are watched.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, path: Path, update: int) -> None:
        self.optimizer = optimizer
        self.modules = {name: module for name, module in model.named_modules() if _own(module)}
        self.log = MetricsLog(path, update)

    @contextmanager
    def watch(self, update: int) -> Iterator[None]:
        """Watch what is computed inside the block: forward, backward and the optimizer's step of `update`."""
        figures: dict[str, dict[str, float]] = {name: {} for name in self.modules}
        before: dict[str, list[Tensor]] = {}

        def note_output(name: str, output: Any) -> None:
            for tensor in _find_tensors(output)[:1]:
                figures[name] |= {
                    "activation_mean": tensor.mean().item(),
                    "activation_rms": _rms([tensor]),
                    "activation_max": tensor.abs().max().item(),
                }

        def note_gradients(*_: object) -> None:
            for name, module in self.modules.items():
                gradients = [parameter.grad for parameter in _own(module) if parameter.grad is not None]
                if gradients:
                    figures[name]["gradient_rms"] = _rms(gradients)
                before[name] = [parameter.detach().clone() for parameter in _own(module)]

        def note_step(*_: object) -> None:
            for name, module in self.modules.items():
                steps = [after.detach() - each for after, each in zip(_own(module), before[name], strict=True)]
                figures[name]["weight_rms"] = _rms(before[name])
                figures[name]["step_ratio"] = _rms(steps) / max(_rms(before[name]), 1e-12)

        hooks = [_listen(module, name, note_output) for name, module in self.modules.items()]
        hooks += [self.optimizer.register_step_pre_hook(note_gradients)]
        hooks += [self.optimizer.register_step_post_hook(note_step)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
        self.log.append(update=update, modules={name: _shorten(each) for name, each in figures.items()})


def find_first_not_finite(model: nn.Module, compute_loss: Callable[[], Tensor]) -> str:
    """Where a loss or gradient that is not finite comes from: computes it again and names the first module.

    Leaves neither gradients nor hooks behind. Minus infinity is passed over: it is how scores are hidden.
    """
    broken: list[str] = []

    def look(name: str, output: Any) -> None:
        if any(bool(tensor.isnan().any() | tensor.isposinf().any()) for tensor in _find_tensors(output)):
            broken.append(name)

    hooks = [_listen(module, name, look) for name, module in model.named_modules() if name]
    model.zero_grad()
    try:
        compute_loss().backward()
        gradients = [(name, each.grad) for name, each in model.named_parameters() if each.grad is not None]
    finally:
        model.zero_grad()
        for hook in hooks:
            hook.remove()
    if broken:
        return f"the output of {broken[0]}"
    # Gradients travel backwards: of the parameters, the last in the order of the model breaks first.
    named = [name for name, gradient in gradients if not gradient.isfinite().all()]
    return f"the gradient of {named[-1]}" if named else "nothing, when computed again"


def draw_internals(lines: list[dict[str, Any]], path: str | Path) -> None:
    """Activations, gradients and steps of each module (rows) over the run (columns), in powers of ten, as one PNG."""
    from matplotlib.figure import Figure

    names = list(lines[-1]["modules"]) if lines else []
    figure = Figure(figsize=(15, 2 + 0.13 * len(names)), layout="constrained")
    for axes, (key, title) in zip(figure.subplots(1, 3, sharey=True), _FIGURES.items(), strict=True):
        values = [[line["modules"].get(name, {}).get(key) for line in lines] for name in names]
        logarithms = [[math.log10(each) if each else math.nan for each in row] for row in values]
        if lines:
            updates = [line["update"] for line in lines]
            mesh = axes.pcolormesh(range(len(updates) + 1), range(len(names) + 1), logarithms)
            axes.set_xticks([0.5, len(updates) - 0.5], [str(updates[0]), str(updates[-1])])
            figure.colorbar(mesh, ax=axes)
        axes.set_yticks([row + 0.5 for row in range(len(names))], names, fontsize=6)
        axes.set(title=f"{title}, log10", xlabel="updates")
    figure.axes[0].invert_yaxis()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)


def _own(module: nn.Module) -> list[nn.Parameter]:
    """Parameters of the module itself, not of those inside it."""
    return list(module.parameters(recurse=False))


def _listen(module: nn.Module, name: str, note: Callable[[str, Any], None]) -> Any:
    return module.register_forward_hook(lambda _module, _inputs, output: note(name, output))


def _find_tensors(output: Any) -> list[Tensor]:
    """Floating-point tensors that a module gave out, by themselves or in a tuple."""
    parts = output if isinstance(output, tuple) else (output,)
    return [
        part.detach() for part in parts if isinstance(part, Tensor) and part.is_floating_point() and part.numel() > 0
    ]


def _rms(tensors: Iterable[Tensor]) -> float:
    squares, count = 0.0, 0
    for tensor in tensors:
        squares += tensor.detach().double().square().sum().item()
        count += tensor.numel()
    return math.sqrt(squares / max(1, count))


def _shorten(figures: dict[str, float]) -> dict[str, float]:
    return {key: float(f"{value:.4g}") for key, value in figures.items()}
