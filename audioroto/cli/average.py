"""audioroto average"""

from pathlib import Path
from typing import Annotated

import typer

from audioroto.cli.options import Overrides
from audioroto.errors import UserError


def average(
    exp_dir: Annotated[Path, typer.Option(help="Experiment folder of a training run.")],
    out: Annotated[Path, typer.Option(help="Model file to write.")],
    num_best: Annotated[
        int | None, typer.Option(min=1, help="Checkpoints to average; all that were kept if absent.")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Keep matrices in half precision: half the size.")] = False,
    mix_with: Annotated[
        list[Path] | None,
        typer.Option(help="Model that training began from, or that began there too, to mix in; repeatable."),
    ] = None,
    mix_share: Annotated[
        list[float] | None, typer.Option(min=0.0, max=1.0, help="Its share in the weights, for each; 0.5 if absent.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Average the best checkpoints of a run into one model file."""
    from audioroto.train.average import average_checkpoints

    others = mix_with or []
    shares = mix_share or [0.5] * len(others)
    if len(shares) != len(others):
        raise UserError(f"{len(others)} --mix-with but {len(shares)} --mix-share; give one for each, or none")
    mixed = list(zip(others, shares, strict=True))
    model = average_checkpoints(exp_dir, out, num_best, half, mix_with=mixed, overrides=overrides or ())
    print(f"{out}: mean of the checkpoints at updates {', '.join(map(str, model.notes['averaged_updates']))}")
