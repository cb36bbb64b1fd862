"""Whether an exported model is the original: the same texts, as good, how much faster and smaller."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from audioroto.corpus.datadir import Utterance, read_datadir
from audioroto.errors import UserError
from audioroto.files import write_text
from audioroto.infer.recognizer import Recognizer, load_model
from audioroto.model.checkpoint import describe_hardware
from audioroto.score.error_rate import ErrorRate, align_texts
from audioroto.text.normalize import normalize

NUM_UTTERANCES = 100


@dataclass(frozen=True)
class Candidate:
    """A model file to be measured."""

    name: str
    path: Path


@dataclass(frozen=True)
class Measured:
    """A model on the utterances, each alone; what is compared is compared with the first of the proof."""

    name: str
    size_bytes: int
    word_errors: int
    word_error_rate: float
    real_time_factor: float  # median over utterances, samples to log-probabilities, one thread
    times_faster: float  # median over utterances
    identical_share: float  # of transcripts
    largest_difference: float  # of log-probabilities, in nats


@dataclass(frozen=True)
class Floor:
    """What an exported model has to keep, and what it came to."""

    what: str
    limit: float
    found: float
    kept: bool


@dataclass(frozen=True)
class Proof:
    """The original first, then what was exported from it."""

    data_dir: str
    utterances: int
    audio_seconds: float
    hardware: str
    measured: tuple[Measured, ...]
    floors: tuple[Floor, ...]


def prove_export(candidates: Sequence[Candidate], data_dir: str | Path) -> Proof:
    """Measure models on up to NUM_UTTERANCES utterances of a data directory, evenly spread, in turns.

    The first is the original, the second what was exported from it in float32; a third, in int8, is held against the
    second. Raises UserError without transcripts.
    """
    utterances = _choose(read_datadir(data_dir))
    threads = torch.get_num_threads()
    try:
        recognizers = [load_model(candidate.path, "cpu", threads=1) for candidate in candidates]
        hardware = describe_hardware()
        heard = [_Heard() for _ in candidates]
        for number, utterance in enumerate(track(utterances, "prove", console=Console(stderr=True))):
            waveform = utterance.load(recognizers[0].sample_rate)
            if number == 0:  # what is made at the first call is not what a call takes
                for recognizer in recognizers:
                    recognizer.engine.encode([waveform])
            places = np.roll(np.arange(len(recognizers)), number)  # none is always the one that warms the cache
            for place in places:
                heard[place].listen(recognizers[place], waveform)
    finally:
        torch.set_num_threads(threads)
    normalizer = recognizers[0].engine.config.text.normalizer
    references = [normalize(utterance.text or "", normalizer) for utterance in utterances]
    measured = tuple(
        each.compare(candidate, heard[0], references) for candidate, each in zip(candidates, heard, strict=True)
    )
    return Proof(
        data_dir=Path(data_dir).name,
        utterances=len(utterances),
        audio_seconds=round(sum(heard[0].audio_seconds), 2),
        hardware=hardware,
        measured=measured,
        floors=tuple(_check_floors(measured, heard)),
    )


def write_proof(path: str | Path, proof: Proof) -> None:
    """Write a proof as JSON."""
    write_text(path, json.dumps(asdict(proof), indent=2, ensure_ascii=False) + "\n")


class _Heard:
    """What one model made of the utterances so far."""

    def __init__(self) -> None:
        self.audio_seconds: list[float] = []
        self.seconds: list[float] = []
        self.texts: list[str] = []
        self.log_probs: list[np.ndarray] = []

    def listen(self, recognizer: Recognizer, waveform: np.ndarray) -> None:
        started = time.perf_counter()
        encoding = recognizer.engine.encode([waveform])
        self.seconds.append(time.perf_counter() - started)
        self.audio_seconds.append(len(waveform) / recognizer.sample_rate)
        self.texts.append(recognizer.search([waveform], encoding, "ctc_greedy")[0].text)
        self.log_probs.append(encoding.log_probs[0])

    def compare(self, candidate: Candidate, original: "_Heard", references: Sequence[str]) -> Measured:
        errors = sum((each.error_rate for each in align_texts(references, self.texts, "word")), ErrorRate())
        pairs = zip(self.log_probs, original.log_probs, strict=True)
        return Measured(
            name=candidate.name,
            size_bytes=candidate.path.stat().st_size,
            word_errors=errors.errors,
            word_error_rate=errors.rate,
            real_time_factor=float(np.median(np.divide(self.seconds, self.audio_seconds))),
            times_faster=self.compute_times_faster(original),
            identical_share=float(np.mean([a == b for a, b in zip(self.texts, original.texts, strict=True)])),
            largest_difference=max(float(np.abs(own - other).max(initial=0.0)) for own, other in pairs),
        )

    def compute_times_faster(self, other: "_Heard") -> float:
        """The median over utterances."""
        return float(np.median(np.divide(other.seconds, self.seconds)))


def _check_floors(measured: Sequence[Measured], heard: Sequence[_Heard]) -> list[Floor]:
    """Of float32 that it is the original; of int8 that it is worth what it costs, against float32."""
    original, exported, *quantized = measured
    difference = exported.largest_difference
    floors = [Floor("float32: largest difference of log-probabilities, at most", 1e-3, difference, difference <= 1e-3)]
    for int8 in quantized:
        size = int8.size_bytes / exported.size_bytes
        faster = heard[2].compute_times_faster(heard[1])
        lost = 100 * (int8.word_error_rate - original.word_error_rate)
        floors += [
            Floor("int8: size beside float32, at most", 0.3, size, size <= 0.3),
            Floor("int8: times faster than float32, at least", 1.3, faster, faster >= 1.3),
            Floor("int8: % absolute word errors lost, at most", 0.3, lost, lost <= 0.3),
        ]
    return floors


def _choose(utterances: list[Utterance]) -> list[Utterance]:
    """Up to NUM_UTTERANCES that have a transcript, evenly spread."""
    spoken = [utterance for utterance in utterances if utterance.text]
    if not spoken:
        raise UserError("no utterance has a transcript to count errors by; give --data-dir one with a 'text' file")
    places = np.linspace(0, len(spoken) - 1, min(NUM_UTTERANCES, len(spoken))).round().astype(int)
    return [spoken[place] for place in places]
