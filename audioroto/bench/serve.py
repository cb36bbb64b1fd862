"""What a server bears: many clients at once against one at a time, its memory over many requests, delays of streams."""

import io
import itertools
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from audioroto.bench.clients import Clip, Delays, Load, send_recordings, speak
from audioroto.bench.measure import describe_bytes, write_figures
from audioroto.corpus.datadir import Utterance
from audioroto.errors import UserError

RATE = 16000  # of what is sent
START_SECONDS = 120.0  # that a server may take until it answers
MEMORY_EVERY_REQUESTS = 50


@dataclass(frozen=True)
class Running:
    """A server in a process of its own."""

    url: str
    pid: int

    def read_memory(self) -> int | None:
        """The bytes that it has resident; None where the system does not tell."""
        try:
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        except OSError:
            return None
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def bench_serve(
    options: Sequence[str],
    utterances: Sequence[Utterance],
    out_dir: Path,
    *,
    num_clients: int,
    num_requests: int,
    memory_requests: int,
    num_streams: int,
    stream_seconds: float,
) -> dict[str, Any]:
    """Start `audioroto serve` with these options and put load on it; print tables, write figures.json.

    Raises UserError when the server does not start, an answer is lost, or a text depends on who else was there.
    """
    clips = [make_clip(utterance) for utterance in utterances]
    console = Console(stderr=True)
    with start_server([*options, "--max-requests", str(num_clients + num_streams)]) as server:
        send_recordings(server.url, clips[:1], 2, 1)
        loads = [send_recordings(server.url, clips, num_requests, number) for number in (1, num_clients)]
        check_loads(loads, num_requests)
        delays = speak(server.url, join_speech(utterances, stream_seconds), RATE, num_streams) if num_streams else None
        memory = watch_memory(server, clips, memory_requests, num_clients, console) if memory_requests else {}
    figures = {
        "options": list(options),
        "recordings": len(clips),
        "requests": num_requests,
        "loads": [describe_load(load) for load in loads],
        "streams": describe_delays(delays) if delays else None,
        "memory_bytes": memory,
    }
    write_figures(out_dir / "figures.json", figures)
    print_figures(figures)
    return figures


@contextmanager
def start_server(options: Sequence[str]) -> Iterator[Running]:
    """A server with these options of `audioroto serve`, at a free port, until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "audioroto", "serve", "--port", str(port), *options]
    environment = {key: value for key, value in os.environ.items() if key != "AUDIOROTO_API_KEY"}
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, env=environment, stderr=log) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + START_SECONDS
            while not _answers(url):
                if process.poll() is not None:
                    log.seek(0)
                    raise UserError(f"the server did not start: {log.read().decode(errors='replace').strip()}")
                if time.monotonic() > deadline:
                    raise UserError(f"the server did not answer within {START_SECONDS:g} s")
                time.sleep(0.1)
            yield Running(url, process.pid)
        finally:
            process.terminate()


def make_clip(utterance: Utterance) -> Clip:
    """An utterance as FLAC."""
    samples = utterance.load(RATE)
    content = io.BytesIO()
    soundfile.write(content, samples, RATE, format="FLAC")
    return Clip(utterance.id, content.getvalue(), len(samples) / RATE)


def join_speech(utterances: Sequence[Utterance], seconds: float) -> np.ndarray:
    """About so much speech, (S,) float32: utterances one after the other, with a second of quiet noise after each."""
    generator = np.random.default_rng(0)
    parts: list[np.ndarray] = []
    for utterance in itertools.cycle(utterances):
        noise = 1e-4 * generator.standard_normal(RATE)
        parts += [utterance.load(RATE), noise.astype(np.float32)]
        if sum(map(len, parts)) >= seconds * RATE:
            return np.concatenate(parts)
    raise UserError("there is nothing to speak")


def check_loads(loads: Sequence[Load], num_requests: int) -> None:
    """Raises UserError when an answer is missing, or not all answers to a recording are the same."""
    for load in loads:
        if load.errors or len(load.latencies) != num_requests:
            raise UserError(f"{len(load.errors)} of {num_requests} requests were lost, the first: {load.errors[:1]}")
    for name, texts in loads[0].texts.items():
        if len(set.union(texts, *(load.texts[name] for load in loads))) > 1:
            raise UserError(f"{name}: its text depends on how many clients there are")


def watch_memory(
    server: Running, clips: Sequence[Clip], num_requests: int, num_clients: int, console: Console
) -> dict[int, int]:
    """Resident bytes of the server by the number of requests answered, from the first to the last."""
    memory: dict[int, int] = {}
    with Progress(console=console) as progress:
        task = progress.add_task("requests", total=num_requests)

        def watch(num_done: int) -> None:
            progress.update(task, completed=num_done)
            bytes_now = server.read_memory()
            if bytes_now is not None and (num_done % MEMORY_EVERY_REQUESTS == 0 or num_done in (1, num_requests)):
                memory[num_done] = bytes_now

        check_loads([send_recordings(server.url, clips, num_requests, num_clients, watch)], num_requests)
    return memory


def describe_load(load: Load) -> dict[str, Any]:
    """The figures of a load."""
    return {
        "clients": load.num_clients,
        "lost": len(load.errors),
        "seconds": load.seconds,
        "requests_per_second": len(load.latencies) / load.seconds,
        "audio_seconds_per_second": load.audio_seconds / load.seconds,
        **_quantiles(load.latencies),
    }


def describe_delays(delays: Delays) -> dict[str, Any]:
    """The figures of streams."""
    return {
        "streams": delays.num_streams,
        "errors": delays.errors,
        "seconds_behind": (delays.wall_seconds - delays.audio_seconds) / max(1, delays.num_streams),
        "partial": _quantiles(delays.partial),
        "final": _quantiles(delays.final),
        "server": _quantiles(delays.server),
    }


def print_figures(figures: dict[str, Any]) -> None:
    """Tables of what was measured."""
    console = Console()
    table = Table("clients", "lost", "requests/s", "audio s/s", "p50 s", "p95 s", title="recordings")
    for load in figures["loads"]:
        table.add_row(
            str(load["clients"]),
            str(load["lost"]),
            f"{load['requests_per_second']:.2f}",
            f"{load['audio_seconds_per_second']:.1f}",
            f"{load['p50']:.3f}",
            f"{load['p95']:.3f}",
        )
    console.print(table)
    if streams := figures["streams"]:
        table = Table("delay", "messages", "p50 s", "p95 s", title=f"{streams['streams']} streams at once")
        names = {
            "partial": "sample → partial words",
            "final": "end of the last word → final words",
            "server": "as the server says",
        }
        for key, name in names.items():
            row = streams[key]
            delays = ("–" if row[key] is None else f"{row[key]:.3f}" for key in ("p50", "p95"))
            table.add_row(name, str(row["number"]), *delays)
        console.print(table)
        for error in streams["errors"]:
            console.print(f"a stream broke: {error}", markup=False)
    if memory := figures["memory_bytes"]:
        numbers = sorted(memory)
        shown = [numbers[round(share * (len(numbers) - 1))] for share in (0, 0.1, 0.25, 0.5, 0.75, 1)]
        console.print("memory: " + ", ".join(f"{describe_bytes(memory[n])} after {n}" for n in dict.fromkeys(shown)))


def _quantiles(seconds: Sequence[float]) -> dict[str, float | None]:
    p50, p95 = np.quantile(seconds, (0.5, 0.95)).tolist() if seconds else (None, None)
    return {"number": len(seconds), "p50": p50, "p95": p95}


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=1, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
