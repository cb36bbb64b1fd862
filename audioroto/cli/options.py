"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFiles = Annotated[
    list[Path] | None, typer.Option("--config", help="TOML file of settings; repeatable, later ones win.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="One setting; repeatable, wins over files."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
LmFile = Annotated[
    Path | None,
    typer.Option(help="ARPA file (.gz too) made by 'audioroto lm', for the modes ctc_beam and rescoring."),
]
ModelFile = Annotated[Path, typer.Option(help="Model file made by 'audioroto average'.")]
