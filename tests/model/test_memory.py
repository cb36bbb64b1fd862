import os

import numpy as np
import pytest
import torch

from audioroto.model.memory import PeakMemory

needs_linux = pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="only Linux forgets a peak")
MEBIBYTE = 2**20


def touch(mebibytes: int) -> None:
    """Take memory and give it back: large blocks go straight back to the system."""
    np.ones(mebibytes * MEBIBYTE, dtype=np.uint8)


@needs_linux
def test_the_peak_is_seen_after_the_memory_is_gone():
    memory = PeakMemory(torch.device("cpu"))
    touch(200)
    assert 190 * MEBIBYTE < memory.bytes() < 230 * MEBIBYTE


@needs_linux
def test_a_forgotten_peak_is_gone_and_the_start_stays():
    memory = PeakMemory(torch.device("cpu"))
    touch(300)
    kept = np.ones(100 * MEBIBYTE, dtype=np.uint8)
    memory.forget()
    touch(50)
    assert 140 * MEBIBYTE < memory.bytes() < 180 * MEBIBYTE
    del kept
    memory.forget()
    assert memory.bytes() < 30 * MEBIBYTE
