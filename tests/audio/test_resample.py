import numpy as np
import pytest

from audioroto.audio.resample import resample


def _tone(hertz: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate).astype(np.float32)


@pytest.mark.parametrize("from_rate", [8000, 11025, 22050, 44100, 48000, 192000])
def test_a_tone_stays_the_same_tone(from_rate):
    resampled = resample(_tone(440.0, from_rate), from_rate, 16000)
    assert resampled.dtype == np.float32
    assert abs(len(resampled) - 16000) <= 1
    inner = slice(800, 15000)  # the filter rings at the ends
    np.testing.assert_allclose(resampled[inner], _tone(440.0, 16000)[inner], atol=2e-4)


def test_what_the_lower_rate_cannot_carry_is_gone():
    assert np.abs(resample(_tone(9500.0, 48000), 48000, 16000)[800:-800]).max() < 1e-4


def test_channels_stay_apart():
    stereo = np.stack([_tone(200.0, 48000), _tone(900.0, 48000)], axis=1)
    resampled = resample(stereo, 48000, 16000)
    np.testing.assert_allclose(resampled[:, 1], resample(stereo[:, 1].copy(), 48000, 16000), atol=1e-6)


def test_equal_rates_change_nothing():
    samples = _tone(440.0, 16000)
    assert resample(samples, 16000, 16000) is samples
