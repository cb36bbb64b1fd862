"""Batches that a run may break on: the largest, and those whose loss is not finite."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import torch

from audioroto.config import Config, Train
from audioroto.corpus.batches import BatchPlan, plan_epoch
from audioroto.corpus.loader import Batch, SpeechDataset
from audioroto.errors import UserError
from audioroto.files import atomic_path
from audioroto.model.tensor_file import write_tensors

_MOST_EPOCHS = 10  # looked through for the worst batch; lengths are jittered anew in each, but by little


def find_worst_batch(seconds: list[float], settings: Train) -> BatchPlan:
    """What takes most memory at once, by its total padded seconds, in the first epochs of a run."""

    def padded_seconds(plan: BatchPlan) -> float:
        return len(plan.indices) * max(seconds[index] for index in plan.indices)

    updates: list[tuple[BatchPlan, ...]] = []
    for epoch in range(_MOST_EPOCHS):
        updates += plan_updates(seconds, settings, epoch)
        if len(updates) >= settings.max_updates:
            break
    return max(chain.from_iterable(updates), key=padded_seconds)


def plan_updates(seconds: list[float], settings: Train, epoch: int) -> list[tuple[BatchPlan, ...]]:
    """The updates of an epoch after the curriculum."""
    return plan_epoch(
        seconds,
        settings.batch_seconds,
        micro_batch_seconds=settings.micro_batch_seconds,
        seed=settings.seed,
        epoch=epoch,
        short_first=False,
    )


def load_worst_batch(dataset: SpeechDataset, config: Config) -> Batch:
    """The batch that takes most memory, each of its utterances at the slowest of the speeds."""
    slowest = config.augment.model_copy(update={"speeds": (min(config.augment.speeds),), "nonspeech_share": 0.0})
    slow = SpeechDataset(dataset.utterances, dataset.tokens, dataset.sample_rate, seed=dataset.seed, augment=slowest)
    return slow[find_worst_batch(dataset.seconds, config.train)]


@contextmanager
def explain_out_of_memory(batches: list[Batch], config: Config) -> Iterator[None]:
    """Turn running out of memory over one of `batches` into a UserError that says which setting to change to what."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not _is_out_of_memory(error) or not batches:
            raise
        batch = max(batches, key=lambda batch: batch.waveforms.numel())
        longest = int(batch.waveform_lengths.max()) / config.features.sample_rate
        # Half as much at once: the update, and with it the learning rate that suits it, stays as it is.
        key, value = "train.micro_batch_seconds", (config.train.micro_batch_seconds or config.train.batch_seconds) / 2
        if len(batch.ids) == 1:  # smaller batches would not help
            key, value = "train.max_utterance_seconds", longest / 2
        raise UserError(
            f"out of memory over a batch of {len(batch.ids)} utterances, the longest of {longest:.1f} s "
            f"({batch.ids[0]} …); use --set {key}={value:g}"
        ) from error


def save_bad_batch(path: str | Path, batch: Batch, update: int) -> None:
    """Write the tensors of a batch, with its utterance ids and seeds as metadata, to look into later."""
    tensors = {
        "waveforms": batch.waveforms,
        "waveform_lengths": batch.waveform_lengths,
        "tokens": batch.tokens,
        "token_lengths": batch.token_lengths,
        "seeds": torch.tensor(batch.seeds),
    }
    metadata = {"ids": json.dumps(batch.ids), "epoch": str(batch.plan.epoch), "update": str(update)}
    with atomic_path(path) as temporary:
        write_tensors(temporary, tensors, metadata)


def _is_out_of_memory(error: BaseException) -> bool:
    # Note: on the CPU torch raises a bare RuntimeError, known by its words alone.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)
