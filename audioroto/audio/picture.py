"""A recording as a picture: waveform and mel spectrogram."""

from pathlib import Path
from typing import Any

import numpy as np

from audioroto.files import atomic_path

NUM_MELS = 80
COLORBAR: dict[str, Any] = {"fraction": 0.03, "pad": 0.01}  # its share of the width, and of that between


def draw_audio(samples: np.ndarray, rate: int, path: str | Path, title: str) -> None:
    """Draw samples (S,) to a PNG: waveform and mel spectrogram."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5), layout="constrained")
    wave, mel = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    plot_waveform(wave, samples, rate)
    wave.set_title(title, parse_math=False)
    plot_mel(mel, samples, rate)
    mel.set(xlabel="seconds")
    save_figure(figure, path)


def plot_waveform(axes: Any, samples: np.ndarray, rate: int) -> None:
    """Plot samples (S,) over seconds into matplotlib axes."""
    axes.plot(np.arange(len(samples)) / rate, samples, linewidth=0.4)
    axes.set(ylabel="amplitude", xlim=(0, len(samples) / rate))
    axes.grid(alpha=0.3)


def plot_mel(axes: Any, samples: np.ndarray, rate: int) -> None:
    """Plot the mel spectrogram of samples (S,): 25 ms windows every 10 ms, decibels below the peak."""
    import librosa

    hop_samples = rate // 100
    power = librosa.feature.melspectrogram(
        y=np.pad(samples, (0, max(0, 512 - len(samples)))),
        sr=rate,
        n_fft=512,
        win_length=rate // 40,
        hop_length=hop_samples,
        n_mels=NUM_MELS,
    )  # (F, T)
    decibels = librosa.power_to_db(power, ref=np.max)
    edges = librosa.mel_frequencies(n_mels=NUM_MELS + 2, fmax=rate / 2)[:-1] / 1000
    times = np.arange(decibels.shape[1] + 1) * hop_samples / rate
    image = axes.pcolormesh(times, edges, decibels, cmap="magma", vmin=-80, vmax=0, rasterized=True)
    axes.set(ylabel="kHz (mel scale)", yscale="symlog", xlim=(0, len(samples) / rate))
    axes.set_yticks([0.25, 0.5, 1, 2, 4, 8], ["0.25", "0.5", "1", "2", "4", "8"])
    axes.figure.colorbar(image, ax=axes, label="dB below the peak", **COLORBAR)


def save_figure(figure: Any, path: str | Path) -> None:
    """Write a matplotlib figure, a PNG whatever the name says."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
