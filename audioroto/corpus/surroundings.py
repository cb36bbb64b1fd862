"""How an utterance of the training set is heard this time: speed, room, noise and volume, drawn from its seed."""

from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from audioroto.audio.load import AUDIO_SUFFIXES, audio_seconds, load_audio
from audioroto.audio.nonspeech import make_clicks, make_hum, set_peak
from audioroto.audio.perturb import (
    add_noise,
    add_reverberation,
    change_speed,
    change_volume,
    make_impulse_response,
    make_noise,
)
from audioroto.config import Augment
from audioroto.errors import UserError

_MEASURED_SHARE = 0.5  # of the rooms, where a folder of impulse responses is given: such folders lack small rooms
_NONSPEECH = {"noise": 0.7, "hum": 0.1, "clicks": 0.1, "silence": 0.1}  # what is heard in place of speech, how often
_NONSPEECH_DECIBELS = (-60.0, -6.0)  # its loudest sample, of full scale
_KEPT_SECONDS = 30.0  # noises up to this are decoded once; of longer ones the wanted span is read, each time


class Surroundings:
    """Perturbs utterances. All draws follow from an utterance's seed alone: not from its batch, process or worker.

    Raises UserError when a folder of `settings` is missing or holds no audio.
    """

    def __init__(self, settings: Augment, sample_rate: int) -> None:
        self.settings = settings
        self.sample_rate = sample_rate
        self.impulse_responses: list[Path] = []
        self.noises: list[Path] = []
        if rooms := settings.impulse_response_dir:
            self.impulse_responses = _refuse_none("augment.impulse_response_dir", rooms, _find_audio(Path(rooms)))
        if noises := settings.noise_dir:
            found = find_noises(Path(noises))
            responses = {path.resolve() for path in self.impulse_responses}
            found = [path for path in found if path.resolve() not in responses]
            self.noises = _refuse_none("augment.noise_dir", noises, found)

    def perturb(self, samples: np.ndarray, seed: int) -> np.ndarray:
        """The samples (S,) at a drawn speed, in a drawn room, amid drawn noise, at a drawn volume: (S',) float32.

        Raises AudioError naming the noise or impulse response that cannot be read.
        """
        settings = self.settings
        # Note: not [seed, 0], which NumPy takes for the seed itself: that is SpecAugment's.
        generator = np.random.default_rng([seed, 2])
        samples = change_speed(samples, generator.choice(settings.speeds))
        decibels = generator.uniform(-1, 1) * settings.volume_decibels
        # Note: each draw depends on the ones before alone, so that a switch changes nothing of what stands above it.
        if generator.random() < settings.reverberation_share:
            samples = add_reverberation(samples, self._draw_impulse_response(generator))
        if generator.random() < settings.noise_share:
            snr_decibels = generator.uniform(*settings.noise_snr_decibels)
            samples = add_noise(samples, self._draw_noise(generator, len(samples)), snr_decibels)
        return change_volume(samples, decibels)

    def draw_nonspeech(self, num_samples: int, seed: int) -> np.ndarray | None:
        """What is heard in place of an utterance, at a drawn level: (num_samples,) float32; None to hear the utterance.

        Raises AudioError naming the noise that cannot be read.
        """
        generator = np.random.default_rng([seed, 1])  # apart from `perturb`, so that all else is drawn as without it
        if generator.random() >= self.settings.nonspeech_share:
            return None
        kind = generator.choice(list(_NONSPEECH), p=list(_NONSPEECH.values()))
        decibels = generator.uniform(*_NONSPEECH_DECIBELS)
        if kind == "silence":
            return np.zeros(num_samples, np.float32)
        if kind == "hum":
            return set_peak(make_hum(generator, num_samples, self.sample_rate), decibels)
        if kind == "clicks":
            return set_peak(make_clicks(generator, num_samples, self.sample_rate), decibels)
        return set_peak(np.resize(self._draw_noise(generator, num_samples), num_samples), decibels)

    def _draw_impulse_response(self, generator: np.random.Generator) -> np.ndarray:
        if self.impulse_responses and generator.random() < _MEASURED_SHARE:
            path = self.impulse_responses[generator.integers(len(self.impulse_responses))]
            return _load_once(path, self.sample_rate)
        return make_impulse_response(generator, self.sample_rate)

    def _draw_noise(self, generator: np.random.Generator, num_samples: int) -> np.ndarray:
        if not self.noises:
            return make_noise(generator, num_samples, slope=generator.uniform(0.0, 1.0))
        path = self.noises[generator.integers(len(self.noises))]
        seconds, noise_seconds = num_samples / self.sample_rate, _measure_once(path)
        start = generator.uniform(0.0, max(0.0, noise_seconds - seconds))
        if noise_seconds <= _KEPT_SECONDS:
            first = round(start * self.sample_rate)
            return _load_once(path, self.sample_rate)[first : first + num_samples]
        return load_audio(path, self.sample_rate, start_seconds=start, end_seconds=start + seconds)[0]


def find_noises(folder: Path) -> list[Path]:
    """All audio files below `folder` but for those in a folder of impulse responses (rir, rir_…), in a fixed order."""
    return [path for path in _find_audio(folder) if not _is_response(path, folder)]


@lru_cache(maxsize=256)  # half a gigabyte in each worker, were they all of the longest
def _load_once(path: Path, sample_rate: int) -> np.ndarray:
    """The whole of a short file. Not to be written to: the next caller gets the same array."""
    return load_audio(path, sample_rate)[0]


@cache
def _measure_once(path: Path) -> float:
    return audio_seconds(path)


def _find_audio(folder: Path) -> list[Path]:
    """All audio files below `folder`, in the same order on every machine."""
    found = [path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file()]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _is_response(path: Path, folder: Path) -> bool:
    """Whether a folder on the way from `folder` to `path` has the name of impulse responses: rir, rir_…"""
    folders = path.relative_to(folder).parts[:-1]
    return any(name.lower() == "rir" or name.lower().startswith("rir_") for name in folders)


def _refuse_none(key: str, folder: str, found: list[Path]) -> list[Path]:
    if not found:
        what = "holds no audio to use" if Path(folder).is_dir() else "is no folder"
        raise UserError(
            f"{key}: {folder} {what}; give a folder of {' '.join(AUDIO_SUFFIXES)} files, or leave the setting empty"
        )
    return found
