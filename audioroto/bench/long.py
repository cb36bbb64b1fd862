"""Whether memory stays bounded: one very long recording, made of others, and what the process holds on the way."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from audioroto.audio.stream import iter_blocks
from audioroto.bench.measure import describe_bytes, write_figures
from audioroto.errors import UserError
from audioroto.files import atomic_path
from audioroto.infer.recognizer import Recognizer
from audioroto.model.memory import PeakMemory


@dataclass(frozen=True)
class Moment:
    """How far transcribing has come, in seconds of audio, after how long, and the resident memory of the process."""

    audio_seconds: float
    seconds: float
    resident_bytes: int


@dataclass(frozen=True)
class LongRun:
    """The moments of a run, the most memory that the process held, above what it held before, and the words found."""

    moments: list[Moment]
    peak_bytes: int
    added_bytes: int
    num_words: int


def bench_long(recognizer: Recognizer, files: Sequence[Path], hours: float, out_dir: Path) -> LongRun:
    """Transcribe the files, repeated until they fill the hours, as one recording; figures.json, memory.png, a table.

    The recording is never in memory or on disk as a whole. Raises UserError where the files hold no audio.
    """
    total = round(3600 * hours * recognizer.sample_rate)
    before, started = measure_resident(), time.perf_counter()
    moments, num_words = [Moment(0.0, 0.0, before)], 0
    peak = PeakMemory(recognizer.engine.device)
    samples = repeat_files(files, recognizer.sample_rate, total)
    for segment in recognizer.iter_transcribe(samples, recognizer.sample_rate):
        num_words += len(segment.words)
        if segment.end_seconds - moments[-1].audio_seconds >= 36 * hours:  # a hundredth
            moments.append(Moment(segment.end_seconds, time.perf_counter() - started, measure_resident()))
    moments.append(Moment(3600 * hours, time.perf_counter() - started, measure_resident()))
    held = max([peak.before + peak.bytes(), *(moment.resident_bytes for moment in moments)])
    run = LongRun(moments, held, max(0, held - before), num_words)
    write_figures(out_dir / "figures.json", {"mode": recognizer.mode, "files": len(files), **asdict(run)})
    draw_memory(run, out_dir / "memory.png")
    table = Table("hours", "seconds", "resident")
    for moment in moments[:: max(1, len(moments) // 10)]:
        table.add_row(
            f"{moment.audio_seconds / 3600:.2f}", f"{moment.seconds:.0f}", describe_bytes(moment.resident_bytes)
        )
    Console().print(table)
    print(
        f"{hours:g} hours, {num_words} words, real-time factor {moments[-1].seconds / (3600 * hours):.4f}; at most "
        f"{describe_bytes(held)}, {describe_bytes(run.added_bytes)} more than before; {out_dir / 'memory.png'}"
    )
    return run


def repeat_files(files: Sequence[Path], rate: int, num_samples: int) -> Iterator[np.ndarray]:
    """Blocks (S,) of the files at `rate`, one after another and from the first again, `num_samples` in all."""
    left, heard = num_samples, 0
    for number, file in enumerate(cycle(files)):
        if number == len(files) and not heard:
            break
        for block in iter_blocks(file, rate):
            yield block[:left]
            heard += len(block)
            left -= min(left, len(block))
            if not left:
                return
    raise UserError("the files hold no audio to make a long recording of")


def measure_resident() -> int:
    """Bytes that this process has in memory now; on machines without /proc the most that it ever had."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def draw_memory(run: LongRun, path: Path) -> None:
    """Resident memory over the hours of the recording, from zero."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(
        [moment.audio_seconds / 3600 for moment in run.moments],
        [moment.resident_bytes / 2**20 for moment in run.moments],
    )
    axes.axhline(run.peak_bytes / 2**20, linestyle=":", color="gray", label=f"peak {run.peak_bytes / 2**20:.0f} MiB")
    axes.set(xlabel="hours of the recording", ylabel="resident memory, MiB", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
