"""Other speakers, rooms and surroundings from the same recording, for training.

Deterministic but for what a generator is handed to: the random draw happens where batches are made.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from audioroto.audio.nonspeech import SILENT_PEAK
from audioroto.audio.resample import resample
from audioroto.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

_RT60_SECONDS = (0.1, 0.7)  # time in which the sound of a room falls by 60 dB: from a closet to a lecture hall
_DIRECT_DECIBELS = (0.0, 12.0)  # direct sound over reverberation: across the room to close by
_GAP_SECONDS = (0.001, 0.010)  # from the direct sound to the first reflection


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


def add_noise(samples: np.ndarray, noise: np.ndarray, snr_decibels: float) -> np.ndarray:
    """The samples (S,) with `noise`, scaled to lie `snr_decibels` below them in energy; (S,) float32.

    Noise shorter than the samples is repeated, longer noise is cut. Silence, of either, adds nothing.
    """
    import torch
    from torchaudio.functional import add_noise as add_scaled

    noise = np.resize(noise, len(samples))
    if min(np.abs(samples).max(), np.abs(noise).max()) < SILENT_PEAK:
        return samples
    with _one_thread():
        mixed = add_scaled(torch.from_numpy(samples), torch.from_numpy(noise), torch.tensor(float(snr_decibels)))
    return mixed.numpy()  # (S,)


def add_reverberation(samples: np.ndarray, impulse_response: np.ndarray) -> np.ndarray:
    """The samples (S,) as heard in the room of `impulse_response`, as loud as before and not later; (S,) float32.

    The response counts from its loudest sample on, the direct sound: words stay where they are, as far as a recorded
    response tells. What rings on behind the last sample is cut. A silent response changes nothing.
    """
    import torch

    response = impulse_response[np.abs(impulse_response).argmax() :] if impulse_response.any() else np.ones(1)
    with _one_thread():
        rung = _convolve(torch.from_numpy(samples), torch.from_numpy(response.astype(np.float32)))
    reverberant = rung.numpy()  # (S,)
    energy, wanted = np.square(reverberant).sum(), np.square(samples).sum()
    return reverberant * np.float32(np.sqrt(wanted / energy)) if energy else samples


def make_impulse_response(
    generator: np.random.Generator, rate: int, rt60_seconds: tuple[float, float] = _RT60_SECONDS
) -> np.ndarray:
    """A room drawn from `generator`: its impulse response (S,) float32 at `rate`, of unit energy.

    The direct sound is sample 0 and the loudest; behind a gap follows noise that decays exponentially, by 60 dB in a
    time drawn from `rt60_seconds` (Polack, "La transmission de l'énergie sonore dans les salles", 1988).
    """
    rt60 = generator.uniform(*rt60_seconds)
    direct_decibels = generator.uniform(*_DIRECT_DECIBELS)
    num_gap = 1 + round(generator.uniform(*_GAP_SECONDS) * rate)
    seconds = np.arange(max(1, round(rt60 * rate))) / rate
    envelope = 10.0 ** (-3.0 * seconds / rt60)
    # Note: within three deviations, so that no reflection outdoes the direct sound, whose place tells the time.
    tail = generator.standard_normal(len(envelope)).clip(-3, 3) * envelope
    tail *= np.sqrt(10.0 ** (-direct_decibels / 10.0) / np.square(envelope).sum())
    response = np.concatenate([[1.0], np.zeros(num_gap - 1), tail])
    return (response / np.linalg.norm(response)).astype(np.float32)  # (S,)


def make_noise(generator: np.random.Generator, num_samples: int, slope: float) -> np.ndarray:
    """Noise whose power falls with frequency as 1 / f^slope: 0 is white, 1 pink; (num_samples,) float32, of power 1."""
    num_fast = 1 << max(1, num_samples - 1).bit_length()
    spectrum = np.fft.rfft(generator.standard_normal(num_fast, dtype=np.float32))
    # From 1: the power at 0 Hz stays finite.
    frequencies = np.arange(1, len(spectrum) + 1, dtype=np.float32)
    noise = np.fft.irfft(spectrum * frequencies ** (-slope / 2))[:num_samples]
    return (noise / np.sqrt(np.square(noise).mean())).astype(np.float32)


def _convolve(samples: "Tensor", response: "Tensor") -> "Tensor":
    """The first S samples of (S,) convolved with (R,), block by block: overlap-add.

    Transforms a few times as long as the response stay in the processor's cache, where one over a whole utterance and
    its padding does not: a quarter of the time of torchaudio's `fftconvolve`.
    """
    import torch

    num_tail = len(response) - 1
    num_fast = max(4096, 1 << (4 * len(response) - 1).bit_length())
    num_hop = num_fast - num_tail
    blocks = torch.nn.functional.pad(samples, (0, -len(samples) % num_hop)).view(-1, num_hop)  # (N, hop)
    rung = torch.fft.irfft(torch.fft.rfft(blocks, num_fast) * torch.fft.rfft(response, num_fast), num_fast)
    rung[1:, :num_tail] += rung[:-1, num_hop:]  # what a block leaves to the next one
    return rung[:, :num_hop].flatten()[: len(samples)]  # (S,)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums and transforms differ in the last bit with the number of threads; the same draw must give the same bits."""
    import torch

    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)
