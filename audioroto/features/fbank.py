"""Waveforms to log-mel frames, as Kaldi computes them, in batches on whatever device they are on."""

import numpy as np
import torch
from torch import Tensor, nn

from audioroto.nn.masks import valid_frames

FRAME_LENGTH_SECONDS = 0.025
FRAME_HOP_SECONDS = 0.010

_LOW_HERTZ = 20.0
PREEMPHASIS = 0.97
_POVEY_EXPONENT = 0.85
FLOOR = float(np.finfo(np.float32).eps)  # power below which everything is silence


class Fbank(nn.Module):
    """Kaldi's fbank: 25 ms povey windows every 10 ms, log power in mel bins from 20 Hz to the Nyquist frequency.

    `compute-fbank-feats --dither=0 --snip-edges=true --use-energy=false` on a waveform within [-1, 1] (Kaldi's own
    files are scaled to 16 bits, which adds 20.8 to every value). Holds no parameters and saves nothing: the window and
    the mel filters follow from the arguments.
    """

    window: Tensor
    mel_filters: Tensor

    def __init__(self, sample_rate: int = 16000, num_mels: int = 80) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.window_samples = int(sample_rate * FRAME_LENGTH_SECONDS)  # rounded down, like Kaldi
        self.hop_samples = int(sample_rate * FRAME_HOP_SECONDS)
        self.fft_samples = 2 ** (self.window_samples - 1).bit_length()
        povey = np.hanning(self.window_samples) ** _POVEY_EXPONENT
        filters = _make_mel_filters(sample_rate, self.fft_samples, num_mels)
        self.register_buffer("window", torch.from_numpy(povey).float(), persistent=False)
        self.register_buffer("mel_filters", torch.from_numpy(filters).float(), persistent=False)

    def forward(self, waveforms: Tensor, waveform_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Waveforms (B, S) of waveform_lengths (B,) samples to features (B, T, F) and frame_lengths (B,).

        float32 under autocast, too: power spans more than bfloat16's digits. Zero at padding; only whole windows count,
        so that a waveform shorter than one has no frames.
        """
        lengths = frame_lengths(waveform_lengths, self.sample_rate)
        num_frames = max(0, (waveforms.shape[1] - self.window_samples) // self.hop_samples + 1)
        padded = self.mel_filters.new_zeros(len(waveforms), num_frames, self.mel_filters.shape[1])  # (B, T, F)
        valid = valid_frames(lengths, num_frames)
        if not valid.any():
            return padded, lengths
        with torch.autocast(waveforms.device.type, enabled=False):
            frames = waveforms.float().unfold(1, self.window_samples, self.hop_samples)  # (B, T, samples), a view
            power = self._power_spectrum(frames[valid])  # (N, fft_samples / 2 + 1), of real frames alone
            features = (power @ self.mel_filters).clamp_min(FLOOR).log()  # (N, F)
            padded[valid] = features
        return padded, lengths

    def _power_spectrum(self, frames: Tensor) -> Tensor:
        """Without their mean, pre-emphasised and windowed: (N, window_samples) to (N, fft_samples / 2 + 1)."""
        frames = frames - frames.mean(dim=1, keepdim=True)
        # Kaldi takes the first sample as its own predecessor; it does not count, because the window starts at 0.
        emphasised = torch.sub(frames[:, 1:], frames[:, :-1], alpha=PREEMPHASIS)
        windowed = nn.functional.pad(emphasised * self.window[1:], (1, 0))
        spectrum = torch.fft.rfft(windowed, n=self.fft_samples)
        return spectrum.real.square() + spectrum.imag.square()


def frame_lengths(waveform_lengths: Tensor, sample_rate: int) -> Tensor:
    """Whole windows in waveforms of waveform_lengths (B,) samples, (B,) int64."""
    window_samples = int(sample_rate * FRAME_LENGTH_SECONDS)
    hop_samples = int(sample_rate * FRAME_HOP_SECONDS)
    return ((waveform_lengths - window_samples) // hop_samples + 1).clamp(min=0)


def _make_mel_filters(sample_rate: int, fft_samples: int, num_mels: int) -> np.ndarray:
    """Triangles of equal width on the mel scale, each from its left neighbour's peak to its right one's: (bins, F)."""
    frequencies = np.arange(fft_samples // 2 + 1) * sample_rate / fft_samples  # hertz of each bin of the spectrum
    edges = np.linspace(_mel(_LOW_HERTZ), _mel(sample_rate / 2), num_mels + 2)
    left, peak, right = edges[:-2], edges[1:-1], edges[2:]
    mels = _mel(frequencies)[:, None]  # (bins, 1)
    return np.minimum((mels - left) / (peak - left), (right - mels) / (right - peak)).clip(min=0.0)  # (bins, F)


def _mel(hertz: np.ndarray | float) -> np.ndarray:
    return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)
