"""The model that a run hands over: the mean of its best checkpoints."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from audioroto.config import change_config
from audioroto.errors import UserError
from audioroto.model.checkpoint import Checkpoint, average_weights, load_checkpoint, save_checkpoint
from audioroto.train.initialize import find_architecture_changes, load_origin


def average_checkpoints(
    exp_dir: str | Path,
    out: str | Path,
    num_best: int | None = None,
    half: bool = False,
    *,
    mix_with: Sequence[tuple[str | Path, float]] = (),
    overrides: Sequence[str] = (),
) -> Checkpoint:
    """Average the `num_best` checkpoints of EXP_DIR/checkpoints with the lowest validation WER (all by default).

    Writes the model file `out` and returns its content. `half` keeps matrices in half precision (float16), at half the
    size; they are computed with in float32 all the same. Each model file of `mix_with`, one after another, gets its
    share in all weights: what training began from, which brings back what was forgotten (WiSE-FT, arXiv 2109.01903), or
    what began there too (model soups, arXiv 2203.05482). `overrides` change settings that no weight depends on. Raises
    UserError when there is no checkpoint, for another architecture and for a model that has nothing to do with it.
    """
    paths = sorted(Path(exp_dir, "checkpoints").glob("update-*.safetensors"))
    if not paths:
        raise UserError(f"{exp_dir}/checkpoints holds no checkpoint; run 'audioroto train --exp-dir {exp_dir}' first")
    ranked = sorted(
        map(load_checkpoint, paths), key=lambda found: (found.notes["valid_wer"], found.notes["valid_loss"])
    )[:num_best]
    if any(found.config != ranked[0].config for found in ranked):
        raise UserError(
            f"{exp_dir}/checkpoints holds checkpoints of runs with other settings; give 'audioroto train' --restart, "
            "which removes those of earlier runs, or remove them"
        )
    last = max(ranked, key=lambda found: found.step)
    notes = {
        **last.notes,
        "averaged_updates": sorted(found.step for found in ranked),
        "valid_wer": ranked[0].notes["valid_wer"],
        "valid_loss": ranked[0].notes["valid_loss"],
    }
    config = change_config(last.config, overrides)
    if changed := find_architecture_changes(last.config, config):
        raise UserError(
            f"--set {changed[0][0]}={changed[0][2]}: weights were trained for {changed[0][1]}; leave it out"
        )
    averaged = replace(last, weights=average_weights(ranked), config=config, notes=notes)
    for path, share in mix_with:
        averaged = _mix(averaged, path, share)
    if half:
        matrices = {name for name, parameter in averaged.build().named_parameters() if parameter.ndim > 1}
        # Note: not the buffers, of which a rotation in half precision would be none.
        halved = {name: tensor.half() if name in matrices else tensor for name, tensor in averaged.weights.items()}
        averaged = replace(averaged, weights=halved)
    save_checkpoint(out, averaged)
    return averaged


def _mix(checkpoint: Checkpoint, path: str | Path, share: float) -> Checkpoint:
    """The checkpoint with a share of the model file's weights in its own."""
    origin = load_origin(path)
    if changed := find_architecture_changes(origin.checkpoint.config, checkpoint.config):
        differences = "; ".join(f"{name} is {theirs!r}, not {ours!r}" for name, theirs, ours in changed)
        raise UserError(f"--mix-with {path} has another architecture ({differences}); give one of the same origin")
    if origin.checkpoint.tokenizer.model != checkpoint.tokenizer.model:
        raise UserError(f"--mix-with {path} has another tokenizer; give a model of the same origin")
    if not _hashes(origin.chain) & _hashes(checkpoint.notes.get("init_from", [])):
        raise UserError(
            f"--mix-with {path} is not what training began from, and did not begin there itself; "
            "the mean of unrelated weights is no model"
        )
    weights = {
        name: torch.lerp(tensor.double(), origin.checkpoint.weights[name].double(), share).to(tensor.dtype)
        for name, tensor in checkpoint.weights.items()
    }
    mixed = [*checkpoint.notes.get("mixed_with", []), origin.chain[-1] | {"share": share}]
    return replace(checkpoint, weights=weights, notes=checkpoint.notes | {"mixed_with": mixed})


def _hashes(chain: Sequence[dict[str, Any]]) -> set[str]:
    return {link["sha256"] for link in chain}
