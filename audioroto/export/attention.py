"""Hybrid attention as nodes of a graph, its rotations folded into the weights where that is exact."""

import numpy as np
import torch
from torch import Tensor

from audioroto.export.graph import Value, concatenate
from audioroto.export.layers import as_array, write_linear
from audioroto.export.plan import Angles, Blocks, Plan, cut_three_windows, cut_windows
from audioroto.nn.attention import EPSILON, HybridAttention, TransformerXlTerm
from audioroto.nn.rotation import fold_into_projection

ROTATION = "rotation"  # names of nodes begin with it


def write_attention(frames: Value, layer: HybridAttention, plan: Plan, rotation: Tensor | None) -> Value:
    """Frames (N, D) → (N, D), with `rotation` (H, K, K); see `HybridAttention.forward`."""
    num_heads, model_width = layer.num_heads, layer.project_out.in_features
    width = model_width // num_heads
    weight, matrices = _fold(layer, rotation, rotary=plan.angles is not None)
    parts = (frames @ weight.T).reshape(-1, plan.num_frames, 3, num_heads, width)
    parts = parts.transpose(2, 0, 3, 1, 4)  # (3, B, H, T, K)
    matched, values = parts.cut(0, 0, 2), _take(parts, 2)
    if layer.gains is not None:
        matched = matched / frames.graph.call("Sqrt", (matched * matched).mean(-1) + EPSILON)
    if matrices is not None:
        matched = frames.graph.call("MatMul", matched, matrices, name=ROTATION)
    queries, keys = _take(matched, 0), _take(matched, 1)  # (B, H, T, K)
    if plan.angles is not None:
        queries = _turn(queries, plan.angles, width)

    attended = []  # each (B, H', T, K)
    if plan.window_bias is not None:
        turned = keys if plan.angles is None else _turn(keys, plan.angles, width)
        near = (_choose_heads(part, 0, plan.num_windowed, num_heads) for part in (queries, turned, values))
        attended.append(_attend_windows(*near, bias=plan.window_bias, width=width, plan=plan))
    if plan.blocks is not None:
        far = (_choose_heads(part, plan.num_windowed, num_heads, num_heads) for part in (queries, keys, values))
        attended.append(_attend_blocks(*far, blocks=plan.blocks, width=width))
    if plan.dense_bias is not None:
        queries, relative = _write_relative_term(queries, layer.relative, plan, width)
        attended.append(_attend(queries, keys, values, plan.dense_bias + relative, width))
    heads = concatenate(attended, axis=1).transpose(0, 2, 1, 3).reshape(-1, model_width)
    return write_linear(heads, layer.project_out)


@torch.no_grad()
def _fold(layer: HybridAttention, rotation: Tensor | None, rotary: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """The weight (3D, D) that projects, and the matrices (2, 1, H, K, K) that turn queries and keys after it, or None.

    Values are turned by the weight; queries and keys too, unless they are normalised, with gains, in between. With
    rotary positions the channels of queries and keys are put in another order, which no score tells: first all first
    ones of pairs, then all second ones. A pair's turn is then a matter of halves.
    """
    weight = layer.project_in.weight.detach().cpu().double()
    num_heads = layer.num_heads
    parts = list(weight.chunk(3))
    matrices = torch.eye(len(parts[0]) // num_heads, dtype=weight.dtype).expand(2, num_heads, -1, -1)
    if rotation is not None:
        turn = rotation.detach().cpu().double()
        matrices = matrices @ turn
        if layer.rotate_values:
            parts[2] = fold_into_projection(parts[2], turn)
    if layer.gains is not None:
        matrices = layer.gains.detach().cpu().double().view(2, num_heads, -1, 1) * matrices
    if rotary:
        matrices = torch.cat((matrices[..., 0::2], matrices[..., 1::2]), dim=-1)
    if layer.gains is None:
        parts[:2] = [fold_into_projection(part, matrix) for part, matrix in zip(parts, matrices, strict=False)]
    return as_array(torch.cat(parts)), None if layer.gains is None else as_array(matrices.unsqueeze(1))


def _take(parts: Value, number: int) -> Value:
    """One of the parts that lie along the first axis, which goes."""
    return parts.graph.call("Gather", parts, np.array(number), axis=0)


def _choose_heads(parts: Value, first: int, last: int, num_heads: int) -> Value:
    """The heads from `first` to before `last` of parts (B, H, …)."""
    return parts if last - first == num_heads else parts.cut(1, first, last)


def _turn(heads: Value, angles: Angles, width: int) -> Value:
    """Heads (B, H, T, K), pairs of whose channels lie half a width apart, turned by their angles (…, T, K/2)."""
    cosine, sine = angles
    first, second = heads.split(3, width // 2, width // 2)
    return concatenate([first * cosine - second * sine, first * sine + second * cosine], axis=3)


def _attend(queries: Value, keys: Value, values: Value, bias: Value, width: int) -> Value:
    """softmax(queries · keysᵀ / √K + bias) · values for queries (B, H, T, K) and keys, values (B, H, S, K)."""
    return _weigh((queries * width**-0.5) @ keys.transpose(0, 1, 3, 2) + bias) @ values


def _attend_windows(queries: Value, keys: Value, values: Value, *, bias: Value, width: int, plan: Plan) -> Value:
    """Each window attends to itself and its neighbours: (B, H, T, K)."""
    window, num_frames = plan.window_frames, plan.num_frames
    windows = cut_windows(queries * width**-0.5, window, width, num_frames)  # (B, H, N, W, K)
    keys, values = (cut_three_windows(part, window, width, num_frames) for part in (keys, values))
    attended = _weigh(windows @ keys.transpose(0, 1, 2, 4, 3) + bias) @ values
    return attended.reshape(0, 0, -1, width).cut(2, 0, num_frames)


def _attend_blocks(queries: Value, keys: Value, values: Value, *, blocks: Blocks, width: int) -> Value:
    """Queries attend to the means of keys and values over blocks: (B, H, T, K)."""

    def average(heads: Value) -> Value:
        frames = heads.graph.call("GatherND", heads, blocks.rows, batch_dims=2)  # (B, H, G·J, K)
        return (frames * blocks.weights).reshape(0, 0, blocks.num_blocks, -1, width).sum(3)  # (B, H, G, K)

    keys, values = average(keys), average(values)
    if blocks.angles is not None:
        keys = _turn(keys, blocks.angles, width)
    return _attend(queries, keys, values, blocks.bias, width)


def _write_relative_term(queries: Value, term: TransformerXlTerm | None, plan: Plan, width: int) -> tuple[Value, Value]:
    """Queries + u, and what to add to scores, (B, H, T, T); see `TransformerXlTerm`."""
    assert term is not None
    assert plan.distances is not None
    num_frames = plan.num_frames
    for_content, for_distance = (
        as_array(bias).reshape(term.num_heads, 1, width) for bias in (term.for_content, term.for_distance)
    )
    keys = (
        write_linear(plan.distances, term.project).reshape(0, term.num_heads, width).transpose(1, 2, 0)
    )  # (H, K, 2T−1)
    by_distance = ((queries + for_distance) * width**-0.5) @ keys  # (B, H, T, 2T−1)
    flat = by_distance.pad(3, 0, 1).reshape(0, 0, -1)  # (B, H, T · 2T); row t is to be read from column T−1−t on
    skewed = flat.cut(2, num_frames - 1, flat.size(2) - 1).reshape(0, 0, num_frames, -1)  # (B, H, T, 2T−1)
    return queries + for_content, skewed.cut(3, 0, num_frames)


def _weigh(scores: Value) -> Value:
    return scores.graph.call("Softmax", scores, axis=-1)
