import numpy as np
import pytest

from audioroto.audio.nonspeech import make_clicks, make_hum, set_peak

RATE = 8000


@pytest.mark.parametrize("make", [make_hum, make_clicks])
@pytest.mark.parametrize("num_samples", [1, 2, 777])
def test_the_generator_says_it_all_and_something_is_heard(make, num_samples):
    for seed in range(20):
        made = make(np.random.default_rng(seed), num_samples, RATE)
        assert made.shape == (num_samples,)
        assert made.dtype == np.float32
        assert made.any()
        np.testing.assert_array_equal(made, make(np.random.default_rng(seed), num_samples, RATE))


def test_hum_is_a_few_lines_in_the_spectrum_and_clicks_are_short():
    for seed in range(20):
        power = np.abs(np.fft.rfft(make_hum(np.random.default_rng(seed), RATE, RATE) * np.hanning(RATE))) ** 2
        assert np.sort(power)[-60:].sum() > 0.99 * power.sum()
        clicks = np.square(make_clicks(np.random.default_rng(seed), RATE, RATE))
        assert np.sort(clicks)[-RATE // 5 :].sum() > 0.99 * clicks.sum()


def test_a_peak_is_set_and_silence_stays_silent():
    assert np.abs(set_peak(np.array([0.1, -0.4], np.float32), -20.0)).max() == pytest.approx(0.1)
    assert not set_peak(np.zeros(3, np.float32), -20.0).any()
    assert set_peak(np.zeros(0, np.float32), -20.0).shape == (0,)
