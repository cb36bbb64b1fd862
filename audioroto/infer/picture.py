"""A recording and what a model hears in it, as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audioroto.audio.picture import COLORBAR, plot_mel, plot_waveform, save_figure
from audioroto.infer.recognizer import Recognizer
from audioroto.infer.segment import Word
from audioroto.infer.transcript import Transcript

INCHES_PER_SECOND = 1.0
LABEL_INCHES = 0.14  # that a word of 8 points takes when it stands on its end
COLORS = "RdYlBu"  # of confidences from 0 to 1


def draw_transcript(
    samples: np.ndarray,
    rate: int,
    transcript: Transcript,
    path: str | Path,
    title: str,
    attention: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Draw samples (S,) to a PNG: waveform, words with boundaries and confidences, mel spectrogram; attention below.

    `attention` maps titles of heads to weights (T, T) from each frame to each. Words are labelled where the picture,
    40 inches wide at most, has room for all of them; their places and colours are always shown.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

    attention = attention or {}
    width = min(40.0, max(10.0, INCHES_PER_SECOND * transcript.seconds))
    heights = [1.0, 1.4, 2.2, *[3.5] * len(attention)]
    figure = Figure(figsize=(width + 2, sum(heights) + 1), layout="constrained")
    wave, lane, mel, *heads = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    plot_waveform(wave, samples, rate)
    wave.set_title(title, parse_math=False)
    _plot_words(lane, transcript.words, transcript.seconds, width)
    scale = ScalarMappable(cmap=COLORS)
    scale.set_clim(0, 1)
    figure.colorbar(scale, ax=lane, label="confidence", **COLORBAR)
    plot_mel(mel, samples, rate)
    for word in transcript.words:
        for time in (word.start_seconds, word.end_seconds):
            mel.axvline(time, color="white", linewidth=0.5, alpha=0.6)
    for axes, (name, weights) in zip(heads, attention.items(), strict=True):
        _plot_attention(axes, weights, transcript.seconds)
        axes.set(title=name)
    figure.axes[len(heights) - 1].set(xlabel="seconds (of the key)" if heads else "seconds")
    save_figure(figure, path)


def choose_heads(recognizer: Recognizer, waveform: np.ndarray, block: int) -> dict[str, np.ndarray]:
    """The attention (T, T) of a block's first local and first global head, those of the two that the model has."""
    weights = recognizer.engine.compute_attention(waveform, block)  # (H, T, T)
    num_local = recognizer.engine.config.encoder.local_heads
    chosen = {"local": 0} if num_local else {}
    if num_local < len(weights):
        chosen["global"] = num_local
    return {f"block {block}, {kind} head {head + 1}": weights[head] for kind, head in chosen.items()}


def _plot_words(axes: Any, words: Sequence[Word], seconds: float, width: float) -> None:
    """A coloured bar for each word, and above it the word, moved aside where its neighbours need the place."""
    from matplotlib import colormaps

    for word in words:
        color = colormaps[COLORS](word.confidence)
        duration = max(word.end_seconds - word.start_seconds, seconds / 2000)
        axes.barh(0.0, duration, left=word.start_seconds, height=0.3, align="edge", color=color, edgecolor="black")
    centres = [(word.start_seconds + word.end_seconds) / 2 for word in words]
    room = LABEL_INCHES * seconds / width
    if len(words) * room <= seconds:
        for word, centre, place in zip(words, centres, spread(centres, room, seconds), strict=True):
            axes.plot((centre, place), (0.3, 0.5), color="gray", linewidth=0.5)
            axes.text(
                place,
                0.54,
                word.text,
                rotation=90,
                fontsize=8,
                ha="center",
                va="bottom",
                clip_on=True,
                parse_math=False,
            )
    axes.set(ylim=(0, 2.2), yticks=[])
    axes.spines[["top", "left", "right"]].set_visible(False)


def spread(places: Sequence[float], room: float, end: float) -> list[float]:
    """Ascending places from 0 to `end`, moved as little as one pass each way can so that they are `room` apart."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + room if moved else room / 2))
    limit = end - room / 2
    for number in reversed(range(len(moved))):
        moved[number] = limit = min(moved[number], limit)
        limit -= room
    return moved


def _plot_attention(axes: Any, weights: np.ndarray, seconds: float) -> None:
    # Of a head that sees everything a weight is small, of a local one large: each has its own scale.
    image = axes.imshow(
        weights,
        extent=(0, seconds, seconds, 0),
        aspect="auto",
        cmap="magma",
        vmin=0,
        vmax=max(1e-6, float(np.quantile(weights, 0.995))),
        interpolation="nearest",
    )
    axes.set(ylabel="seconds of the query")
    axes.figure.colorbar(image, ax=axes, label="weight", **COLORBAR)
