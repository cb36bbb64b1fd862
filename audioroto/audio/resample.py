"""One sample rate to another."""

import numpy as np
import soxr


def resample(samples: np.ndarray, from_rate: float, to_rate: float) -> np.ndarray:
    """Samples at another rate: (S,) or (S, C) float32 in, round(S × to_rate / from_rate) samples out.

    soxr's high quality: flat to 0.91 of the lower Nyquist frequency, aliases below 20 bits. The same samples come back
    when the rates are equal.
    """
    if from_rate == to_rate:
        return samples
    return soxr.resample(samples, from_rate, to_rate, quality="HQ")  # (S', ) or (S', C)
