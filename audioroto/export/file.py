"""A model file to an ONNX file."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import onnx
from onnx import helper

from audioroto.errors import UserError
from audioroto.export.attention import ROTATION
from audioroto.export.front import FEATURES
from audioroto.export.graph import Graph
from audioroto.export.network import write_network
from audioroto.features.fbank import FRAME_HOP_SECONDS
from audioroto.files import sha256_of, write_bytes
from audioroto.model.asr import AsrModel, count_parameters
from audioroto.model.checkpoint import load_checkpoint
from audioroto.model.onnx_file import SUFFIX, OnnxFacts
from audioroto.model.pretrained import find_model


def export_model(model: str | Path, out: str | Path, precision: Literal["float32", "int8"] = "float32") -> OnnxFacts:
    """Write the network of a model file, features and CTC head included, as ONNX, with all that is needed to run it.

    It takes `waveforms` (B, S), float32 in [−1, 1] with zeros at padding, and their `lengths` (B,) in samples, and
    gives `log_probs` (B, T, V) and `frame_lengths` (B,). The attention decoder is left out. `int8` quantises the
    matrices of linear layers, a scale a column, and at run time what they are multiplied with, a scale a call: the
    transcript of an utterance then depends on its company, so that it should have none. Raises UserError when `out`
    does not end in .onnx.
    """
    check_name(out)
    model = find_model(model)
    checkpoint = load_checkpoint(model)
    network = checkpoint.build()
    proto = make_onnx(network)
    if precision == "int8":
        proto = _quantize(proto)
    facts = OnnxFacts(
        config=checkpoint.config,
        tokenizer=checkpoint.tokenizer,
        precision=precision,
        frame_seconds=FRAME_HOP_SECONDS * checkpoint.config.encoder.subsampling,
        num_parameters=count_parameters(network) - (count_parameters(network.decoder) if network.decoder else 0),
        source={"name": model.name, "sha256": sha256_of(model)},
        notes={"step": checkpoint.step, **checkpoint.notes, **checkpoint.environment},
    )
    helper.set_model_props(proto, facts.to_metadata())
    write_bytes(out, proto.SerializeToString())
    return facts


def check_name(out: str | Path) -> None:
    """Raise UserError for a name that `load_model` would not take for that of an ONNX file."""
    if Path(out).suffix.lower() != SUFFIX:
        raise UserError(f"{out} does not end in {SUFFIX}, by which ONNX files are known; give --out a name that does")


def make_onnx(model: AsrModel) -> onnx.ModelProto:
    """The network as ONNX, in float32."""
    graph = Graph()
    log_probs, lengths = write_network(graph, model)
    shape = ("batch", "frames", model.ctc.project.out_features)
    return graph.finish({"log_probs": (log_probs, shape), "frame_lengths": (lengths, ("batch",))})


def _quantize(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The matrices of linear layers in int8; features, rotations and convolutions stay as they are."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    kept = [node.name for node in proto.graph.node if node.name.startswith((FEATURES, ROTATION))]
    with TemporaryDirectory() as folder, _without_advice():
        path = Path(folder) / "int8.onnx"
        quantize_dynamic(
            proto,
            path,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=kept,
        )
        return onnx.load(path)


@contextmanager
def _without_advice() -> Iterator[None]:
    """Keeps onnxruntime from recommending, to the user, a preparation that changes nothing here."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)
