"""Which utterances share a batch, and in which order: a pure function of durations, seed and epoch."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BatchPlan:
    """What goes through the model at once: its place in the run and the utterances, as indices into the corpus."""

    epoch: int
    number: int  # of the update within the epoch
    indices: tuple[int, ...]
    part: int = 0  # of the update


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
    seconds: list[float],
    batch_seconds: float,
    *,
    micro_batch_seconds: float = 0.0,
    seed: int,
    epoch: int,
    short_first: bool,
) -> list[tuple[BatchPlan, ...]]:
    """The updates of one epoch, in order, each as its parts; who meets whom changes from epoch to epoch.

    Lengths are jittered by up to ±10 % before they are grouped, into parts of at most `micro_batch_seconds`, of which
    as many as `batch_seconds` has room for are an update (0: one of `batch_seconds`). `short_first` goes from short to
    long utterances, as a curriculum; otherwise the order is shuffled.
    """
    generator = np.random.default_rng([seed, epoch])
    jittered = np.asarray(seconds) * generator.uniform(0.9, 1.1, len(seconds))
    parts = make_batches(jittered.tolist(), micro_batch_seconds or batch_seconds)
    num_parts = max(1, int(batch_seconds / micro_batch_seconds + 1e-9)) if micro_batch_seconds else 1
    updates = [parts[start : start + num_parts] for start in range(0, len(parts), num_parts)]
    if not short_first:
        updates = [updates[place] for place in generator.permutation(len(updates))]
    return [
        tuple(BatchPlan(epoch, number, tuple(indices), part) for part, indices in enumerate(update))
        for number, update in enumerate(updates)
    ]


def iter_updates(
    seconds: list[float],
    batch_seconds: float,
    *,
    micro_batch_seconds: float = 0.0,
    seed: int,
    short_first_epochs: int,
    epoch: int = 0,
    number: int = 0,
) -> Iterator[tuple[BatchPlan, ...]]:
    """Updates without end, from update `number` of `epoch` on: where an interrupted run goes on."""
    while True:
        updates = plan_epoch(
            seconds,
            batch_seconds,
            micro_batch_seconds=micro_batch_seconds,
            seed=seed,
            epoch=epoch,
            short_first=epoch < short_first_epochs,
        )
        yield from updates[number:]
        epoch, number = epoch + 1, 0
