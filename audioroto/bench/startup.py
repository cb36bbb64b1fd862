"""How long the command takes to say its first word, beside what importing torch alone takes."""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from audioroto.bench.measure import write_figures
from audioroto.errors import UserError

TORCH = "import torch"


@dataclass(frozen=True)
class Start:
    """Medians over the rounds: seconds that went by, and those of processors, from a process's start to its end."""

    elapsed: float
    processor: float


def bench_startup(model: Path, audio: Path, num_rounds: int, out_dir: Path) -> dict[str, Start]:
    """Start fresh interpreters in turns, from an empty one to one that transcribes `audio` as it does by default.

    Writes figures.json and prints a table. Raises UserError where one of them fails.
    """
    verb = ["-m", "audioroto"]
    transcribe = [*verb, "transcribe", str(audio), "--model", str(model)]
    starts = measure_starts(
        {
            "an empty interpreter": ["-c", ""],
            "import audioroto": ["-c", "import audioroto"],
            "audioroto --help": [*verb, "--help"],
            TORCH: ["-c", TORCH],
            "transcribe, ctc_greedy": [*transcribe, "--mode", "ctc_greedy"],
            "transcribe": transcribe,
        },
        num_rounds,
    )
    write_figures(out_dir / "figures.json", {"rounds": num_rounds, "starts": {k: vars(v) for k, v in starts.items()}})
    table = Table("", "seconds", "above torch", "processor", "above torch")
    for name, start in starts.items():
        table.add_row(
            name,
            f"{start.elapsed:.2f}",
            f"{start.elapsed - starts[TORCH].elapsed:+.2f}",
            f"{start.processor:.2f}",
            f"{start.processor - starts[TORCH].processor:+.2f}",
        )
    Console().print(table)
    return starts


def measure_starts(tasks: Mapping[str, Sequence[str]], num_rounds: int) -> dict[str, Start]:
    """What Python takes for each list of arguments; one round more comes first, and does not count.

    Raises UserError with the last line that a failing process wrote.
    """
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in tasks}
    for number in range(num_rounds + 1):
        for name, arguments in tasks.items():
            spent = _time_process(name, arguments)
            if number:
                seconds[name].append(spent)
    return {name: Start(*map(statistics.median, zip(*rounds, strict=True))) for name, rounds in seconds.items()}


def _time_process(name: str, arguments: Sequence[str]) -> tuple[float, float]:
    before, started = _children_seconds(), time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    elapsed = time.perf_counter() - started
    if done.returncode:
        reason = (done.stderr.strip() or "it wrote nothing").splitlines()[-1]
        raise UserError(f"{name} ended with status {done.returncode}: {reason}")
    return elapsed, _children_seconds() - before


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
