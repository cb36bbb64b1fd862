"""What an interrupted run needs to go on as if never interrupted: one safetensors file, written atomically.

The one before it is kept beside it, and takes its place when it turns out to be damaged.
"""

import json
import logging
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audioroto.config import Config, find_changes, parse_config
from audioroto.errors import UserError
from audioroto.files import atomic_path
from audioroto.model.tensor_file import DamagedFileError, read_tensors, write_tensors

logger = logging.getLogger(__name__)

MOMENTS = ("step", "exp_avg", "exp_avg_sq", "momentum_buffer")  # what AdamW and Muon keep of each parameter


@dataclass
class Progress:
    """How far the run is. Random draws are keyed by update, epoch and utterance, so no random state is kept."""

    update: int = 0
    epoch: int = 0
    number: int = 0  # batches of the epoch that are done
    audio_seconds: float = 0.0
    wall_seconds: float = 0.0
    num_bad_updates: int = 0  # in a row, the last of the run
    best: list[dict[str, Any]] = field(default_factory=list)  # kept checkpoints: update, wer, loss
    init_from: list[dict[str, Any]] = field(default_factory=list)  # models it began from, in turn: model, sha256, step


def previous_state(path: str | Path) -> Path:
    """Where `save_state` keeps the state that was at `path` before."""
    path = Path(path)
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def save_state(
    path: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    config: Config,
    inputs: str,
    average: dict[str, Tensor],
) -> None:
    """Write weights, optimizer moments and progress to `path`; `inputs` is a fingerprint of what is trained on.

    `average` are the tensors of the running average, where there is one.
    What was at `path` is kept at `previous_state(path)`. A full disk leaves both as they were.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state[parameter].items():
            tensors[f"optimizer.{key}.{name}"] = value
    tensors |= {f"average.{name}": tensor for name, tensor in average.items()}
    metadata = {"progress": json.dumps(asdict(progress)), "config": config.model_dump_json(), "inputs": inputs}
    with atomic_path(path) as temporary:
        write_tensors(temporary, tensors, metadata)
        if Path(path).exists():
            _copy(path, previous_state(path))


def load_state(
    path: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    config: Config,
    inputs: str,
    average: dict[str, Tensor],
) -> Progress:
    """Put weights, moments and, into its tensors, the running average back, and return the progress.

    Where the file is damaged, the one before it takes its place, with a warning. Raises UserError when that is damaged
    too, or when the state was written under another configuration or for other `inputs`.
    """
    metadata, tensors = _read_sound(path)
    _refuse_other_settings(path, json.loads(metadata["config"]), config)
    if metadata["inputs"] != inputs:
        raise UserError(
            f"{path} belongs to a run on other training data or noises, or with another tokenizer. "
            "Give another --exp-dir, or --restart"
        )
    model.load_state_dict(_strip(tensors, "model."))
    for name, parameter in model.named_parameters():
        moments = {key: tensors[f"optimizer.{key}.{name}"] for key in MOMENTS if f"optimizer.{key}.{name}" in tensors}
        if moments:
            optimizer.state[parameter] = {key: value.to(parameter.device) for key, value in moments.items()}
    for name, tensor in average.items():
        tensor.copy_(tensors[f"average.{name}"])
    return Progress(**json.loads(metadata["progress"]))


def _read_sound(path: str | Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of the state, or of the one before it if it is damaged."""
    try:
        return _read(path)
    except UserError as error:
        previous = previous_state(path)
        if not previous.exists():
            raise UserError(f"{error}; remove it to start the run afresh") from None
        try:
            metadata, tensors = _read(previous)
        except UserError as another:
            raise UserError(f"{error}, and so is the one before it: {another}; give --restart to begin anew") from None
        logger.warning(
            "%s; going on from the one before it, update %d", error, json.loads(metadata["progress"])["update"]
        )
        _copy(previous, path)  # so that the next save keeps this one, and not the damaged one
        return metadata, tensors


def _read(path: str | Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        return read_tensors(path)
    except DamagedFileError as error:
        raise UserError(f"training state {path} is damaged ({error})") from None


def _copy(source: str | Path, target: Path | str) -> None:
    """Make `target` the same file as `source`, without a moment at which it is not whole."""
    with atomic_path(target) as temporary:
        temporary.unlink()
        try:
            os.link(source, temporary)
        except OSError:  # a file system without hard links
            shutil.copyfile(source, temporary)


def _strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _refuse_other_settings(path: str | Path, saved: dict[str, Any], config: Config) -> None:
    """How texts are searched for may change in a run; and a setting that did not exist yet had its default."""
    changes = find_changes(parse_config(saved, str(path)), config)
    changed = [f"{name} was {was!r}, is {now!r}" for name, was, now in changes if not name.startswith("search.")]
    if changed:
        raise UserError(
            f"{path} belongs to a run with other settings: {'; '.join(changed)}. "
            "Give another --exp-dir, the old settings, or --restart"
        )
