"""How everything here is measured: time in turns, memory in a process of its own, figures with their circumstances."""

import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from audioroto.files import write_text
from audioroto.model.checkpoint import describe_environment

Outcome = Any  # of a measurement, plain data that goes through a pipe


def time_in_turns(
    tasks: Mapping[str, Callable[[], object]], num_rounds: int, device: torch.device | None = None
) -> dict[str, list[float]]:
    """Seconds of each task in each round, the tasks taking turns, so that what else the machine does meets all alike.

    One round more comes first and does not count.
    """
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(num_rounds + 1):
        for name, task in tasks.items():
            spent = time_once(task, device)
            if number:
                seconds[name].append(spent)
    return seconds


def time_once(task: Callable[[], object], device: torch.device | None = None) -> float:
    """Seconds that a task takes, until the device has finished it, by the clock of `clock_name`."""
    clock = time.process_time if clock_name(device) == "processor time" else time.perf_counter
    _wait_for(device)
    started = clock()
    task()
    _wait_for(device)
    return clock() - started


def clock_name(device: torch.device | None = None) -> str:
    """`processor time` where one thread does all the work, so that what else the machine does is not counted."""
    on_cpu = device is None or device.type == "cpu"
    return "processor time" if on_cpu and torch.get_num_threads() == 1 else "elapsed time"


def limit_memory(num_bytes: int, device: torch.device) -> None:
    """Let allocations fail that would take this process more than `num_bytes` above what it has now."""
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, num_bytes / total), device)
    elif Path("/proc/self/statm").exists():
        in_use = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (in_use + num_bytes, resource.RLIM_INFINITY))


def call_in_fresh_process(function: Callable[..., Outcome], *arguments: Any, limit_seconds: float) -> Outcome | str:
    """What `function` (of a module's top level) returns when a new interpreter calls it.

    A string says why nothing came back: it took longer than `limit_seconds`, ran out of memory, or died.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_call_and_send, args=(sender, function, arguments), daemon=True)
    process.start()
    sender.close()
    try:
        return receiver.recv() if receiver.poll(limit_seconds) else f"over {limit_seconds:g} s"
    except EOFError:
        process.join()
        return f"died with status {process.exitcode}"
    finally:
        process.kill()
        process.join()


def write_figures(path: Path, figures: Mapping[str, Any]) -> None:
    """Write measured figures as JSON, with versions, hardware and how busy the machine is."""
    busy = {"load": [round(load, 2) for load in os.getloadavg()], "cores": os.cpu_count()}
    write_text(path, json.dumps({"environment": {**describe_environment(), **busy}, **figures}, indent=1) + "\n")


def describe_bytes(num_bytes: float) -> str:
    """Bytes for reading: `812 MiB`, `1.3 GiB`."""
    mebibytes = num_bytes / 2**20
    return f"{mebibytes:.0f} MiB" if mebibytes < 1000 else f"{mebibytes / 1024:.1f} GiB"


def _call_and_send(sender: Connection, function: Callable[..., Outcome], arguments: tuple[Any, ...]) -> None:
    try:
        outcome = function(*arguments)
    except (MemoryError, torch.OutOfMemoryError):
        outcome = "out of memory"
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # how torch says it on a CPU
            raise
        outcome = "out of memory"
    sender.send(outcome)


def _wait_for(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
