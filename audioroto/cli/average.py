"""audioroto average"""

from pathlib import Path
from typing import Annotated

import typer


def average(
    exp_dir: Annotated[Path, typer.Option(help="Experiment folder of a training run.")],
    out: Annotated[Path, typer.Option(help="Model file to write.")],
    num_best: Annotated[
        int | None, typer.Option(min=1, help="Checkpoints to average; all that were kept if absent.")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Keep matrices in half precision: half the size.")] = False,
) -> None:
    """Average the best checkpoints of a run into one model file."""
    from audioroto.train.average import average_checkpoints

    model = average_checkpoints(exp_dir, out, num_best, half)
    print(f"{out}: mean of the checkpoints at updates {', '.join(map(str, model.notes['averaged_updates']))}")
