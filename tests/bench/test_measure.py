import json
import os
import time

import pytest
import torch

from audioroto.bench.measure import (
    call_in_fresh_process,
    describe_bytes,
    limit_memory,
    time_in_turns,
    write_figures,
)
from audioroto.model.memory import PeakMemory

CPU = torch.device("cpu")


def _own_id() -> int:
    return os.getpid()


def _allocate(num_bytes: int, most: int) -> int:
    limit_memory(most, CPU)
    memory = PeakMemory(CPU)
    torch.ones(num_bytes, dtype=torch.uint8)
    return memory.bytes()


def _die() -> None:
    os._exit(7)


def test_tasks_take_turns_and_the_first_round_does_not_count():
    order = []
    seconds = time_in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order == ["a", "b"] * 4
    assert {name: len(spent) for name, spent in seconds.items()} == {"a": 3, "b": 3}


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="peaks of a few MiB are only seen on Linux")
def test_memory_is_measured_and_limited_in_a_process_of_its_own():
    peak = call_in_fresh_process(_allocate, 300 * 2**20, 2**30, limit_seconds=120)
    assert 290 * 2**20 < peak < 330 * 2**20
    assert call_in_fresh_process(_allocate, 300 * 2**20, 2**27, limit_seconds=120) == "out of memory"


def test_what_a_fresh_process_cannot_do_comes_back_as_words():
    assert call_in_fresh_process(_own_id, limit_seconds=120) != os.getpid()
    assert call_in_fresh_process(_die, limit_seconds=120) == "died with status 7"
    assert call_in_fresh_process(time.sleep, 100, limit_seconds=0.2) == "over 0.2 s"


def test_figures_carry_their_circumstances(tmp_path):
    write_figures(tmp_path / "a" / "figures.json", {"answer": 42})
    figures = json.loads((tmp_path / "a" / "figures.json").read_text())
    assert figures["answer"] == 42
    assert {"torch", "hardware", "load", "cores"} <= figures["environment"].keys()


def test_bytes_in_words():
    assert [describe_bytes(2**20), describe_bytes(1.5 * 2**30)] == ["1 MiB", "1.5 GiB"]
