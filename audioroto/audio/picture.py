"""A recording as a picture: waveform and mel spectrogram."""

from pathlib import Path

import numpy as np

from audioroto.files import atomic_path

NUM_MELS = 80


def draw_audio(samples: np.ndarray, rate: int, path: str | Path, title: str) -> None:
    """Draw samples (S,) to a PNG: waveform and mel spectrogram, 25 ms windows every 10 ms, decibels below the peak."""
    import librosa
    from matplotlib.figure import Figure

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
    seconds = len(samples) / rate
    figure = Figure(figsize=(12, 5), layout="constrained")
    wave, mel = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    wave.plot(np.arange(len(samples)) / rate, samples, linewidth=0.4)
    wave.set(title=title, ylabel="amplitude", xlim=(0, seconds))
    wave.grid(alpha=0.3)
    edges = librosa.mel_frequencies(n_mels=NUM_MELS + 2, fmax=rate / 2)[:-1] / 1000
    times = np.arange(decibels.shape[1] + 1) * hop_samples / rate
    image = mel.pcolormesh(times, edges, decibels, cmap="magma", vmin=-80, vmax=0, rasterized=True)
    mel.set(ylabel="kHz (mel scale)", xlabel="seconds", yscale="symlog", xlim=(0, seconds))
    mel.set_yticks([0.25, 0.5, 1, 2, 4, 8], ["0.25", "0.5", "1", "2", "4", "8"])
    figure.colorbar(image, ax=mel, label="dB below the peak")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
