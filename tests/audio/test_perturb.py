import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.audio.perturb import change_speed, change_volume
from audioroto.errors import UserError


def _tone(hertz: float, rate: int = 16000) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(rate) / rate).astype(np.float32)


def _strongest_hertz(samples: np.ndarray, rate: int = 16000) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * rate / len(samples))


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.1, 1.25])
def test_speed_changes_pitch_and_duration_together(factor):
    faster = change_speed(_tone(500.0), factor)
    assert faster.dtype == np.float32
    assert _strongest_hertz(faster) == pytest.approx(500.0 * factor, abs=2.0)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 5000), st.floats(0.5, 2.0))
def test_length_is_divided_by_the_factor(num_samples, factor):
    samples = np.random.default_rng(num_samples).standard_normal(num_samples).astype(np.float32)
    assert abs(len(change_speed(samples, factor)) - num_samples / factor) <= 1.5


def test_speed_one_changes_nothing():
    samples = _tone(300.0)
    np.testing.assert_array_equal(change_speed(samples, 1.0), samples)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), 100.0])
def test_a_speed_that_makes_no_sense_is_refused(factor):
    with pytest.raises(UserError, match="choose one"):
        change_speed(_tone(300.0), factor)


def test_volume_in_decibels_without_clipping():
    samples = _tone(300.0)
    louder = change_volume(samples, 20.0)
    assert louder.dtype == np.float32
    np.testing.assert_allclose(louder, 10.0 * samples, rtol=1e-6)
    np.testing.assert_allclose(change_volume(louder, -20.0), samples, rtol=1e-6)
