import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("fastapi")

from audioroto.infer.transcript import Transcript
from audioroto.serve.batcher import Batcher


class Slow:
    """Gives each waveform a transcript of its own length, and says which lengths came together."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.batches: list[list[int]] = []

    def __call__(self, waveforms):
        lengths = [len(waveform) for waveform in waveforms]
        self.batches.append(lengths)
        assert self.gate.wait(10)
        if 13 in lengths:
            raise ValueError("thirteen")
        return [Transcript((), float(length)) for length in lengths]


@pytest.fixture
def slow():
    return Slow()


@pytest.fixture
def batcher(slow):
    batcher = Batcher(slow, batch_samples=100, wait_seconds=0.2)
    yield batcher
    slow.gate.set()
    batcher.stop()


def waveforms(*lengths):
    return [np.zeros(length, np.float32) for length in lengths]


def wait_for_batches(slow, number):
    deadline = time.monotonic() + 10
    while len(slow.batches) < number:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_those_that_come_together_are_computed_together_within_the_limit(batcher, slow):
    slow.gate.set()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda length: batcher.submit(waveforms(length))[0].result(), (20, 21, 22, 23)))
    assert [transcript.seconds for transcript in found] == [20, 21, 22, 23]
    assert [sorted(batch) for batch in slow.batches] == [[20, 21, 22, 23]]
    futures = batcher.submit(waveforms(40, 40, 40, 10, 10, 200, 1))
    assert [future.result().seconds for future in futures] == [40, 40, 40, 10, 10, 200, 1]
    assert slow.batches[1:] == [[40, 40], [40, 10], [10], [200], [1]]


def test_the_first_waits_no_longer_than_it_was_said(slow):
    slow.gate.set()
    batcher = Batcher(slow, batch_samples=1e9, wait_seconds=0.05)
    started = time.monotonic()
    batcher.submit(waveforms(5))[0].result()
    assert 0.05 <= time.monotonic() - started < 5
    batcher.stop()


def test_what_is_cancelled_is_never_computed_and_what_is_urgent_goes_first(batcher, slow):
    (running,) = batcher.submit(waveforms(100))
    wait_for_batches(slow, 1)
    futures = batcher.submit(waveforms(90, 91, 92))
    urgent = batcher.submit(waveforms(80, 81), urgent=True)
    assert futures[1].cancel()
    slow.gate.set()
    assert [future.result().seconds for future in (running, *urgent, futures[0], futures[2])] == [100, 80, 81, 90, 92]
    assert slow.batches == [[100], [80], [81], [90], [92]]


def test_one_that_fails_takes_nobody_with_it(batcher, slow):
    slow.gate.set()
    futures = batcher.submit(waveforms(12, 13, 14))
    assert [futures[0].result().seconds, futures[2].result().seconds] == [12, 14]
    with pytest.raises(ValueError, match="thirteen"):
        futures[1].result()
    assert batcher.is_alive


def test_stopping_gives_up_what_waits(slow):
    batcher = Batcher(slow, batch_samples=10, wait_seconds=0.0)
    (running,) = batcher.submit(waveforms(10))
    wait_for_batches(slow, 1)
    (waiting,) = batcher.submit(waveforms(10))
    threading.Timer(0.1, slow.gate.set).start()
    batcher.stop()
    assert running.result().seconds == 10
    assert waiting.cancelled()
    assert not batcher.is_alive
    with pytest.raises(RuntimeError, match="stopped"):
        batcher.submit(waveforms(10))
