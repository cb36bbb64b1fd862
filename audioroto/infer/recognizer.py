"""A model that turns samples into text."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from audioroto.audio.load import load_audio
from audioroto.audio.resample import resample
from audioroto.errors import AudioError
from audioroto.infer.transcript import Transcript
from audioroto.search.ctc_greedy import ctc_greedy


class Recognizer:
    """A loaded model. `transcribe` takes one recording, `recognize` a batch of waveforms at the model's rate."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.tokenizer = engine.tokenizer
        self.sample_rate: int = engine.config.features.sample_rate

    def transcribe(
        self, audio: str | os.PathLike[str] | bytes | BinaryIO | np.ndarray, rate: int | None = None
    ) -> Transcript:
        """The text of one recording: a file's path, its bytes, or samples in [−1, 1] with their `rate` in hertz.

        Samples are (S,) or (S, channels). Raises AudioError that names what cannot be read.
        """
        if isinstance(audio, np.ndarray):
            samples = _as_mono(audio, rate, self.sample_rate)
        else:
            samples, _ = load_audio(audio, self.sample_rate)
        return self.recognize([samples])[0]

    def recognize(self, waveforms: Sequence[np.ndarray]) -> list[Transcript]:
        """The text of each waveform (S,), float32 at `sample_rate`, computed as one batch."""
        hypotheses = [ctc_greedy(log_probs) for log_probs in self.engine.compute_log_probs(waveforms)]
        return [
            Transcript(
                text=self.tokenizer.decode(list(hypothesis.tokens)),
                seconds=len(waveform) / self.sample_rate,
                score=hypothesis.score,
            )
            for waveform, hypothesis in zip(waveforms, hypotheses, strict=True)
        ]


def load_model(path: str | Path, device: str = "auto") -> Recognizer:
    """The recognizer in a model file. Raises UserError when the file is missing, damaged or no model of ours."""
    from audioroto.infer.engine import TorchEngine

    return Recognizer(TorchEngine(path, device))


def _as_mono(samples: np.ndarray, rate: int | None, to_rate: int) -> np.ndarray:
    if rate is None:
        raise AudioError("samples without their rate; call transcribe(samples, rate=16000) with the true rate in hertz")
    if samples.ndim not in (1, 2) or samples.size == 0:
        raise AudioError(f"samples of shape {samples.shape}; give (S,) or (S, channels) with S > 0")
    if not np.issubdtype(samples.dtype, np.floating):
        raise AudioError(f"samples are {samples.dtype}; give floats in [−1, 1], for 16-bit integers samples / 32768")
    mono = samples.astype(np.float32)
    mono = mono.mean(axis=1) if mono.ndim == 2 else mono  # (S,)
    if not np.isfinite(mono).all():
        raise AudioError("samples hold NaN or infinity; repair the recording first")
    return resample(mono, rate, to_rate)
