"""Options that several verbs share."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from audioroto.config import Search

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
    typer.Option(help="ARPA file (.gz too) made by 'audioroto lm', for all modes but ctc_greedy."),
]
BatchSeconds = Annotated[float, typer.Option(min=1.0, help="Seconds of audio computed at once.")]
SearchMode = Annotated[
    str | None,
    typer.Option(
        "--mode",
        "--search",
        metavar="MODE",
        help="ctc_greedy, ctc_beam, attention, joint, rescoring, or auto, the best that is possible. Without it: auto "
        "for a model that comes with audioroto, ctc_greedy for others.",
        show_default=False,
    ),
]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads that compute; else as many as torch takes.")]
Case = Annotated[Literal["model", "sentence"], typer.Option(help="sentence: capitals only where sentences begin.")]
DataDirs = Annotated[list[Path], typer.Argument(metavar="DIR...", help="Kaldi data directories.")]
TrainDir = Annotated[Path, typer.Option(help="Data directory to train on.")]
ModelFile = Annotated[
    Path, typer.Option(help="Model file made by 'audioroto average', or the name of one that comes with audioroto.")
]


def load_search(
    model: Path, config: list[Path] | None, overrides: list[str] | None, mode: str | None, lm: Path | None = None
) -> "Search":
    """The settings of a search: the model's own, under those of the files, the overrides and the mode.

    Raises UserError for an n-gram that this search would not ask.
    """
    from audioroto.model import pretrained

    last = [f"search.mode={mode}"] if mode else []
    search = pretrained.load_search(model, config or [], [*(overrides or []), *last])
    check_lm(lm, [search.mode])
    return search


def check_lm(lm: Path | None, modes: Sequence[str]) -> None:
    """Raise UserError where an n-gram is given that no mode asks."""
    from audioroto.errors import UserError
    from audioroto.infer.modes import MODES_WITH_LM

    if lm and not {"auto", *MODES_WITH_LM} & set(modes):
        raise UserError(
            f"--lm {lm}: {', '.join(modes)} asks no n-gram; leave it out, or search in a mode that does: "
            f"{', '.join(MODES_WITH_LM)}"
        )
