"""Stretches of speech on their way through a model: in batches, or out of a recording that was encoded whole."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from audioroto.audio.segment import AudioSegment

if TYPE_CHECKING:
    from audioroto.infer.engine import Encoding


@dataclass
class Progress:
    """How much of a recording has been read, and in how many stretches of it there is speech."""

    num_samples: int = 0
    num_stretches: int = 0

    def count(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The blocks, counted as they pass."""
        for block in blocks:
            self.num_samples += len(block)
            yield block


class WholeEncoding:
    """A recording encoded in one piece, from which stretches are taken; nothing is computed before the first."""

    def __init__(self, engine: Any, samples: np.ndarray) -> None:
        self.engine = engine
        self.samples = samples

    @cached_property
    def encoding(self) -> "Encoding":
        return self.engine.encode([self.samples])

    def __call__(self, stretches: Sequence[AudioSegment]) -> "Encoding":
        frames_per_second = 1 / self.engine.frame_seconds
        num_frames = len(self.encoding.log_probs[0])  # a window's rest at the end of the recording has none
        spans = []
        for stretch in stretches:
            end_seconds = stretch.start_seconds + len(stretch.samples) / self.engine.config.features.sample_rate
            first, last = round(stretch.start_seconds * frames_per_second), math.ceil(end_seconds * frames_per_second)
            spans.append((min(first, num_frames), min(last, num_frames)))
        return self.encoding.split(spans)


def iter_batches(stretches: Iterable[AudioSegment], batch_samples: float) -> Iterator[list[AudioSegment]]:
    """Stretches in their order, so many that count × longest ≤ `batch_samples`, or one."""
    batch: list[AudioSegment] = []
    for stretch in stretches:
        longest = max(len(other.samples) for other in [*batch, stretch])
        if batch and (len(batch) + 1) * longest > batch_samples:
            yield batch
            batch = []
        batch.append(stretch)
    if batch:
        yield batch
