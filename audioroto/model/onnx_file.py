"""What an exported ONNX file says of itself beside its graph: enough to transcribe with this one file."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from audioroto.config import Config, parse_config
from audioroto.errors import UserError
from audioroto.text.tokenizer import Tokenizer

FORMAT = "audioroto-onnx-1"
SUFFIX = ".onnx"


@dataclass(frozen=True)
class OnnxFacts:
    """The metadata of an exported file; `source` names the model file that it was made from and its SHA-256.

    Text is all that ONNX keeps, under one key each. For programs that know nothing of audioroto there are also the
    `labels`, what each token stands for, and the `sample_rate` of the samples.
    """

    config: Config
    tokenizer: Tokenizer
    precision: Literal["float32", "int8"]
    frame_seconds: float  # of a frame of log-probabilities
    num_parameters: int
    source: dict[str, str]
    notes: dict[str, Any]

    def to_metadata(self) -> dict[str, str]:
        """The facts as ONNX keeps them."""
        return {
            "format": FORMAT,
            "config": self.config.model_dump_json(),
            "tokenizer": base64.b64encode(self.tokenizer.model).decode("ascii"),
            "labels": json.dumps(self.tokenizer.pieces, ensure_ascii=False),
            "sample_rate": str(self.config.features.sample_rate),
            "precision": self.precision,
            "frame_seconds": repr(self.frame_seconds),
            "num_parameters": str(self.num_parameters),
            "source": json.dumps(self.source),
            "notes": json.dumps(self.notes),
        }


def read_metadata(metadata: Mapping[str, str], path: str | Path) -> OnnxFacts:
    """The facts in a file's metadata. Raises UserError, which names `path`, unless `audioroto export` wrote it."""
    if metadata.get("format") != FORMAT:
        raise UserError(
            f"model {path} has format {metadata.get('format')!r}, this version runs {FORMAT!r}; make the file with "
            "'audioroto export'"
        )
    precision: Literal["float32", "int8"] = "int8" if metadata["precision"] == "int8" else "float32"
    return OnnxFacts(
        config=parse_config(json.loads(metadata["config"]), source=f"model {path}"),
        tokenizer=Tokenizer(base64.b64decode(metadata["tokenizer"])),
        precision=precision,
        frame_seconds=float(metadata["frame_seconds"]),
        num_parameters=int(metadata["num_parameters"]),
        source=json.loads(metadata["source"]),
        notes=json.loads(metadata["notes"]),
    )
