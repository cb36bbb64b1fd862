"""Which utterances share a batch, and in which order: a pure function of durations, seed and epoch."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BatchPlan:
    """One batch to be loaded: its place in the run and the utterances, as indices into the corpus."""

    epoch: int
    number: int  # within the epoch
    indices: tuple[int, ...]


def make_batches(seconds: list[float], batch_seconds: float) -> list[list[int]]:
    """Indices grouped by length, so that count × longest ≤ `batch_seconds`; from the shortest batch to the longest.

    An utterance longer than `batch_seconds` is a batch by itself.
    """
    order = sorted(range(len(seconds)), key=lambda index: (seconds[index], index))
    batches: list[list[int]] = []
    for index in order:
        if batches and (len(batches[-1]) + 1) * seconds[index] <= batch_seconds:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def plan_epoch(
    seconds: list[float], batch_seconds: float, *, seed: int, epoch: int, short_first: bool
) -> list[BatchPlan]:
    """The batches of one epoch, in order; who meets whom changes from epoch to epoch.

    Lengths are jittered by up to ±10 % before they are grouped. `short_first` goes from short to long utterances, as a
    curriculum; otherwise the order is shuffled.
    """
    generator = np.random.default_rng([seed, epoch])
    jittered = np.asarray(seconds) * generator.uniform(0.9, 1.1, len(seconds))
    batches = make_batches(jittered.tolist(), batch_seconds)
    if not short_first:
        batches = [batches[place] for place in generator.permutation(len(batches))]
    return [BatchPlan(epoch, number, tuple(batch)) for number, batch in enumerate(batches)]


def iter_batches(
    seconds: list[float], batch_seconds: float, *, seed: int, short_first_epochs: int, epoch: int = 0, number: int = 0
) -> Iterator[BatchPlan]:
    """Batches without end, from batch `number` of `epoch` on: where an interrupted run goes on."""
    while True:
        plan = plan_epoch(seconds, batch_seconds, seed=seed, epoch=epoch, short_first=epoch < short_first_epochs)
        yield from plan[number:]
        epoch, number = epoch + 1, 0
