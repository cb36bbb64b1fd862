"""Any audio file, or its bytes, to mono float32 at the wanted rate, whole or a span of it."""

import os

import numpy as np

from audioroto.audio.decode import iter_decoded, stated_seconds
from audioroto.audio.source import AudioSource

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")


def load_audio(
    source: AudioSource,
    rate: int | None = 16000,
    *,
    start_seconds: float = 0.0,
    end_seconds: float | None = None,
) -> tuple[np.ndarray, int]:
    """Samples (S,) float32 and their rate, from a file's path, its bytes or an open binary file.

    Channels are averaged, then resampled to `rate`; None keeps the file's own. Only [start_seconds, end_seconds) is
    kept; an end beyond the audio means its end. A long Opus or MP3 file is decoded from its beginning for every span.
    Raises AudioError for whatever gives no finite samples: missing, empty, corrupt, an empty span, NaN.
    """
    decoded = list(iter_decoded(source, rate, start_seconds=start_seconds, end_seconds=end_seconds))
    return np.concatenate([block for block, _ in decoded]), decoded[0][1]


def audio_seconds(path: str | os.PathLike[str]) -> float:
    """Duration of an audio file in seconds: from its header where that can be trusted, else by decoding.

    Raises AudioError as load_audio does.
    """
    return stated_seconds(path) or sum(len(block) / rate for block, rate in iter_decoded(path, rate=None))
