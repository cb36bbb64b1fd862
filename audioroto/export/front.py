"""From samples to the frames that enter the first block, as nodes of a graph."""

import numpy as np

from audioroto.export.graph import Graph, Value, concatenate
from audioroto.export.layers import (
    as_array,
    write_convolution,
    write_layer_norm,
    write_linear,
    write_silu,
    write_valid_frames,
)
from audioroto.features.fbank import FLOOR, PREEMPHASIS, Fbank
from audioroto.features.normalize import GlobalNormalization
from audioroto.nn.subsampling import Subsampling

FEATURES = "features"  # names of nodes begin with it: their products are never quantised


def write_features(
    waveforms: Value, waveform_lengths: Value, fbank: Fbank, normalization: GlobalNormalization
) -> tuple[Value, Value]:
    """Waveforms (B, S) and lengths (B,) → normalised log-mel (B, T, F), 0 at padding, and frame lengths (B,).

    T is that of waveforms longer by a window, so that there is a frame, if of padding, for those shorter than one.
    """
    graph = waveforms.graph
    window, hop = fbank.window_samples, fbank.hop_samples
    lengths = graph.call("Max", waveform_lengths - (window - hop), 0) / hop  # whole windows, rounded down

    # Frames are put together from steps of a hop each.
    num_steps = -(-window // hop)
    padded = waveforms.pad(1, 0, window + hop)  # a hop, because the last frame's last step may go beyond its window
    num_frames = (padded.size(1) - window) / hop
    steps = padded.cut(1, 0, (num_frames + (num_steps - 1)) * hop).reshape(0, -1, hop)
    shifted = [steps.cut(1, number, num_frames + number) for number in range(num_steps)]  # each (B, T, hop)
    frames = concatenate(shifted, axis=2).cut(2, 0, window)  # (B, T, window)

    frames = frames - frames.mean(-1)
    emphasised = frames.cut(2, 1) - frames.cut(2, 0, -1) * PREEMPHASIS  # the first sample's window is 0
    spectrum = graph.call("MatMul", emphasised, _write_fourier_basis(graph, fbank), name=FEATURES)  # (B, T, 2 · bins)
    num_bins = fbank.fft_samples // 2 + 1
    real, imaginary = (spectrum * spectrum).split(2, num_bins, num_bins)
    power = graph.call("MatMul", real + imaginary, as_array(fbank.mel_filters), name=FEATURES)  # (B, T, F)
    features = graph.call("Log", graph.call("Max", power, FLOOR))
    normalized = (features - as_array(normalization.mean)) * as_array(normalization.inverse_std)
    valid = write_valid_frames(lengths, num_frames).expand_dims(2)
    return normalized * valid.cast(np.float32), lengths


def write_subsampling(features: Value, lengths: Value, layer: Subsampling) -> tuple[Value, Value]:
    """Features (B, T, F) and lengths (B,) → frames (B, T/factor, D) and their lengths."""
    maps = write_silu(write_convolution(features.expand_dims(1), layer.first))  # (B, C, T/2, F/2)
    for depthwise, pointwise in zip(layer.depthwise, layer.pointwise, strict=True):
        lengths = (lengths + 1) / 2
        valid = write_valid_frames(lengths, maps.size(2)).expand_dims(1, 3)  # (B, 1, T, 1)
        maps = write_convolution(maps * valid.cast(np.float32), depthwise)  # type: ignore[arg-type]
        mixed = write_linear(maps.transpose(0, 2, 3, 1), pointwise)  # type: ignore[arg-type]
        maps = write_silu(mixed).transpose(0, 3, 1, 2)
    lengths = (lengths + 1) / 2
    rows = maps.transpose(0, 2, 3, 1).reshape(0, 0, layer.project.in_features)  # (B, T, F · C)
    return write_layer_norm(write_linear(rows, layer.project), layer.norm), lengths


def _write_fourier_basis(graph: Graph, fbank: Fbank) -> Value:
    """The window and the discrete Fourier transform of all samples but the first, (window − 1, 2 · bins).

    A product of matrices is what every runtime does fast. The matrix is not in the file: a runtime finds out, when it
    loads the model, that it follows from constants.
    """
    circle = 2 * np.pi * np.arange(fbank.fft_samples) / fbank.fft_samples
    samples = graph.constant(np.arange(1, fbank.window_samples)[:, None])
    steps = graph.call("Mod", samples * np.arange(fbank.fft_samples // 2 + 1), fbank.fft_samples)  # around the circle
    waves = [graph.constant(wave(circle).astype(np.float32)).gather(0, steps) for wave in (np.cos, np.sin)]
    return concatenate(waves, axis=1) * as_array(fbank.window)[1:, None]
