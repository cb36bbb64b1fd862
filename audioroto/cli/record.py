"""audioroto record"""

from pathlib import Path
from typing import Annotated

import typer

from audioroto.cli.options import ConfigFiles, ModelFile, Overrides


def record(
    model: ModelFile,
    run: Annotated[str, typer.Option(help="Name of the run; the file is called <run>.json.")],
    corpus: Annotated[str, typer.Option(help="Name of the corpus.")],
    train_set: Annotated[str, typer.Option(help="Name of the training set.")],
    valid_set: Annotated[str, typer.Option(help="Name of the validation set.")],
    data_dir: Annotated[Path, typer.Option(help="Folder of the sets' data directories.")],
    recognize_dir: Annotated[Path, typer.Option(help="Folder of the recognized test sets.")],
    test_set: Annotated[list[str], typer.Option(help="Name of a recognized test set; repeatable.")],
    results_dir: Annotated[Path, typer.Option(help="Where <run>.json goes.")],
    command: Annotated[str, typer.Option(help="What makes the run again.")],
    curve: Annotated[Path | None, typer.Option(help="Picture of the training curve, to be kept beside.")] = None,
    config: ConfigFiles = None,
    overrides: Overrides = None,
    notes: Annotated[str, typer.Option(help="What else a reader should know.")] = "",
) -> None:
    """Keep a run's scores, counts for each utterance, command, commit and configuration as one JSON file."""
    from audioroto.infer.record import record_run

    path = record_run(
        results_dir,
        run=run,
        corpus=corpus,
        train_set=train_set,
        valid_set=valid_set,
        model=model,
        data_dir=data_dir,
        recognize_dir=recognize_dir,
        test_sets=test_set,
        command=command,
        config=[*map(str, config or []), *(overrides or [])],
        curve=curve,
        notes=notes,
    )
    print(f"{path}: recorded; 'audioroto results {results_dir}' makes the table")
