"""An ONNX graph in the making: values that are added, multiplied and cut like arrays, each step a node."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy as np
import onnx
from onnx import helper, numpy_helper

# Nothing newer is used, and onnxruntime 1.32 runs the same graph no faster at 24 to 28; since 1.23 it takes this one.
OPSET = 23
IR_VERSION = 11  # of the file format, the one that came with the opset

Operand = Union["Value", np.ndarray, float, int]
Size = Union["Value", int]  # of a dimension: what `Value.size` gives, or a number


class Graph:
    """Nodes, constants and inputs, in the order in which they were asked for; equal constants are kept once."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Value] = {}
        self._tensors: list[onnx.TensorProto] = []

    def input(self, name: str, dtype: type, shape: Sequence[str | int]) -> "Value":
        """An input; names in its shape are dimensions of any size."""
        self._inputs.append(_describe(name, np.dtype(dtype), shape))
        return Value(self, name, np.dtype(dtype))

    def constant(self, array: np.ndarray) -> "Value":
        """An array that the graph carries."""
        array = np.asarray(array, order="C")
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._constants:
            name = f"constant_{len(self._constants)}"
            self._tensors.append(numpy_helper.from_array(array, name))
            self._constants[key] = Value(self, name, array.dtype)
        return self._constants[key]

    def call(self, operator: str, *operands: Operand, dtype: Any = None, name: str = "", **attributes: Any) -> "Value":
        """The output of an ONNX operator, of type `dtype`, or as the first value; numbers become constants of that."""
        return self.call_many(1, operator, *operands, dtype=dtype, name=name, **attributes)[0]

    def call_many(
        self, num_outputs: int, operator: str, *operands: Operand, dtype: Any = None, name: str = "", **attributes: Any
    ) -> list["Value"]:
        """The outputs of an ONNX operator that has several."""
        first = next(operand for operand in operands if isinstance(operand, Value))
        inputs = [self.value(operand, first.dtype).name for operand in operands]
        name = f"{name or operator}_{len(self._nodes)}"
        outputs = [f"{name}_{number}" for number in range(num_outputs)]
        self._nodes.append(helper.make_node(operator, inputs, outputs, name, **attributes))
        return [Value(self, output, np.dtype(dtype or first.dtype)) for output in outputs]

    def finish(self, outputs: Mapping[str, tuple["Value", Sequence[str | int]]]) -> onnx.ModelProto:
        """The model of values as named outputs, each with its shape. Raises onnx's error if it is not well formed."""
        described = []
        for name, (value, shape) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value.name], [name], f"output_{name}"))
            described.append(_describe(name, value.dtype, shape))
        graph = helper.make_graph(self._nodes, "audioroto", self._inputs, described, self._tensors)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="audioroto")
        onnx.checker.check_model(model)
        return model

    def value(self, operand: Operand, dtype: Any = None) -> "Value":
        """An operand as a value; a number is a constant of the type."""
        if isinstance(operand, Value):
            return operand
        return self.constant(operand if isinstance(operand, np.ndarray) else np.array(operand, dtype))


@dataclass(frozen=True, eq=False)
class Value:
    """What a node gives or a graph carries. Operators are those of ONNX, which broadcasts as NumPy does."""

    graph: Graph
    name: str
    dtype: np.dtype

    def __add__(self, other: Operand) -> "Value":
        return self.graph.call("Add", self, other)

    def __sub__(self, other: Operand) -> "Value":
        return self.graph.call("Sub", self, other)

    def __mul__(self, other: Operand) -> "Value":
        return self.graph.call("Mul", self, other)

    def __truediv__(self, other: Operand) -> "Value":
        """For whole numbers, which must not be negative, the whole quotient."""
        return self.graph.call("Div", self, other)

    def __matmul__(self, other: Operand) -> "Value":
        return self.graph.call("MatMul", self, other)

    def __lt__(self, other: Operand) -> "Value":
        return self.graph.call("Less", self, other, dtype=bool)

    def __ge__(self, other: Operand) -> "Value":
        return self.graph.call("GreaterOrEqual", self, other, dtype=bool)

    def __and__(self, other: Operand) -> "Value":
        return self.graph.call("And", self, other)

    def cast(self, dtype: type) -> "Value":
        """Converted to a NumPy type."""
        return self.graph.call("Cast", self, dtype=dtype, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def size(self, axis: int) -> "Value":
        """The size of a dimension, counted from the first, (1,) int64."""
        return self.graph.call("Shape", self, dtype=np.int64, start=axis, end=axis + 1)

    def reshape(self, *sizes: Size) -> "Value":
        """In another shape; one of the sizes may be −1."""
        if all(isinstance(size, int) for size in sizes):
            return self.graph.call("Reshape", self, np.array(sizes, np.int64))
        return self.graph.call("Reshape", self, self.graph.call("Concat", *_sizes(*sizes), axis=0))

    def transpose(self, *axes: int) -> "Value":
        """With its axes in that order."""
        return self.graph.call("Transpose", self, perm=axes)

    def expand_dims(self, *axes: int) -> "Value":
        """With a dimension of 1 at each of `axes`."""
        return self.graph.call("Unsqueeze", self, np.array(axes, np.int64))

    def cut(self, axis: int, start: Size, stop: Size | None = None) -> "Value":
        """From `start` to before `stop` along an axis; without one, to the end."""
        end = np.iinfo(np.int64).max if stop is None else stop
        return self.graph.call("Slice", self, *_sizes(start, end, axis))

    def split(self, axis: int, *sizes: int) -> list["Value"]:
        """Parts of those sizes along an axis."""
        return self.graph.call_many(len(sizes), "Split", self, np.array(sizes, np.int64), axis=axis)

    def pad(self, axis: int, before: Size, after: Size) -> "Value":
        """With zeros (False) before and after along an axis."""
        amounts = self.graph.call("Concat", *map(self.graph.value, _sizes(before, after)), axis=0)
        return self.graph.call("Pad", self, amounts, np.zeros((), self.dtype), np.array([axis], np.int64))

    def gather(self, axis: int, indices: "Value") -> "Value":
        """What lies at `indices` of any shape along an axis."""
        return self.graph.call("Gather", self, indices, axis=axis)

    def sum(self, axis: int) -> "Value":
        """The sum along an axis, which goes."""
        return self.graph.call("ReduceSum", self, np.array([axis], np.int64), keepdims=0)

    def mean(self, axis: int) -> "Value":
        """The mean along an axis, which stays with size 1."""
        return self.graph.call("ReduceMean", self, np.array([axis], np.int64), keepdims=1)


def concatenate(values: Sequence[Value], axis: int) -> Value:
    """Values one behind the other along an axis; a single one is itself."""
    return values[0] if len(values) == 1 else values[0].graph.call("Concat", *values, axis=axis)


def count_up(stop: Value) -> Value:
    """0, 1, … before `stop` (1,), int64."""
    scalar = stop.graph.call("Squeeze", stop)
    return stop.graph.call("Range", np.array(0), scalar, np.array(1), dtype=np.int64)


def _sizes(*sizes: Size) -> list[Operand]:
    """Sizes as ONNX wants them, each (1,) int64."""
    return [size if isinstance(size, Value) else np.array([size], np.int64) for size in sizes]


def _describe(name: str, dtype: np.dtype, shape: Sequence[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), shape)
