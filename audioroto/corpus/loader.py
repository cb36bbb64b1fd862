"""Utterances to tensors: reads, perturbs and pads audio in worker processes, beside the training."""

import hashlib
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from audioroto.config import Augment
from audioroto.corpus.batches import BatchPlan
from audioroto.corpus.datadir import Utterance
from audioroto.corpus.surroundings import Surroundings

LOADED_AHEAD = 4  # updates that each worker has ready at most


@dataclass(frozen=True)
class Batch:
    """Padded waveforms (B, S) and tokens (B, U) with their lengths (B,), and a seed an utterance for augmentation."""

    plan: BatchPlan
    ids: list[str]
    waveforms: Tensor
    waveform_lengths: Tensor
    tokens: Tensor
    token_lengths: Tensor
    seeds: list[int]


class SpeechDataset(Dataset[Batch]):
    """Turns a `BatchPlan` into a `Batch`. With `augment`, each utterance is perturbed by draws keyed to it alone.

    Raises UserError when a folder that `augment` names holds no audio.
    """

    def __init__(
        self,
        utterances: list[Utterance],
        tokens: list[list[int]],
        sample_rate: int,
        *,
        seed: int = 0,
        augment: Augment | None = None,
    ) -> None:
        self.utterances = utterances
        self.tokens = tokens
        self.sample_rate = sample_rate
        self.seed = seed
        self.surroundings = Surroundings(augment, sample_rate) if augment else None

    @property
    def seconds(self) -> list[float]:
        """The length of each utterance, as recorded."""
        return [utterance.seconds for utterance in self.utterances]

    @property
    def surroundings_files(self) -> list[Path]:
        """Noises and impulse responses that utterances may be perturbed with."""
        return [*self.surroundings.impulse_responses, *self.surroundings.noises] if self.surroundings else []

    def __getitem__(self, plan: BatchPlan) -> Batch:
        """Raises AudioError naming the file that cannot be read."""
        utterances = [self.utterances[index] for index in plan.indices]
        seeds = [utterance_seed(self.seed, plan.epoch, utterance.id) for utterance in utterances]
        heard = [self._load(index, seed) for index, seed in zip(plan.indices, seeds, strict=True)]
        waveforms = [waveform for waveform, _ in heard]
        tokens = [torch.tensor(labels, dtype=torch.int64) for _, labels in heard]
        return Batch(
            plan=plan,
            ids=[utterance.id for utterance in utterances],
            waveforms=pad_waveforms(waveforms),  # (B, S)
            waveform_lengths=torch.tensor([len(waveform) for waveform in waveforms]),
            tokens=torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True),  # (B, U)
            token_lengths=torch.tensor([len(row) for row in tokens]),
            seeds=seeds,
        )

    def _load(self, index: int, seed: int) -> tuple[np.ndarray, list[int]]:
        """What is heard of an utterance, and the tokens that are said in it."""
        utterance = self.utterances[index]
        if self.surroundings:
            num_samples = max(1, round(utterance.seconds * self.sample_rate))
            nonspeech = self.surroundings.draw_nonspeech(num_samples, seed)
            if nonspeech is not None:
                return nonspeech, []
        samples = utterance.load(self.sample_rate)
        return self.surroundings.perturb(samples, seed) if self.surroundings else samples, self.tokens[index]


def load_batches(dataset: SpeechDataset, plans: Iterable[BatchPlan], num_workers: int) -> Iterator[Batch]:
    """The batches of `plans`, in order, loaded ahead by `num_workers` processes (0: in this one)."""
    return iter(DataLoader(dataset, batch_size=None, sampler=plans, **_use_workers(num_workers)))


def load_updates(dataset: SpeechDataset, updates: Iterable[list[BatchPlan]], num_workers: int) -> Iterator[list[Batch]]:
    """The batches of each of `updates`, which may have none, loaded like those of `load_batches`."""
    return iter(DataLoader(dataset, batch_sampler=updates, collate_fn=list, **_use_workers(num_workers)))


def pad_waveforms(waveforms: list[np.ndarray]) -> Tensor:
    """Waveforms of different lengths as one tensor (B, S), zeros behind each."""
    padded = torch.zeros(len(waveforms), max(len(waveform) for waveform in waveforms))
    for row, waveform in zip(padded, waveforms, strict=True):
        row[: len(waveform)] = torch.from_numpy(waveform)
    return padded  # (B, S)


def utterance_seed(seed: int, epoch: int, utterance_id: str) -> int:
    """A 63-bit seed for one utterance in one epoch: the same in whatever batch, process or worker it is drawn."""
    digest = hashlib.blake2b(f"{seed}/{epoch}/{utterance_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def _use_workers(num_workers: int) -> dict[str, Any]:
    return {
        "num_workers": num_workers,
        "prefetch_factor": LOADED_AHEAD if num_workers else None,
        "worker_init_fn": _begin_worker,
        # Note: a fork of a process whose threads hold locks can hang; a fresh interpreter cannot.
        "multiprocessing_context": "forkserver" if num_workers else None,
    }


def _begin_worker(_: int) -> None:
    torch.set_num_threads(1)
    # Note: a terminal's Ctrl-C reaches workers too, which training still needs to come to the point where it saves.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
