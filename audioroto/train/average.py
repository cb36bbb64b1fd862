"""The model that a run hands over: the mean of its best checkpoints."""

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from audioroto.errors import UserError
from audioroto.model.checkpoint import Checkpoint, average_weights, load_checkpoint, save_checkpoint


def average_checkpoints(
    exp_dir: str | Path, out: str | Path, num_best: int | None = None, half: bool = False
) -> Checkpoint:
    """Average the `num_best` checkpoints of EXP_DIR/checkpoints with the lowest validation WER (all by default).

    Writes the model file `out` and returns its content. `half` keeps matrices in half precision (float16), at half the
    size; they are computed with in float32 all the same. Raises UserError when there is no checkpoint.
    """
    paths = sorted(Path(exp_dir, "checkpoints").glob("update-*.safetensors"))
    if not paths:
        raise UserError(f"{exp_dir}/checkpoints holds no checkpoint; run 'audioroto train --exp-dir {exp_dir}' first")
    ranked = sorted(
        map(load_checkpoint, paths), key=lambda found: (found.notes["valid_wer"], found.notes["valid_loss"])
    )[:num_best]
    last = max(ranked, key=lambda found: found.step)
    notes = {
        **last.notes,
        "averaged_updates": sorted(found.step for found in ranked),
        "valid_wer": ranked[0].notes["valid_wer"],
        "valid_loss": ranked[0].notes["valid_loss"],
    }
    weights = average_weights(ranked)
    if half:
        weights = {name: tensor.half() if _is_matrix(tensor) else tensor for name, tensor in weights.items()}
    averaged = replace(last, weights=weights, notes=notes)
    save_checkpoint(out, averaged)
    return averaged


def _is_matrix(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.ndim > 1
