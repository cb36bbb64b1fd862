import platform
import resource

import pytest
import torch

from audioroto.bench.measure import call_in_fresh_process
from audioroto.model.allocator import keep_freed_memory

NUM_TENSORS, NUM_BYTES = 10, 64 * 2**20


def count_page_faults(keep: bool) -> int:
    if keep:
        keep_freed_memory()
    torch.ones(NUM_BYTES, dtype=torch.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(NUM_TENSORS):
        torch.ones(NUM_BYTES, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what other C libraries do is left to them")
def test_pages_of_a_freed_tensor_serve_the_next():
    anew, kept = (call_in_fresh_process(count_page_faults, keep, limit_seconds=120) for keep in (False, True))
    assert kept < anew / 5


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not keep_freed_memory()
