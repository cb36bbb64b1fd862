"""Samples to log-probabilities with onnxruntime, from a file that `audioroto export` wrote; loads no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from audioroto.errors import UserError
from audioroto.model.onnx_file import read_metadata


@dataclass(frozen=True)
class OnnxEncoding:
    """What the model hears in a batch: the log-probabilities (T, V) float32 of each utterance."""

    log_probs: list[np.ndarray]

    def split(self, spans: Sequence[tuple[int, int]]) -> "OnnxEncoding":
        """Spans of its only utterance, (first frame, the one after the last), as the utterances of a batch."""
        return OnnxEncoding([self.log_probs[0][first:last] for first, last in spans])


@dataclass(frozen=True)
class _Device:
    type: str = "cpu"  # as torch's devices say it


class OnnxEngine:
    """An exported model ready to listen, on the CPU, with so many threads (None: as many as there are cores).

    Has what `infer/engine.py`'s has but for the attention decoder, which is not exported.
    """

    decoder = None
    device = _Device()

    def __init__(self, path: str | Path, device: str = "auto", threads: int | None = None) -> None:
        if device not in ("auto", "cpu"):
            raise UserError(f"device {device}: an ONNX model computes on the CPU; use --device cpu, or the model file")
        self._session = _load_session(path, threads)
        facts = read_metadata(self._session.get_modelmeta().custom_metadata_map, path)
        self.config = facts.config
        self.tokenizer = facts.tokenizer
        self.num_parameters = facts.num_parameters
        self.frame_seconds = facts.frame_seconds

    def encode(self, waveforms: Sequence[np.ndarray]) -> OnnxEncoding:
        """What the model hears in waveforms (S,) at its rate, each by itself.

        In int8 a call has one scale for all that it computes, so that company would change what is heard; and in
        float32 it would be slower from a few seconds on, because a graph computes at padding, too.
        """
        return OnnxEncoding([self._run(waveform) for waveform in waveforms])

    def compute_attention(self, waveform: np.ndarray, block: int) -> NoReturn:
        """Raise UserError: a graph does not show what is inside."""
        raise UserError("an ONNX file does not show its attention; give --model the model file that it was made from")

    def _run(self, waveform: np.ndarray) -> np.ndarray:
        """The log-probabilities (T, V) of a waveform (S,)."""
        inputs = {"waveforms": waveform[None], "lengths": np.array([len(waveform)], np.int64)}
        try:
            log_probs, lengths = self._session.run(None, inputs)
        except Exception as error:
            if "allocate" in str(error):  # onnxruntime has no exception of its own for it
                raise MemoryError(str(error)) from None
            raise
        return log_probs[0, : lengths[0]]


def _load_session(path: str | Path, threads: int | None) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise UserError("onnxruntime is not installed; run pip install 'audioroto[onnx]'") from None
    if not Path(path).is_file():
        raise UserError(f"model {path} does not exist; make it with 'audioroto export'")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its errors are raised as well
    options.intra_op_num_threads = threads or 0
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of many types, which have no other base
        raise UserError(
            f"model {path} is damaged or not an ONNX file for this onnxruntime, {onnxruntime.__version__} "
            f"({str(error).splitlines()[0]}); export it again"
        ) from None
