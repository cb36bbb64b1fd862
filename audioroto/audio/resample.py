"""One sample rate to another."""

import numpy as np
import soxr

QUALITY = "HQ"  # flat to 0.91 of the lower Nyquist frequency, aliases below 20 bits


def resample(samples: np.ndarray, from_rate: float, to_rate: float) -> np.ndarray:
    """Samples at another rate: (S,) or (S, C) float32 in, round(S × to_rate / from_rate) samples out.

    By soxr. The same samples come back when the rates are equal.
    """
    if from_rate == to_rate:
        return samples
    return soxr.resample(samples, from_rate, to_rate, quality=QUALITY)  # (S', ) or (S', C)


class Resampler:
    """Resamples one channel block by block: all that it gives, put together, is what `resample` gives."""

    def __init__(self, from_rate: float, to_rate: float) -> None:
        self._stream = (
            None
            if from_rate == to_rate
            else soxr.ResampleStream(from_rate, to_rate, num_channels=1, dtype="float32", quality=QUALITY)
        )

    def resample(self, block: np.ndarray) -> np.ndarray:
        """What is ready after the next samples (S,) float32; it may be empty."""
        return block if self._stream is None else self._stream.resample_chunk(block)

    def finish(self) -> np.ndarray:
        """What was still held back."""
        nothing = np.zeros(0, np.float32)
        return nothing if self._stream is None else self._stream.resample_chunk(nothing, last=True)
