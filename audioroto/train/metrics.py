"""The run's diary (metrics.jsonl) and its picture (curves.png)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from audioroto.files import atomic_path, write_text


class MetricsLog:
    """A JSON object a line. Opening it at an update forgets what an interrupted run wrote beyond that update.

    `followers` are told each line that is added.
    """

    def __init__(self, path: str | Path, update: int) -> None:
        self.path = Path(path)
        self.followers: list[Callable[[dict[str, Any]], None]] = []
        kept = [line for line in read_metrics(self.path) if line["update"] <= update]
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))

    def append(self, **values: Any) -> None:
        """Add a line; it must have an `update`."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")
        for follow in self.followers:
            follow(values)


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; none when there is no such file. A last line cut short by a crash is passed over."""
    path = Path(path)
    if not path.exists():
        return []
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return lines


def draw_curves(metrics: list[dict[str, Any]], path: str | Path, title: str) -> None:
    """Loss, validation WER, learning rate (or the rotary base, where it moves) and gradient norm, as one PNG."""
    from matplotlib.figure import Figure

    train = [line for line in metrics if "train_loss" in line]
    valid = [line for line in metrics if "valid_loss" in line]
    figure = Figure(figsize=(10, 6.5), layout="constrained")
    (loss, wer), (rate, norm) = figure.subplots(2, 2, sharex=True)
    _plot(loss, train, "train_loss", "training")
    _plot(loss, valid, "valid_loss", "validation", marker="o")
    loss.set(title="loss", ylabel="nats a token")
    loss.set_ylim(bottom=0)
    _plot(wer, valid, "valid_wer", "WER", marker="o")
    _plot(wer, valid, "valid_cer", "CER", marker="o")
    wer.set(title="validation error rates, greedy", ylabel="%")
    wer.set_ylim(0, 105)
    moving = [line for line in train if "rotary_base" in line]
    if moving:
        _plot(rate, moving, "rotary_base", "rotary base")
        rate.set(title="rotary base", xlabel="updates", yscale="log")
    else:
        _plot(rate, train, "learning_rate", "learning rate")
        rate.set(title="learning rate", xlabel="updates")
    _plot(norm, train, "gradient_norm", "gradient norm")
    norm.set(title="gradient norm before clipping", xlabel="updates", yscale="log")
    for axes in (loss, wer, rate, norm):
        axes.grid(alpha=0.3)
        if len(axes.lines) > 1:
            axes.legend(loc="upper right")
    figure.suptitle(title, parse_math=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _plot(axes: Any, lines: list[dict[str, Any]], key: str, label: str, **style: Any) -> None:
    if lines:
        axes.plot([line["update"] for line in lines], [line[key] for line in lines], label=label, ms=3, **style)
