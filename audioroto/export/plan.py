"""What all attention layers of a graph share: the same for every length, because a graph does not choose.

Local heads always go by windows, and global heads always see blocks of frames, of one frame each where the utterance
has no more than `global_keys`. `nn/plan.py` gives short utterances a dense product instead, which says the same.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from audioroto.export.graph import Value, concatenate, count_up
from audioroto.export.layers import as_array, write_linear, write_silu, write_valid_frames
from audioroto.nn.bias import BucketBias, DynamicBias
from audioroto.nn.plan import HIDDEN, AttentionPlanner
from audioroto.nn.rotation import rotary_frequencies
from audioroto.nn.sinusoid import SinusoidalEmbedding

Angles = tuple[Value, Value]  # cosine and sine


@dataclass(frozen=True)
class Blocks:
    """Keys of global heads: each the mean of J frames or fewer, G an utterance."""

    rows: Value  # (B, H, G·J, 1) int64
    weights: Value  # (B, 1, G·J, 1) float32, 0 where a block has no such frame
    num_blocks: Value  # (1,)
    angles: Angles | None  # (B, H or 1, G, K/2)
    bias: Value  # (B, H or 1, T or 1, G)


@dataclass(frozen=True)
class Plan:
    """The first `num_windowed` heads go by windows, the others by `blocks`, or densely with Transformer-XL's term."""

    num_frames: Value  # (1,)
    valid: Value  # (B, T, 1) float32
    angles: Angles | None  # (T, K/2) or (H, T, K/2)
    num_windowed: int
    window_frames: int
    window_bias: Value | None  # (B, H or 1, N, W, 3W)
    blocks: Blocks | None
    dense_bias: Value | None  # (B, H or 1, T or 1, T)
    distances: Value | None  # (2T−1, D)


def write_plan(planner: AttentionPlanner, frequencies: Tensor | None, lengths: Value, num_frames: Value) -> Plan:
    """The plan for utterances of lengths (B,) padded to `num_frames` (1,); see `AttentionPlanner.forward`."""
    valid = write_valid_frames(lengths, num_frames)
    is_dense = planner.distance_width > 0
    num_windowed = 0 if is_dense else planner.local_heads
    rates = None if frequencies is None else frequencies.detach().cpu().numpy()  # (K/2,) or (H, K/2)
    blocks = not is_dense and num_windowed < planner.num_heads
    return Plan(
        num_frames=num_frames,
        valid=valid.cast(np.float32).expand_dims(2),
        angles=None if rates is None else _write_angles(count_up(num_frames), rates),
        num_windowed=num_windowed,
        window_frames=planner.window_frames,
        window_bias=_write_window_bias(planner, valid, num_frames) if num_windowed else None,
        blocks=_write_blocks(planner, rates, lengths, num_frames) if blocks else None,
        dense_bias=_write_dense_bias(planner, valid, num_frames) if is_dense else None,
        distances=_write_distances(planner.distance_width, num_frames) if is_dense else None,
    )


def write_sinusoids(embedding: SinusoidalEmbedding, num_frames: Value) -> Value:
    """What is added to the frames of an utterance, (T, D): the learned rows, then sinusoids as long as they are."""
    places = count_up(num_frames)
    cosine, sine = _write_angles(places, rotary_frequencies(embedding.width, spacing="endpoint").numpy())
    pairs = concatenate([sine.expand_dims(2), cosine.expand_dims(2)], axis=2)  # (T, D/2, 2), of length √(D/2)
    beyond = pairs.reshape(-1, embedding.width) * (embedding.gain.item() / (embedding.width / 2) ** 0.5)
    num_learned = len(embedding.table)
    with torch.no_grad():
        learned = num_frames.graph.constant(as_array(embedding(num_learned)))
    inside = learned.gather(0, num_frames.graph.call("Min", places, num_learned - 1))
    return num_frames.graph.call("Where", (places < num_learned).expand_dims(1), inside, beyond, dtype=np.float32)


def cut_windows(frames: Value, window: int, width: int, num_frames: Value) -> Value:
    """Frames (B, H, T, K) of `width` K in whole windows, (B, H, N, W, K), with zeros after the last frame."""
    padded = frames.pad(2, 0, _round_up(num_frames, window) - num_frames)
    return padded.reshape(0, 0, -1, window, width)


def cut_three_windows(frames: Value, window: int, width: int, num_frames: Value) -> Value:
    """Each window with the one before and the one after it, (B, H, N, 3W, K), with zeros beyond the ends."""
    rounded = _round_up(num_frames, window)
    padded = frames.pad(2, window, rounded - num_frames + window)
    starts = (0, window, 2 * window)
    parts = [padded.cut(2, start, rounded + start).reshape(0, 0, -1, window, width) for start in starts]
    return concatenate(parts, axis=3)


def _round_up(num_frames: Value, window: int) -> Value:
    return (num_frames + (window - 1)) / window * window


def _write_angles(positions: Value, rates: np.ndarray) -> Angles:
    """Cosine and sine at positions (…, T): (…, T, K/2) with rates (K/2,), and (…, H, T, K/2) with rates (H, K/2)."""
    if rates.ndim == 2:
        rates = rates[:, None]  # (H, 1, K/2)
    # Note: angles in float64, as in `nn/rotation.py`. Without their full turns they are exact enough in float32, and of
    # that every runtime has cosines.
    turns = positions.cast(np.float64).expand_dims(-1) * rates.astype(np.float64)
    angles = turns.graph.call("Mod", turns, 2 * np.pi, fmod=1).cast(np.float32)
    return angles.graph.call("Cos", angles), angles.graph.call("Sin", angles)


def _write_window_bias(planner: AttentionPlanner, valid: Value, num_frames: Value) -> Value:
    """Of the local heads to their windows, (B, H or 1, N, W, 3W)."""
    window = planner.window_frames
    distances = np.arange(window, 2 * window)[:, None] - np.arange(3 * window)  # (W, 3W)
    near = np.abs(distances) <= window
    relative = np.zeros((1, 1, window, 3 * window), np.float32)
    if planner.bias is not None:
        with torch.no_grad():
            by_distance = planner.bias(torch.from_numpy(distances).float().flatten())[
                : planner.local_heads
            ]  # (H, W·3W)
        relative = as_array(by_distance).reshape(-1, 1, window, 3 * window)
    there = cut_three_windows(valid.cast(np.float32).expand_dims(1, 3), window, 1, num_frames)  # (B, 1, N, 3W, 1)
    allowed = (there >= 0.5).transpose(0, 1, 2, 4, 3) & near  # (B, 1, N, W, 3W)
    return _hide(valid.graph.constant(relative), allowed)


def _write_dense_bias(planner: AttentionPlanner, valid: Value, num_frames: Value) -> Value:
    """Of all heads to all frames, (B, H or 1, T or 1, T)."""
    allowed = valid.expand_dims(1, 2)  # (B, 1, 1, T)
    places = count_up(num_frames)
    distances = places.expand_dims(1) - places  # (T, T)
    if planner.local_heads:
        is_global = np.arange(planner.num_heads)[:, None, None] >= planner.local_heads  # (H, 1, 1)
        near = valid.graph.call("Abs", distances) < planner.window_frames + 1
        allowed = allowed & valid.graph.call("Or", near, is_global)
    relative = None
    if planner.bias is not None:
        relative = _write_relative(planner.bias, distances.expand_dims(0) * 2, num_frames, slice(None))
    return _hide(relative, allowed)


def _write_blocks(planner: AttentionPlanner, rates: np.ndarray | None, lengths: Value, num_frames: Value) -> Blocks:
    graph, most_keys = lengths.graph, planner.global_keys
    num_heads = planner.num_heads - planner.local_heads
    num_blocks = graph.call("Min", num_frames, most_keys)
    strides = graph.call("Max", (lengths + (most_keys - 1)) / most_keys, 1).expand_dims(1)  # (B, 1)
    starts = count_up(num_blocks) * strides  # (B, G)
    counts = graph.call("Min", graph.call("Max", lengths.expand_dims(1) - starts, 0), strides)  # (B, G), real frames
    offsets = count_up((num_frames + (most_keys - 1)) / most_keys)  # (J,)
    rows = graph.call("Min", starts.expand_dims(2) + offsets, num_frames - 1)  # (B, G, J); those beyond weigh nothing
    inside = (offsets < counts.expand_dims(2)).cast(np.float32)
    weights = inside / graph.call("Max", counts, 1).cast(np.float32).expand_dims(2)  # (B, G, J)
    doubled_centres = starts * 2 + counts - 1  # (B, G)
    angles = relative = None
    if rates is not None:
        own = rates if rates.ndim == 1 else rates[planner.local_heads :]
        angles = _write_angles(doubled_centres.expand_dims(1).cast(np.float64) * 0.5, own)  # (B, H or 1, G, K/2)
    if planner.bias is not None:
        doubled_distances = count_up(num_frames).expand_dims(1) * 2 - doubled_centres.expand_dims(1)  # (B, T, G)
        relative = _write_relative(planner.bias, doubled_distances, num_frames, slice(planner.local_heads, None))
    each_head = np.zeros((1, num_heads, 1, 1), np.int64)
    return Blocks(
        rows=rows.reshape(0, 1, -1, 1) + each_head,
        weights=weights.reshape(0, 1, -1, 1),
        num_blocks=num_blocks,
        angles=angles,
        bias=_hide(relative, (counts >= 1).expand_dims(1, 2)),
    )


def _write_relative(bias: BucketBias | DynamicBias, doubled_distances: Value, num_frames: Value, heads: slice) -> Value:
    """The relative bias of `heads` at halves of doubled distances (B, T, G): (B, H, T, G)."""
    graph = num_frames.graph
    if isinstance(bias, BucketBias):  # the same for all that is farther
        farthest = 2 * bias.FARTHEST
        with torch.no_grad():
            by_distance = as_array(bias(torch.arange(-farthest, farthest + 1) / 2)[heads].T)  # (4 · FARTHEST + 1, H)
        table, middle = graph.constant(by_distance), graph.constant(np.array(farthest))
    else:
        middle = num_frames * 2
        halves = (count_up(middle * 2 + 1) - middle).cast(np.float32) * 0.5
        inputs = graph.call("Sign", halves) * graph.call("Log", graph.call("Abs", halves) + 1.0)
        hidden = write_silu(write_linear(inputs.expand_dims(1), bias.expand))
        table = hidden @ as_array(bias.contract.weight[heads].T)  # (4T + 1, H)
    places = graph.call("Max", graph.call("Min", doubled_distances + middle, middle * 2), 0)
    return table.gather(0, places).transpose(0, 3, 1, 2)


def _write_distances(width: int, num_frames: Value) -> Value:
    """Sinusoids of the distances T−1 … −(T−1), (2T−1, D)."""
    distances = num_frames - 1 - count_up(num_frames * 2 - 1)
    return concatenate(_write_angles(distances, rotary_frequencies(width).numpy()), axis=-1)


def _hide(relative: Value | None, allowed: Value) -> Value:
    """The relative bias where `allowed`, HIDDEN elsewhere."""
    graph = allowed.graph
    if relative is None:
        relative = graph.constant(np.zeros((), np.float32))
    return graph.call("Where", allowed, relative, np.array(HIDDEN, np.float32), dtype=np.float32)
