"""Time and memory of attention over the length of the audio: all heads local, half of them, or all frames with all."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from audioroto.bench.measure import (
    call_in_fresh_process,
    clock_name,
    describe_bytes,
    limit_memory,
    time_once,
    write_figures,
)
from audioroto.config import Config
from audioroto.features.fbank import FRAME_HOP_SECONDS
from audioroto.files import atomic_path
from audioroto.model import allocator
from audioroto.model.device import choose_device
from audioroto.model.memory import PeakMemory
from audioroto.nn.attention import HybridAttention
from audioroto.nn.frequency import RotaryBase
from audioroto.nn.packing import Packing
from audioroto.nn.plan import AttentionPlanner

KINDS = ("local", "hybrid", "dense")
AUDIO_SECONDS = (10, 30, 60, 120, 300, 600, 1200, 1800, 3600)
NUM_LAYERS = 2
MOST_ROUNDS = 5
ROUNDS_SECONDS = 15.0  # no further round once the rounds have taken this long
ALL_KEYS = 2**40  # more than there are frames: global heads see each of them


@dataclass(frozen=True)
class Point:
    """Cost of one pass over a recording; `refused` says why there is none."""

    kind: str
    audio_seconds: float
    frames: int
    seconds: float | None = None  # of the fastest round: what else the machine does only ever adds
    kernel_share: float | None = None  # of the processor time: what the system takes to hand out memory, mostly
    memory_bytes: int | None = None  # peak above the weights and what the libraries take
    refused: str | None = None


class AttentionStack(nn.Module):
    """The attention layers of an encoder alone, with the plan, positions and bias that they share."""

    def __init__(self, config: Config, kind: str) -> None:
        super().__init__()
        settings, position = config.encoder, config.position
        local_heads = {"local": settings.num_heads, "hybrid": max(1, settings.num_heads // 2), "dense": 0}[kind]
        self.planner = AttentionPlanner(
            settings.num_heads,
            local_heads=local_heads,
            window_frames=settings.window_frames,
            global_keys=ALL_KEYS if kind == "dense" else settings.global_keys,
            bias=settings.bias,
        )
        self.rotary_base = RotaryBase(settings.width // settings.num_heads, settings.num_heads, position.base)
        self.layers = nn.ModuleList(
            HybridAttention(settings.width, settings.num_heads, qk_norm=settings.qk_norm) for _ in range(NUM_LAYERS)
        )

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames of one recording (T, D) → (T, D)."""
        lengths = torch.tensor([len(frames)], device=frames.device)
        packing = Packing(lengths, len(frames))
        plan = self.planner(lengths, len(frames), self.rotary_base.frequencies())
        for layer in self.layers:
            frames = frames + layer(frames, packing, plan)
        return frames


def bench_attention(
    config: Config,
    out_dir: Path,
    device: str = "cpu",
    *,
    audio_seconds: tuple[float, ...] = AUDIO_SECONDS,
    memory_bytes: int = 4 * 2**30,
    limit_seconds: float = 180.0,
) -> list[Point]:
    """Measure each kind at each length in a process of its own; write figures.json and attention.png, print a table.

    A kind goes no further once it needs more than `memory_bytes` or `limit_seconds`.
    """
    console = Console(stderr=True)
    points: list[Point] = []
    settings = {
        "encoder": config.encoder.model_dump(mode="json"),
        "layers": NUM_LAYERS,
        "device": device,
        "clock": clock_name(choose_device(device)),
    }
    for kind in KINDS:
        for seconds in audio_seconds:
            with console.status(f"{kind} attention, {seconds:g} s of audio"):
                point = call_in_fresh_process(
                    measure_point, config, kind, seconds, device, memory_bytes, limit_seconds=limit_seconds
                )
            if isinstance(point, str):
                point = Point(kind, seconds, num_frames(config, seconds), refused=point)
            points.append(point)
            figures = {"settings": settings, "growth": measure_growth(points), "points": [asdict(p) for p in points]}
            write_figures(out_dir / "figures.json", figures)
            if point.refused:
                break
    draw_points(points, out_dir / "attention.png")
    print_points(points)
    return points


def measure_point(config: Config, kind: str, audio_seconds: float, device_name: str, memory_bytes: int) -> Point:
    """Time and peak memory of a pass over random frames, in inference, float32 as recognition has it."""
    allocator.keep_freed_memory()  # as the verb `transcribe` does
    device = choose_device(device_name)
    torch.manual_seed(0)
    stack = AttentionStack(config, kind).eval().to(device)
    frames = torch.randn(num_frames(config, audio_seconds), config.encoder.width, device=device)  # (T, D)
    with torch.inference_mode():
        stack(frames[: num_frames(config, 1)])  # libraries take their buffers
        limit_memory(memory_bytes, device)
        memory = PeakMemory(device)
        before = os.times()
        rounds = [time_once(lambda: stack(frames), device)]
        peak = memory.bytes()
        while len(rounds) < MOST_ROUNDS and sum(rounds) < ROUNDS_SECONDS:
            rounds.append(time_once(lambda: stack(frames), device))
        after = os.times()
    kernel, user = after.system - before.system, after.user - before.user
    kernel_share = round(kernel / max(kernel + user, 1e-9), 3)
    return Point(kind, audio_seconds, len(frames), min(rounds), kernel_share, peak)


def measure_growth(points: list[Point], start: float = 600, end: float = 3600) -> dict[str, dict[str, float]]:
    """How many times more time and memory each kind takes at `end` seconds than at `start`, where both were measured.

    Six times the audio: what grows linearly stays near 6. `user_time` leaves out what the kernel takes to hand out
    memory, where it is not kept for the next tensor (`audioroto.model.allocator`).
    """
    growth = {}
    for kind in KINDS:
        found = {point.audio_seconds: point for point in points if point.kind == kind and not point.refused}
        if start in found and end in found:
            first, last = found[start], found[end]
            growth[kind] = {
                "time": round((last.seconds or 0) / (first.seconds or 1), 2),
                "user_time": round(_user_seconds(last) / (_user_seconds(first) or 1), 2),
                "memory": round((last.memory_bytes or 0) / (first.memory_bytes or 1), 2),
            }
    return growth


def num_frames(config: Config, audio_seconds: float) -> int:
    """Encoder frames of a recording."""
    return max(1, round(audio_seconds / FRAME_HOP_SECONDS / config.encoder.subsampling))


def print_points(points: list[Point]) -> None:
    """The table on the terminal, and the growth from ten minutes to an hour."""
    table = Table("audio", "frames", *(f"{kind}: {what}" for kind in KINDS for what in ("time", "memory")))
    for audio_seconds in sorted({point.audio_seconds for point in points}):
        found = {point.kind: point for point in points if point.audio_seconds == audio_seconds}
        cells = [cell for kind in KINDS for cell in _describe(found.get(kind))]
        table.add_row(f"{audio_seconds:g} s", f"{next(iter(found.values())).frames:,}", *cells)
    console = Console()
    console.print(table)
    for kind, factors in measure_growth(points).items():
        console.print(
            f"{kind}: 60 minutes take {factors['time']} × the time of 10 ({factors['user_time']} × without what the "
            f"kernel takes) and {factors['memory']} × the memory"
        )


def draw_points(points: list[Point], path: Path) -> None:
    """Time and memory over the length of the audio, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    time, memory = figure.subplots(1, 2)
    measured = [point for point in points if not point.refused]
    for kind in sorted({point.kind for point in measured}, key=KINDS.index):
        found = [point for point in measured if point.kind == kind]
        lengths = [point.audio_seconds for point in found]
        time.plot(lengths, [point.seconds for point in found], marker="o", label=kind)
        memory.plot(lengths, [(point.memory_bytes or 0) / 2**20 for point in found], marker="o", label=kind)
        refused = next((point for point in points if point.kind == kind and point.refused), None)
        if refused:
            note = f"{refused.audio_seconds:g} s: {refused.refused}"
            last = (lengths[-1], found[-1].seconds or 0)
            time.annotate(note, last, xytext=(0, 8), textcoords="offset points", ha="right")
    time.set(title=f"time of {NUM_LAYERS} attention layers", ylabel="seconds")
    memory.set(title="peak memory above the weights", ylabel="MiB")
    for axes in (time, memory) if measured else ():
        axes.margins(y=0.15)
        axes.set(xscale="log", yscale="log", xlabel="audio in seconds (dotted: linear)")
        _draw_linear(axes, measured)
        axes.grid(alpha=0.3, which="both")
        axes.legend(loc="upper left")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _draw_linear(axes: Any, points: list[Point]) -> None:
    """A dotted line of slope one through the middle of the picture, to hold the curves against."""
    lengths = sorted({point.audio_seconds for point in points})
    low, high = axes.get_ylim()
    middle = (low * high) ** 0.5 / (lengths[0] * lengths[-1]) ** 0.5
    axes.plot(lengths, [middle * length for length in lengths], color="grey", linestyle=":", linewidth=1)
    axes.set_ylim(low, high)


def _user_seconds(point: Point) -> float:
    return (point.seconds or 0) * (1 - (point.kernel_share or 0))


def _describe(point: Point | None) -> tuple[str, str]:
    if point is None:
        return "–", "–"
    if point.refused:
        return point.refused, "–"
    return f"{point.seconds:.3g} s", describe_bytes(point.memory_bytes or 0)
