"""The layers that all parts of the network share, as nodes of a graph."""

import numpy as np
from torch import Tensor, nn

from audioroto.export.graph import Value, count_up


def as_array(tensor: Tensor) -> np.ndarray:
    """A tensor's values as float32."""
    return tensor.detach().cpu().float().numpy()


def write_linear(inputs: Value, layer: nn.Linear) -> Value:
    """A linear layer: (…, D) → (…, D')."""
    outputs = inputs @ as_array(layer.weight.T)
    return outputs if layer.bias is None else outputs + as_array(layer.bias)


def write_layer_norm(inputs: Value, layer: nn.LayerNorm) -> Value:
    """Layer normalisation of the last axis."""
    gain, bias = as_array(layer.weight), as_array(layer.bias)
    return inputs.graph.call("LayerNormalization", inputs, gain, bias, axis=-1, epsilon=layer.eps)


def write_silu(inputs: Value) -> Value:
    """x · sigmoid(x)."""
    return inputs * inputs.graph.call("Sigmoid", inputs)


def write_convolution(inputs: Value, layer: nn.Conv2d) -> Value:
    """A two-dimensional convolution: (B, C, T, F) → (B, C', T', F')."""
    padding = [int(amount) for amount in layer.padding]  # of time and mel, the same on both sides
    bias = [] if layer.bias is None else [as_array(layer.bias)]
    return inputs.graph.call(
        "Conv",
        inputs,
        as_array(layer.weight),
        *bias,
        strides=layer.stride,
        pads=padding * 2,
        group=layer.groups,
    )


def write_valid_frames(lengths: Value, num_frames: Value) -> Value:
    """True at the real frames of utterances of lengths (B,), (B, T) bool."""
    return count_up(num_frames) < lengths.expand_dims(1)
