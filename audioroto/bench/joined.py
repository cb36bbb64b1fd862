"""Utterances joined into longer ones: how a model fares at lengths that it never met, without training again."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from audioroto.corpus.datadir import Utterance

PAUSE_SECONDS = 0.2
SEARCH_HOP_SECONDS = 0.01


@dataclass(frozen=True)
class Joined:
    """Utterances of one speaker, one after the other, with a pause between them."""

    parts: tuple[Utterance, ...]

    @property
    def id(self) -> str:
        """The first utterance's id, and how many follow."""
        return self.parts[0].id if len(self.parts) == 1 else f"{self.parts[0].id}+{len(self.parts) - 1}"

    @property
    def speaker(self) -> str:
        return self.parts[0].speaker

    @property
    def seconds(self) -> float:
        """Duration with the pauses, in seconds."""
        return sum(part.seconds for part in self.parts) + PAUSE_SECONDS * (len(self.parts) - 1)


def join_utterances(utterances: Sequence[Utterance], times: int) -> list[Joined]:
    """Join each speaker's utterances, in the order of their ids, `times` at once.

    What is left of a speaker makes a shorter one, so that every word is said once at every `times`. Ids that name
    recording sessions, as LibriSpeech's chapters do, keep a session together.
    """
    ordered = sorted(utterances, key=lambda utterance: (utterance.speaker, utterance.id))
    by_speaker = [tuple(spoken) for _, spoken in groupby(ordered, key=lambda utterance: utterance.speaker)]
    return [Joined(spoken[first : first + times]) for spoken in by_speaker for first in range(0, len(spoken), times)]


def load_joined(joined: Joined, sample_rate: int) -> np.ndarray:
    """Its waveform (S,) float32 at `sample_rate`.

    A pause is the quietest stretch of the utterance before it: silence of zeros would be a sound that no model has met.
    """
    pieces: list[np.ndarray] = []
    for part in joined.parts:
        if pieces:
            pieces.append(find_quietest(pieces[-1], round(PAUSE_SECONDS * sample_rate), sample_rate))
        pieces.append(part.load(sample_rate))
    return np.concatenate(pieces)


def find_quietest(samples: np.ndarray, num_samples: int, sample_rate: int) -> np.ndarray:
    """The `num_samples` of a waveform (S,) with the least energy, found in steps of 10 ms; all of a shorter one."""
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    starts = np.arange(0, max(1, len(samples) - num_samples + 1), round(SEARCH_HOP_SECONDS * sample_rate))
    ends = np.minimum(starts + num_samples, len(samples))
    start = int(starts[np.argmin(energy[ends] - energy[starts])])
    return samples[start : start + num_samples]
