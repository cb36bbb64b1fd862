import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.audio.perturb import (
    add_noise,
    add_reverberation,
    change_speed,
    change_volume,
    make_impulse_response,
    make_noise,
)
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


@settings(max_examples=30)
@given(st.integers(1, 3000), st.integers(1, 3000), st.floats(-10, 40))
def test_noise_lies_below_the_speech_by_the_ratio(num_samples, num_noise, snr_decibels):
    generator = np.random.default_rng([num_samples, num_noise])
    samples, noise = (generator.standard_normal(count).astype(np.float32) for count in (num_samples, num_noise))
    added = add_noise(samples, noise, snr_decibels).astype(np.float64) - samples
    assert len(added) == num_samples
    found = 10 * np.log10(np.square(samples, dtype=np.float64).sum() / np.square(added).sum())
    assert found == pytest.approx(snr_decibels, abs=0.1)


def test_short_noise_is_repeated():
    samples, noise = np.ones(6, np.float32), np.float32([1, -1])
    np.testing.assert_allclose(add_noise(samples, noise, 0.0), [2, 0, 2, 0, 2, 0], atol=1e-6)


@pytest.mark.parametrize(("speech", "noise"), [(0, 1), (1, 0), (0, 0), (1, 1e-22)])
def test_silence_neither_gets_nor_gives_noise(speech, noise):
    samples = np.full(100, speech, np.float32)
    np.testing.assert_array_equal(add_noise(samples, np.full(100, noise, np.float32), 10.0), samples)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([2000, 8000, 16000, 44100]))
def test_a_made_room_begins_with_the_direct_sound_and_has_unit_energy(seed, rate):
    response = make_impulse_response(np.random.default_rng(seed), rate)
    assert response.dtype == np.float32
    assert np.abs(response).argmax() == 0
    assert np.linalg.norm(response) == pytest.approx(1.0, rel=1e-5)
    assert len(response) <= (0.7 + 0.011) * rate + 2


@pytest.mark.parametrize("rt60", [0.1, 0.3, 0.7])
def test_a_made_room_falls_by_60_decibels_in_its_time(rt60):
    responses = [make_impulse_response(np.random.default_rng(seed), 16000, (rt60, rt60)) for seed in range(50)]
    length = min(map(len, responses))
    energy = sum(np.square(response[1:length], dtype=np.float64) for response in responses)
    start, end = round(0.02 * 16000), round(0.8 * length)
    decibels = 10 * np.log10(energy[start:end])
    slope = np.polyfit(np.arange(start, end) / 16000, decibels, 1)[0]  # decibels a second
    assert slope == pytest.approx(-60 / rt60, rel=0.05)


def test_a_room_rings_on_but_moves_nothing_and_is_as_loud():
    click = np.zeros(8000, np.float32)
    click[1000] = 0.5
    heard = add_reverberation(click, make_impulse_response(np.random.default_rng(1), 16000))
    assert heard.dtype == np.float32
    assert len(heard) == len(click)
    assert np.abs(heard).argmax() == 1000
    assert np.abs(heard[:1000]).max() < 1e-5
    assert np.abs(heard[1200:]).max() > 1e-3
    assert np.linalg.norm(heard) == pytest.approx(0.5, rel=1e-4)


@settings(max_examples=20)
@given(st.integers(1, 20_000), st.integers(1, 3000))
def test_a_room_is_a_convolution(num_samples, num_response):
    generator = np.random.default_rng([num_samples, num_response])
    samples = generator.standard_normal(num_samples).astype(np.float32)
    response = generator.standard_normal(num_response).astype(np.float32) / 100
    response[0] = 1.0
    expected = np.convolve(samples, response)[:num_samples]
    expected *= np.linalg.norm(samples) / np.linalg.norm(expected)
    np.testing.assert_allclose(add_reverberation(samples, response), expected, atol=1e-4)


def test_the_time_before_the_direct_sound_of_a_recorded_room_is_left_out():
    samples = np.random.default_rng(0).standard_normal(777).astype(np.float32)
    late = np.zeros(200, np.float32)
    late[[60, 80]] = 0.1, -0.9  # something ahead of the direct sound
    np.testing.assert_allclose(add_reverberation(samples, late), -samples, atol=1e-5)


@pytest.mark.parametrize(("speech", "response"), [(0, 1), (1, 0), (0, 0)])
def test_silence_stays_as_it_is_in_a_room_and_a_silent_room_changes_nothing(speech, response):
    samples = np.full(100, speech, np.float32)
    np.testing.assert_allclose(add_reverberation(samples, np.full(1, response, np.float32)), samples, atol=1e-5)


@pytest.mark.parametrize(("slope", "decibels"), [(0.0, 0.0), (1.0, -10 * np.log10(2)), (2.0, -20 * np.log10(2))])
def test_made_noise_falls_by_its_slope_an_octave(slope, decibels):
    noise = make_noise(np.random.default_rng(3), 100_000, slope)
    assert noise.dtype == np.float32
    assert np.square(noise).mean() == pytest.approx(1.0, rel=1e-4)
    power = np.square(np.abs(np.fft.rfft(noise * np.hanning(len(noise)))))
    octaves = [power[edge : 2 * edge].mean() for edge in (3000, 6000, 12000, 24000)]
    np.testing.assert_allclose(np.diff(10 * np.log10(octaves)), decibels, atol=0.4)
