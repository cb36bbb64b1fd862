import numpy as np
import pytest
import soundfile
import torch

from audioroto.config import Augment
from audioroto.corpus import surroundings
from audioroto.corpus.loader import utterance_seed
from audioroto.corpus.surroundings import Surroundings
from audioroto.errors import UserError
from audioroto.features.specaugment import spec_augment
from audioroto.model.asr import _SECOND_VIEW

RATE = 8000
SPEECH = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
PLAIN = {"speeds": (1.0,), "volume_decibels": 0.0}


@pytest.fixture
def noise_dir(tmp_path):
    """Two noises, one of them short, an impulse response, and what is no audio."""
    generator = np.random.default_rng(1)
    for name, seconds in {"b/rain.WAV": 3.0, "a/bark.flac": 0.1, "rir_hall/hall.wav": 0.2}.items():
        path = tmp_path / "noises" / name
        path.parent.mkdir(parents=True)
        soundfile.write(path, 0.1 * generator.standard_normal(round(seconds * 16000)), 16000)
    (tmp_path / "noises" / "README.md").write_text("noises")
    return tmp_path / "noises"


def perturb(seed: int, **settings: object) -> np.ndarray:
    return Surroundings(Augment(**(PLAIN | settings)), RATE).perturb(SPEECH, seed)


def test_switched_off_nothing_changes():
    np.testing.assert_array_equal(perturb(1), SPEECH)


def test_a_seed_says_it_all(noise_dir):
    settings = {"noise_share": 0.5, "reverberation_share": 0.5, "noise_dir": str(noise_dir)}
    heard = [perturb(seed, **settings) for seed in range(8)]
    for seed, samples in enumerate(heard):
        np.testing.assert_array_equal(perturb(seed, **settings), samples)
    assert len({samples.tobytes() for samples in heard}) > 4
    assert all(samples.dtype == np.float32 and len(samples) == RATE for samples in heard)


@pytest.mark.parametrize("switch", ["noise_share", "reverberation_share"])
def test_a_share_is_a_probability(switch):
    changed = [not np.array_equal(perturb(seed, **{switch: 0.3}), SPEECH) for seed in range(300)]
    assert 0.2 < np.mean(changed) < 0.4


def test_switching_noise_on_leaves_speed_volume_and_room_as_they_were():
    settings = {"speeds": (0.5, 2.0), "volume_decibels": 6.0, "reverberation_share": 0.5}
    for seed in range(6):
        quiet = perturb(seed, **settings)
        noisy = perturb(seed, **settings, noise_share=1.0, noise_snr_decibels=(60.0, 60.0))
        assert len(noisy) == len(quiet)
        assert np.linalg.norm(noisy - quiet) == pytest.approx(1e-3 * np.linalg.norm(quiet), rel=0.05)


def test_all_that_is_drawn_for_an_utterance_has_streams_of_its_own(monkeypatch):
    """SpecAugment's too, in both views: one that is shared would tie speed and volume to the widths of masks."""
    open_stream, streams = np.random.default_rng, []

    def note(seed):
        streams.append(open_stream(seed).integers(2**63))
        return open_stream(seed)

    monkeypatch.setattr(np.random, "default_rng", note)
    for seed in (5, utterance_seed(0, 0, "a")):
        draw(seed, nonspeech_share=1.0)
        perturb(seed)
        seeds = [seed, seed ^ _SECOND_VIEW]
        options = {"num_frequency_masks": 1, "frequency_mask_bins": 2, "num_time_masks": [1, 1], "time_mask_share": 0.5}
        spec_augment(torch.zeros(2, 9, 4), torch.tensor([9, 9]), seeds, **options)
    assert len(streams) == 8
    assert len(set(streams)) == 8


def test_noises_are_found_in_all_folders_in_one_order_but_no_impulse_responses(noise_dir):
    found = Surroundings(Augment(noise_dir=str(noise_dir)), RATE).noises
    assert found == [noise_dir / "a/bark.flac", noise_dir / "b/rain.WAV"]
    settings = Augment(noise_dir=str(noise_dir), impulse_response_dir=str(noise_dir / "b"))
    assert Surroundings(settings, RATE).noises == [noise_dir / "a/bark.flac"]


def test_the_noises_of_the_folder_are_what_is_heard(noise_dir):
    (noise_dir / "a/bark.flac").unlink()
    time = np.arange(RATE * 4) / RATE
    soundfile.write(noise_dir / "b/rain.WAV", 0.1 * np.sin(2 * np.pi * 1000 * time), RATE)
    settings = {"noise_share": 1.0, "noise_dir": str(noise_dir), "noise_snr_decibels": (10.0, 10.0)}
    added = perturb(3, **settings) - SPEECH
    assert np.abs(np.fft.rfft(added)).argmax() == 1000
    assert 20 * np.log10(np.linalg.norm(SPEECH) / np.linalg.norm(added)) == pytest.approx(10.0, abs=0.1)


def test_recorded_rooms_are_taken_half_the_time(noise_dir):
    folder = noise_dir / "rir_hall"
    soundfile.write(folder / "hall.wav", [0.0, 0.0, 0.5, 0.0], RATE)  # a room that only delays: nothing to hear of it
    settings = {"reverberation_share": 1.0, "impulse_response_dir": str(folder)}
    unchanged = [np.allclose(perturb(seed, **settings), SPEECH, atol=1e-3) for seed in range(100)]
    assert 0.35 < np.mean(unchanged) < 0.65


@pytest.mark.parametrize("key", ["noise_dir", "impulse_response_dir"])
def test_a_folder_without_audio_is_refused_with_the_next_step(key, tmp_path):
    with pytest.raises(UserError, match=f"augment.{key}: .*nowhere is no folder; give a folder of .wav"):
        Surroundings(Augment(**{key: str(tmp_path / "nowhere")}), RATE)
    with pytest.raises(UserError, match=f"augment.{key}: .* holds no audio to use; give a folder of .wav"):
        Surroundings(Augment(**{key: str(tmp_path)}), RATE)


def draw(seed: int, num_samples: int = RATE, **settings: object) -> np.ndarray | None:
    return Surroundings(Augment(**(PLAIN | settings)), RATE).draw_nonspeech(num_samples, seed)


def test_nonspeech_comes_as_often_as_asked_and_from_the_seed_alone():
    drawn = [draw(seed, nonspeech_share=0.3) for seed in range(300)]
    assert 0.2 < np.mean([samples is not None for samples in drawn]) < 0.4
    for seed, samples in enumerate(drawn[:40]):
        np.testing.assert_array_equal(samples, draw(seed, nonspeech_share=0.3))
    assert all(draw(seed) is None for seed in range(300))


def test_nonspeech_is_as_long_as_asked_at_many_levels_and_sometimes_silent():
    drawn = [draw(seed, num_samples=777, nonspeech_share=1.0) for seed in range(200)]
    assert all(samples.shape == (777,) and samples.dtype == np.float32 for samples in drawn)
    peaks = np.array([np.abs(samples).max() for samples in drawn])
    assert 0.03 < (peaks == 0).mean() < 0.2
    levels = 20 * np.log10(peaks[peaks > 0])
    assert -60.01 <= levels.min() < -50
    assert -16 < levels.max() <= -5.99


def test_nonspeech_is_taken_from_the_folder_of_noises(noise_dir):
    (noise_dir / "a/bark.flac").unlink()
    time = np.arange(RATE // 4) / RATE  # shorter than the utterance: repeated
    soundfile.write(noise_dir / "b/rain.WAV", 0.1 * np.sin(2 * np.pi * 1000 * time), RATE)
    settings = {"nonspeech_share": 1.0, "noise_dir": str(noise_dir)}
    spectra = [np.abs(np.fft.rfft(draw(seed, **settings))) for seed in range(60)]
    assert 0.5 < np.mean([spectrum.argmax() == 1000 for spectrum in spectra]) < 0.9


def test_noises_that_are_kept_are_heard_like_those_that_are_read(noise_dir, monkeypatch):
    soundfile.write(noise_dir / "b/rain.WAV", np.random.default_rng(2).standard_normal(3 * RATE) / 10, RATE)
    settings = {"noise_share": 1.0, "noise_dir": str(noise_dir / "b")}
    kept = [perturb(seed, **settings) for seed in range(5)]
    monkeypatch.setattr(surroundings, "_KEPT_SECONDS", 0.0)
    for seed, samples in enumerate(kept):
        np.testing.assert_allclose(perturb(seed, **settings)[:-1], samples[:-1], atol=1e-3)
