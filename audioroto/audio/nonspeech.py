"""Sounds with nobody speaking: hum, clicks, noise and silence, for a recogniser that is to say nothing to them."""

import numpy as np

# Of full scale, −120 dB. Note: a codec leaves traces of 1e-20 where a recording is silent; scaled up they are no sound.
SILENT_PEAK = 1e-6

_HUM_HERTZ = (40.0, 400.0)  # mains, fans, motors
_NUM_HARMONICS = 12
_CLICKS_PER_SECOND = (0.5, 8.0)
_CLICK_SECONDS = (0.001, 0.03)  # in which a click falls by 60 dB: from a crackle to a knock


def make_hum(
    generator: np.random.Generator, num_samples: int, rate: int, hertz_range: tuple[float, float] = _HUM_HERTZ
) -> np.ndarray:
    """A steady tone drawn from `generator` with its harmonics, as of mains or a fan: (num_samples,) float32."""
    seconds = np.arange(num_samples) / rate
    hertz = generator.uniform(*hertz_range)
    amplitudes = generator.random(_NUM_HARMONICS) / np.arange(1, _NUM_HARMONICS + 1)
    phases = generator.uniform(0, 2 * np.pi, _NUM_HARMONICS)
    hum = np.zeros(num_samples)
    for number in range(1, _NUM_HARMONICS + 1):
        if number * hertz < rate / 2:
            hum += amplitudes[number - 1] * np.sin(2 * np.pi * number * hertz * seconds + phases[number - 1])
    return hum.astype(np.float32)


def make_clicks(generator: np.random.Generator, num_samples: int, rate: int) -> np.ndarray:
    """At least one short burst of decaying noise, at places drawn from `generator`: (num_samples,) float32."""
    clicks = np.zeros(num_samples)
    num_clicks = 1 + generator.poisson(generator.uniform(*_CLICKS_PER_SECOND) * num_samples / rate)
    for start in generator.integers(0, num_samples, num_clicks):
        length = min(num_samples - start, max(2, round(generator.uniform(*_CLICK_SECONDS) * rate)))
        decay = 10.0 ** (-3.0 * np.arange(length) / length)
        clicks[start : start + length] += generator.random() * decay * generator.standard_normal(length)
    return clicks.astype(np.float32)


def set_peak(samples: np.ndarray, decibels: float) -> np.ndarray:
    """The samples (S,) scaled so that the loudest lies at `decibels` of full scale; silence stays as it is."""
    peak = np.abs(samples).max(initial=0.0)
    return samples * np.float32(10.0 ** (decibels / 20.0) / peak) if peak > SILENT_PEAK else samples
