"""The whole recogniser as an ONNX graph: samples in, CTC log-probabilities out.

The same weights as `model/asr.py`, written down for a runtime that knows no packing: a batch is padded, and what looks
sideways is shown zeros there.
"""

import numpy as np
import torch
from torch import Tensor, nn

from audioroto.export.attention import write_attention
from audioroto.export.front import write_features, write_subsampling
from audioroto.export.graph import Graph, Value, concatenate
from audioroto.export.layers import as_array, write_convolution, write_layer_norm, write_linear, write_silu
from audioroto.export.plan import Plan, write_plan, write_sinusoids
from audioroto.model.asr import AsrModel
from audioroto.model.encoder import Block
from audioroto.nn.attention import HybridAttention
from audioroto.nn.branch import Branch
from audioroto.nn.convolution import ConvolutionModule, DepthwiseConvolution
from audioroto.nn.feedforward import FeedForward
from audioroto.nn.merge import Merge


def write_network(graph: Graph, model: AsrModel) -> tuple[Value, Value]:
    """CTC log-probabilities (B, T, V) and their lengths (B,) from new inputs `waveforms` (B, S) and `lengths` (B,).

    What lies beyond the lengths is of no meaning. Waveforms are float32 in [−1, 1] with zeros at padding.
    """
    waveforms = graph.input("waveforms", np.float32, ("batch", "samples"))
    waveform_lengths = graph.input("lengths", np.int64, ("batch",))
    encoder = model.encoder
    features, lengths = write_features(waveforms, waveform_lengths, model.fbank, model.normalization)
    padded, lengths = write_subsampling(features, lengths, encoder.subsampling)  # (B, T, D)
    if encoder.positions is not None:
        padded = padded + write_sinusoids(encoder.positions, padded.size(1))
    frequencies = encoder.rotary_base.frequencies() if encoder.rotary_base is not None else None
    plan = write_plan(encoder.planner, frequencies, lengths, padded.size(1))
    frames = padded.reshape(-1, model.ctc.project.in_features)  # (N, D), padding and all: products of two matrices
    with torch.no_grad():
        rotations = [None] * len(encoder.blocks) if encoder.rotation is None else encoder.rotation()
    for block, rotation in zip(encoder.blocks, rotations, strict=True):
        frames = _write_block(frames, block, plan, rotation)  # type: ignore[arg-type]
    scores = write_linear(write_layer_norm(frames, encoder.norm), model.ctc.project)
    log_probs = graph.call("LogSoftmax", scores, axis=-1)
    return log_probs.reshape(-1, plan.num_frames, model.ctc.project.out_features), lengths


def _write_block(frames: Value, block: Block, plan: Plan, rotation: Tensor | None) -> Value:
    """Frames (N, D) → (N, D); the parts of a block are branches, called in the order in which it holds them."""
    names = {
        "sequential": ("attention", "convolution"),
        "parallel": ("merge",),
        "attention": ("attention",),
        "convolution": ("convolution",),
    }
    for name in ("feedforward_in", *names[block.coupling], "feedforward_out"):
        branch: Branch = getattr(block, name)
        outputs = _write_layer(write_layer_norm(frames, branch.norm), branch.layer, plan, rotation)
        frames = frames + outputs * as_array(branch.scale)
    return frames


def _write_layer(frames: Value, layer: nn.Module, plan: Plan, rotation: Tensor | None) -> Value:
    """Frames (N, D) → (N, D)."""
    if isinstance(layer, FeedForward):
        return write_linear(write_silu(write_linear(frames, layer.expand)), layer.contract)
    if isinstance(layer, HybridAttention):
        return write_attention(frames, layer, plan, rotation)
    if isinstance(layer, ConvolutionModule):
        values, gates = write_linear(frames, layer.gate).split(1, *[layer.norm.normalized_shape[0]] * 2)
        gated = values * frames.graph.call("Sigmoid", gates)
        normalized = write_layer_norm(_write_depthwise(gated, layer.depthwise, plan), layer.norm)
        return write_linear(write_silu(normalized), layer.project_out)
    if isinstance(layer, Merge):
        branches = [_write_layer(frames, part, plan, rotation) for part in (layer.attention, layer.convolution)]
        joined = concatenate(branches, axis=1)  # (N, 2D)
        return write_linear(joined + _write_depthwise(joined, layer.depthwise, plan), layer.project_out)
    raise TypeError(f"no way is known to write a {type(layer).__name__} as ONNX")


def _write_depthwise(frames: Value, layer: DepthwiseConvolution, plan: Plan) -> Value:
    """Frames (N, D) → (N, D), a convolution of each channel that sees zeros at padding."""
    padded = frames.reshape(-1, plan.num_frames, layer.in_channels) * plan.valid  # (B, T, D)
    maps = write_convolution(padded.transpose(0, 2, 1).expand_dims(3), layer)  # (B, D, T, 1)
    return maps.transpose(0, 2, 3, 1).reshape(-1, layer.in_channels)
