import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from audioroto.export.graph import Graph, Value, concatenate, count_up  # noqa: E402 – needs onnx


def run(graph: Graph, output: Value, **inputs: np.ndarray) -> np.ndarray:
    model = graph.finish({"out": (output, ("rows", "columns"))})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def test_values_behave_as_arrays():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    graph = Graph()
    x = graph.input("x", np.float32, ("rows", 4))
    rows = x.size(0)
    first, second = x.split(1, 1, 3)
    counted = count_up(rows * 2).cut(0, rows).cast(np.float32).expand_dims(1)  # (rows, 1): rows, rows + 1, …
    out = (concatenate([second, first], axis=1) @ np.eye(4, dtype=np.float32) * 2.0 - 1.0 + counted) / 2.0
    out = out.pad(0, 1, rows).cut(0, 1, rows + 1).reshape(1, rows, 4).transpose(1, 0, 2).sum(1)
    expected = (np.roll(array, -1, axis=1) * 2 - 1 + np.arange(3, 6)[:, None]) / 2
    np.testing.assert_allclose(run(graph, out, x=array), expected)


def test_equal_constants_are_kept_once():
    graph = Graph()
    x = graph.input("x", np.float32, ("rows", 2))
    model = graph.finish({"out": ((x + np.ones(2, np.float32)) * np.ones(2, np.float32) + 1.0, ("rows", 2))})
    assert sorted(tuple(tensor.dims) for tensor in model.graph.initializer) == [(), (2,)]


def test_a_graph_that_is_no_graph_is_refused():
    graph = Graph()
    x = graph.input("x", np.float32, ("rows", 2))
    with pytest.raises(onnx.checker.ValidationError):
        graph.finish({"out": (graph.call("NoSuchOperator", x), ("rows", 2))})
