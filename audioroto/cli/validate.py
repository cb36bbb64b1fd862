"""audioroto validate"""

from pathlib import Path
from typing import Annotated

import typer

from audioroto.cli.options import ConfigFiles, DataDirs, Overrides


def validate(
    datadirs: DataDirs,
    fix: Annotated[
        bool, typer.Option("--fix", help="Repair what can be repaired; a backup is kept in DIR/.backup.")
    ] = False,
    for_training: Annotated[
        bool,
        typer.Option(
            "--for-training",
            help="Also report what training on the first DIR leaves out, and which of its speakers are in the others.",
        ),
    ] = False,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            help="For --for-training; without one, it is made from the first DIR as 'audioroto tokenizer' would."
        ),
    ] = None,
    config: ConfigFiles = None,
    overrides: Overrides = None,
) -> None:
    """List all that is wrong with data directories, as FILE:LINE: MESSAGE; exit status 1 if anything is."""
    from audioroto.corpus.datadir import read_datadir, summarize
    from audioroto.corpus.validate import find_problems, fix_datadir
    from audioroto.errors import UserError

    if not for_training and (tokenizer or config or overrides):
        raise UserError("--tokenizer, --config and --set are for --for-training; add it, or leave them out")
    num_bad = 0
    for datadir in datadirs:
        for action in fix_datadir(datadir) if fix else []:
            typer.echo(f"{datadir}: {action}")
        found = find_problems(datadir)
        for problem in found:
            typer.echo(f"{problem}{' (only a warning)' if problem.is_warning else ''}")
        problems = [problem for problem in found if not problem.is_warning]
        if problems:
            num_bad += 1
            num_fixable = sum(problem.fixable for problem in problems)
            hint = f"'audioroto validate --fix {datadir}' repairs {num_fixable} of them"
            if not num_fixable:
                hint = (
                    "correct the lines above; an utterance whose line is removed from one file, --fix removes from all"
                )
            typer.echo(f"{datadir}: {len(problems)} problems; {hint}")
        else:
            summary = summarize(read_datadir(datadir))
            typer.echo(
                f"{datadir}: no problems: {summary.utterances:,} utterances, {summary.hours:.2f} hours, "
                f"{summary.speakers:,} speakers, {summary.words:,} words"
            )
    if for_training:
        from rich.console import Console

        from audioroto.config import load_config
        from audioroto.train.selection import make_report, preview_training

        settings = load_config(config or [], overrides or [])
        selection, warnings = preview_training(datadirs[0], datadirs[1:], tokenizer, settings)
        Console().print(make_report(selection, datadirs[0]))
        for warning in warnings:
            typer.echo(f"{warning} (only a warning)")
        num_bad += not selection.utterances
    if num_bad:
        raise typer.Exit(1)
