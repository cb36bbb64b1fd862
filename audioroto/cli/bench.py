"""audioroto bench rotation | attention | train | ablation"""

from pathlib import Path
from typing import Annotated

import typer

from audioroto.cli.options import ConfigFiles, Device, Overrides

app = typer.Typer(help="Measure what the parts are worth and what they cost.", no_args_is_help=True)

OutDir = Annotated[Path, typer.Option("--out", help="Folder for the figures (JSON) and the picture (PNG).")]


@app.command()
def rotation(
    out_dir: OutDir = Path("exp/bench/rotation"),
    corpus_dir: Annotated[Path, typer.Option(help="The embedded corpus, on which small models are trained.")] = Path(
        "data/mini"
    ),
    model: Annotated[
        Path | None, typer.Option(help="Model file with a rotation: decorrelation is measured on it as well.")
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Without what needs a recogniser to be trained.")] = False,
) -> None:
    """The five benefits claimed for the combined rotation, each with a figure."""
    from audioroto.bench.rotation import bench_rotation

    bench_rotation(out_dir, corpus_dir, model, fast)


@app.command()
def attention(
    out_dir: OutDir = Path("exp/bench/attention"),
    config: ConfigFiles = None,
    overrides: Overrides = None,
    device: Device = "cpu",
) -> None:
    """Time and peak memory of local, hybrid and dense attention, from 10 s to 1 h of audio."""
    from audioroto.bench.attention import bench_attention
    from audioroto.config import load_config

    bench_attention(load_config(config or [], overrides or []), out_dir, device)


# The sub-verb `ablation` has its place here.
