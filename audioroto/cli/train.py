"""audioroto train"""

from pathlib import Path
from typing import Annotated

import typer

from audioroto.cli.launch import NumProcesses, share_work
from audioroto.cli.options import ConfigFiles, Device, Overrides, TrainDir
from audioroto.config import load_config


def train(
    train_dir: TrainDir,
    valid_dir: Annotated[Path, typer.Option(help="Data directory that chooses checkpoints; never a test set.")],
    exp_dir: Annotated[Path, typer.Option(help="Experiment folder; an interrupted run there goes on.")],
    tokenizer: Annotated[
        Path | None, typer.Option(help="Model made by 'audioroto tokenizer'; --init-from brings its own.")
    ] = None,
    init_from: Annotated[
        Path | None, typer.Option(help="Model file to begin from: to train a model further on other speech.")
    ] = None,
    config: ConfigFiles = None,
    overrides: Overrides = None,
    device: Device = "auto",
    num_processes: NumProcesses = 1,
    restart: Annotated[bool, typer.Option("--restart", help="Begin afresh even if a run could go on.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Try the largest batch and one update, keep nothing, and stop.")
    ] = False,
    diagnostics: Annotated[
        bool,
        typer.Option("--diagnostics", help="Keep activations, gradients and steps of each module, with a picture."),
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write the metrics for TensorBoard too, to EXP/tensorboard; an extra.")
    ] = False,
) -> None:
    """Train a model; Ctrl-C saves, and the same command goes on from there.

    Several processes, on several machines started by torchrun, share out each update.
    """
    share_work(num_processes)
    from rich.console import Console

    from audioroto.train.distributed import join_processes
    from audioroto.train.trainer import train as run

    with join_processes() as processes:
        run(
            load_config(config or [], overrides or []),
            train_dir,
            valid_dir,
            tokenizer,
            exp_dir,
            device=device,
            init_from=init_from,
            restart=restart,
            dry_run=dry_run,
            diagnostics=diagnostics,
            tensorboard=tensorboard,
            processes=processes,
            console=Console(stderr=True, quiet=not processes.first),
        )
    if processes.first and not dry_run:
        print(f"checkpoints in {exp_dir / 'checkpoints'}, curves in {exp_dir / 'curves.png'}")
