"""Other speakers and rooms from the same recording, for training.

Deterministic: the random draw happens where batches are made.
"""

import numpy as np

from audioroto.audio.resample import resample
from audioroto.errors import UserError


def change_speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """Speech `factor` times as fast, pitch and tempo together: (S,) float32 to (S / factor,) float32.

    sox's `speed`: the samples are resampled and then called samples of the old rate. Ko, Peddinti, Povey, Khudanpur,
    "Audio augmentation for speech recognition", Interspeech 2015. Raises UserError for a factor outside 0.1 to 10.
    """
    if not 0.1 <= factor <= 10.0:
        raise UserError(f"speed factor {factor}: choose one from 0.1 to 10, such as 0.9 or 1.1")
    return resample(samples, factor, 1.0)


def change_volume(samples: np.ndarray, decibels: float) -> np.ndarray:
    """The samples louder (or softer, when negative) by `decibels`: (S,) float32 in and out.

    Nothing is clipped: floating-point samples may pass 1.0.
    """
    return samples * np.float32(10.0 ** (decibels / 20.0))
