"""Waveforms of several users, recognized together."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from audioroto.infer.transcript import Transcript

_logger = logging.getLogger(__name__)


@dataclass
class _Item:
    waveform: np.ndarray
    arrived: float
    future: "Future[Transcript]" = field(default_factory=Future)


class Batcher:
    """A thread that recognizes whatever has come in, a batch at a time; which text comes out depends on no neighbour.

    A batch is closed when count × longest reaches `batch_samples`, or `wait_seconds` after the first of it came. While
    a batch is computed the next one gathers. `observe` is told the samples in each batch, one number a waveform.
    """

    def __init__(
        self,
        recognize: Callable[[Sequence[np.ndarray]], list[Transcript]],
        *,
        batch_samples: float,
        wait_seconds: float,
        observe: Callable[[Sequence[int]], None] = lambda lengths: None,
    ) -> None:
        self._recognize = recognize
        self._batch_samples = batch_samples
        self._wait_seconds = wait_seconds
        self._observe = observe
        self._waiting: deque[_Item] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it still works."""
        return self._thread.is_alive()

    def submit(self, waveforms: Sequence[np.ndarray], *, urgent: bool = False) -> "list[Future[Transcript]]":
        """A future for the transcript of each waveform (S,); one that is cancelled in time is never computed.

        What is `urgent`, because somebody speaks and waits for the words, goes before what is not.
        """
        items = [_Item(waveform, time.monotonic()) for waveform in waveforms]
        with self._changed:
            if self._stopped:
                raise RuntimeError("the batcher was stopped")
            if urgent:
                self._waiting.extendleft(reversed(items))
            else:
                self._waiting.extend(items)
            self._changed.notify()
        return [item.future for item in items]

    def stop(self) -> None:
        """End the thread when the batch in work is done; what waits is cancelled."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()
        for item in self._waiting:
            item.future.cancel()

    def _work(self) -> None:
        while not self._stopped:
            batch = [item for item in self._take() if item.future.set_running_or_notify_cancel()]
            if batch:
                self._observe([len(item.waveform) for item in batch])
                self._answer(batch)

    def _take(self) -> list[_Item]:
        with self._changed:
            while not self._stopped:
                if not self._waiting:
                    self._changed.wait()
                    continue
                num_fitting = self._count_fitting()
                patience = min(item.arrived for item in self._waiting) + self._wait_seconds - time.monotonic()
                if num_fitting < len(self._waiting) or patience <= 0:
                    return [self._waiting.popleft() for _ in range(num_fitting)]
                self._changed.wait(patience)
        return []

    def _count_fitting(self) -> int:
        """How many of those in front make a batch: as many as fit, or one."""
        longest = 0
        for place, item in enumerate(self._waiting):
            longest = max(longest, len(item.waveform))
            if place and (place + 1) * longest > self._batch_samples:
                return place
        return len(self._waiting)

    def _answer(self, batch: list[_Item]) -> None:
        try:
            transcripts = self._recognize([item.waveform for item in batch])
        except Exception as error:
            if len(batch) == 1:
                batch[0].future.set_exception(error)
                return
            _logger.warning("a batch of %d failed (%s); each is recognized by itself", len(batch), error)
            for item in batch:  # one of them is at fault, or all together are too much: the others are not to suffer
                self._answer([item])
        else:
            for item, transcript in zip(batch, transcripts, strict=True):
                item.future.set_result(transcript)
