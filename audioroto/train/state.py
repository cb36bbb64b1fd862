"""What an interrupted run needs to go on as if never interrupted: one safetensors file, written atomically."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from audioroto.config import Config, parse_config
from audioroto.errors import UserError
from audioroto.files import atomic_path


@dataclass
class Progress:
    """How far the run is. Random draws are keyed by update, epoch and utterance, so no random state is kept."""

    update: int = 0
    epoch: int = 0
    number: int = 0  # batches of the epoch that are done
    audio_seconds: float = 0.0
    wall_seconds: float = 0.0
    best: list[dict[str, Any]] = field(default_factory=list)  # kept checkpoints: update, wer, loss


def save_state(
    path: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    config: Config,
    inputs: str,
) -> None:
    """Write weights, optimizer moments and progress to `path`; `inputs` is a fingerprint of what is trained on."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state[parameter].items():
            tensors[f"optimizer.{key}.{name}"] = value
    metadata = {"progress": json.dumps(asdict(progress)), "config": config.model_dump_json(), "inputs": inputs}
    with atomic_path(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, metadata)


def load_state(
    path: str | Path, model: nn.Module, optimizer: torch.optim.Optimizer, config: Config, inputs: str
) -> Progress:
    """Put weights and moments back and return the progress.

    Raises UserError when the file is damaged, or was written under another configuration or for other `inputs`.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 – not a dictionary
    except (SafetensorError, OSError) as error:
        raise UserError(f"training state {path} is damaged ({error}); remove it to start the run afresh") from None
    _refuse_other_settings(path, json.loads(metadata["config"]), config)
    if metadata["inputs"] != inputs:
        raise UserError(
            f"{path} belongs to a run on other training data or another tokenizer. Give another --exp-dir, or --restart"
        )
    model.load_state_dict(_strip(tensors, "model."))
    for name, parameter in model.named_parameters():
        moments = {
            key: tensors[f"optimizer.{key}.{name}"]
            for key in ("step", "exp_avg", "exp_avg_sq")
            if f"optimizer.{key}.{name}" in tensors
        }
        if moments:
            step = moments.pop("step")
            optimizer.state[parameter] = {
                "step": step.to(parameter.device),
                **{key: value.to(parameter.device) for key, value in moments.items()},
            }
    return Progress(**json.loads(metadata["progress"]))


def _strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _refuse_other_settings(path: str | Path, saved: dict[str, Any], config: Config) -> None:
    """How texts are searched for may change in a run; and a setting that did not exist yet had its default."""
    earlier, current = (
        {**settings.model_dump(), "search": {}} for settings in (parse_config(saved, str(path)), config)
    )
    changed = [
        f"{section}.{key} was {earlier[section][key]!r}, is {value!r}"
        for section, table in current.items()
        for key, value in table.items()
        if earlier[section][key] != value
    ]
    if changed:
        raise UserError(
            f"{path} belongs to a run with other settings: {'; '.join(changed)}. "
            "Give another --exp-dir, the old settings, or --restart"
        )
