"""The learning curve by hours of training speech: runs of one configuration that differ in their data alone."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from audioroto.files import atomic_path
from audioroto.score.results import RunResult

MIN_POINTS = 3


def find_learning_curve(runs: Sequence[RunResult]) -> list[RunResult]:
    """The runs of the configuration that was trained on most amounts of speech, by hours; none where these are few.

    Runs that begin from another model are of a configuration of their own.
    """
    groups: dict[tuple[str, ...], dict[float, RunResult]] = defaultdict(dict)
    for run in runs:
        begun_from = re.findall(r"--init-from[ =](\S+)", run.command)
        groups[run.corpus, *run.config, *begun_from][run.train_hours] = run
    largest = max(groups.values(), key=len, default={})
    return [largest[hours] for hours in sorted(largest)] if len(largest) >= MIN_POINTS else []


def draw_learning_curve(runs: Sequence[RunResult], path: Path) -> None:
    """Word error rates with their intervals over hours of training speech, a line a test set and search, as PNG."""
    from matplotlib.figure import Figure

    lines: dict[str, list[tuple[float, float, float, float]]] = defaultdict(list)
    for run in runs:
        for each in run.results:
            name = f"{each.test_set}, {each.mode}" + (f", {each.lm}" if each.lm else "")
            lines[name].append((run.train_hours, 100 * each.wer, 100 * each.wer_low, 100 * each.wer_high))
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, points in sorted(lines.items()):
        hours, rates, lows, highs = zip(*points, strict=True)
        below = [rate - low for rate, low in zip(rates, lows, strict=True)]
        above = [high - rate for rate, high in zip(rates, highs, strict=True)]
        axes.errorbar(hours, rates, yerr=[below, above], marker="o", capsize=3, label=name)
    ticks = [run.train_hours for run in runs]
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{hours:.3g}" for hours in ticks])
    axes.minorticks_off()
    axes.set(xlabel="hours of training speech", ylabel="WER %", title="one recipe, more speech")
    axes.set_ylim(0, 105 * max(result.wer_high for run in runs for result in run.results))
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
