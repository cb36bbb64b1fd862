"""audioroto average"""

from pathlib import Path
from typing import Annotated

import typer

from audioroto.cli.options import Overrides


def average(
    exp_dir: Annotated[Path, typer.Option(help="Experiment folder of a training run.")],
    out: Annotated[Path, typer.Option(help="Model file to write.")],
    num_best: Annotated[
        int | None, typer.Option(min=1, help="Checkpoints to average; all that were kept if absent.")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Keep matrices in half precision: half the size.")] = False,
    mix_with: Annotated[
        Path | None, typer.Option(help="Model that training began from, to mix into the weights what was forgotten.")
    ] = None,
    mix_share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Its share in the weights.")] = 0.5,
    overrides: Overrides = None,
) -> None:
    """Average the best checkpoints of a run into one model file."""
    from audioroto.train.average import average_checkpoints

    model = average_checkpoints(
        exp_dir, out, num_best, half, mix_with=mix_with, mix_share=mix_share, overrides=overrides or ()
    )
    print(f"{out}: mean of the checkpoints at updates {', '.join(map(str, model.notes['averaged_updates']))}")
