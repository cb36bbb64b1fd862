import os

import numpy as np
import pytest
import torch

from audioroto.bench.measure import call_in_fresh_process
from audioroto.model.memory import PeakMemory

needs_linux = pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="only Linux forgets a peak")
MEBIBYTE = 2**20


def touch(mebibytes: int) -> None:
    """Take memory and give it back: large blocks go straight back to the system."""
    np.ones(mebibytes * MEBIBYTE, dtype=np.uint8)


def measure_after_the_memory_is_gone() -> float:
    memory = PeakMemory(torch.device("cpu"))
    touch(200)
    return memory.bytes() / MEBIBYTE


def measure_with_a_forgotten_peak() -> tuple[float, float]:
    memory = PeakMemory(torch.device("cpu"))
    touch(300)
    kept = np.ones(100 * MEBIBYTE, dtype=np.uint8)
    memory.forget()
    touch(50)
    with_kept = memory.bytes() / MEBIBYTE
    del kept
    memory.forget()
    return with_kept, memory.bytes() / MEBIBYTE


# In a process of their own: what earlier tests freed may still be this one's, and is taken again without a trace.
@needs_linux
def test_the_peak_is_seen_after_the_memory_is_gone():
    assert 190 < call_in_fresh_process(measure_after_the_memory_is_gone, limit_seconds=120) < 230


@needs_linux
def test_a_forgotten_peak_is_gone_and_the_start_stays():
    with_kept, without = call_in_fresh_process(measure_with_a_forgotten_peak, limit_seconds=120)
    assert 140 < with_kept < 180
    assert without < 30
