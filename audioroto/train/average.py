"""The model that a run hands over: the mean of its best checkpoints."""

from dataclasses import replace
from pathlib import Path

from audioroto.errors import UserError
from audioroto.model.checkpoint import Checkpoint, average_weights, load_checkpoint, save_checkpoint


def average_checkpoints(exp_dir: str | Path, out: str | Path, num_best: int | None = None) -> Checkpoint:
    """Average the `num_best` checkpoints of EXP_DIR/checkpoints with the lowest validation WER (all by default).

    Writes the model file `out` and returns its content. Raises UserError when there is no checkpoint.
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
    averaged = replace(last, weights=average_weights(ranked), notes=notes)
    save_checkpoint(out, averaged)
    return averaged
