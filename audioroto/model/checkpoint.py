"""The model file: one safetensors file with weights, configuration, tokenizer, normaliser, step and environment.

No pickle is read from a model file: whoever opens a stranger's model runs no stranger's code.
"""

import base64
import json
import platform
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from audioroto.config import Config, parse_config
from audioroto.errors import UserError
from audioroto.files import atomic_path
from audioroto.model.asr import AsrModel, build_model
from audioroto.model.pretrained import find_model
from audioroto.model.tensor_file import DamagedFileError, read_tensors, write_tensors
from audioroto.text.tokenizer import Tokenizer

FORMAT = "audioroto-model-1"


@dataclass(frozen=True)
class Checkpoint:
    """A model file's content; `notes` is what the writer wanted kept with it: validation figures, hours, minutes."""

    weights: dict[str, Tensor]
    config: Config
    tokenizer: Tokenizer
    step: int
    environment: dict[str, str]
    notes: dict[str, Any]

    def build(self) -> AsrModel:
        """The network with these weights, in evaluation mode, on the CPU.

        Raises UserError when they are those of another version's network.
        """
        with _Uninitialized():
            model = build_model(self.config, self.tokenizer.vocab_size)
        try:
            model.load_state_dict(self.weights)
        except RuntimeError:
            writer = self.environment.get("commit", self.environment.get("audioroto", "unknown"))
            raise UserError(
                f"the model's weights do not fit this version's network: it was written by audioroto {writer}; "
                "use that version, or train the model again"
            ) from None
        return model.eval()


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write the model file atomically: a full disk or Ctrl-C leaves an earlier file as it was."""
    metadata = {
        "format": FORMAT,
        "config": checkpoint.config.model_dump_json(),
        "tokenizer": base64.b64encode(checkpoint.tokenizer.model).decode("ascii"),
        "normalizer": checkpoint.config.text.normalizer,
        "step": str(checkpoint.step),
        "environment": json.dumps(checkpoint.environment),
        "notes": json.dumps(checkpoint.notes),
    }
    with atomic_path(path) as temporary:
        write_tensors(temporary, checkpoint.weights, metadata)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a model file. Raises UserError naming the file when it is missing, damaged or not a model of ours."""
    path = find_model(path)
    try:
        metadata, weights = read_tensors(path)
    except DamagedFileError as error:
        raise UserError(f"model {path} is damaged or not a model file ({error}); copy or train it again") from None
    if metadata.get("format") != FORMAT:
        raise UserError(f"model {path} has format {metadata.get('format')!r}, this version reads {FORMAT!r}")
    return Checkpoint(
        weights=weights,
        config=parse_config(json.loads(metadata["config"]), source=f"model {path}"),
        tokenizer=Tokenizer(base64.b64decode(metadata["tokenizer"])),
        step=int(metadata["step"]),
        environment=json.loads(metadata["environment"]),
        notes=json.loads(metadata["notes"]),
    )


def average_weights(checkpoints: list[Checkpoint]) -> dict[str, Tensor]:
    """The mean of the weights of checkpoints of one run, summed in float64."""
    first = checkpoints[0].weights
    return {
        name: torch.stack([checkpoint.weights[name].double() for checkpoint in checkpoints]).mean(0).to(tensor.dtype)
        for name, tensor in first.items()
    }


def describe_environment() -> dict[str, str]:
    """Versions, processor and commit that a run depends on, to be kept beside its results."""
    return {
        "audioroto": version("audioroto"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "hardware": describe_hardware(),
        **_git_state(),
    }


def describe_hardware() -> str:
    """What the run computes on, in words: the GPU's name, or the processor and the number of threads."""
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} × {torch.cuda.get_device_name()}"
    name = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):  # not Linux: the platform's own name has to do
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return f"{name}, {torch.get_num_threads()} threads"


def _git_state() -> dict[str, str]:
    """The commit of the checkout that the package runs from and whether it was changed; nothing outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return {}
    try:
        commit, status = (
            subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True)
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": commit.stdout.strip(), "dirty": str(bool(status.stdout.strip())).lower()}


class _Uninitialized(TorchFunctionMode):
    """Draws no first weights: that takes longer than to read those that replace them."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(function, "__module__", None) == "torch.nn.init":
            return None
        return function(*args, **(kwargs or {}))
