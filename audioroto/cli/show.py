"""audioroto show"""

from pathlib import Path
from typing import Annotated

import typer

from audioroto.cli.options import ConfigFiles, Device, Overrides

app = typer.Typer(help="Show a configuration, a model, a data directory or a recording.", no_args_is_help=True)


@app.command()
def config(config: ConfigFiles = None, overrides: Overrides = None) -> None:
    """Every setting with its value and meaning."""
    from rich.console import Console
    from rich.table import Table

    from audioroto.config import iter_settings, load_config

    table = Table("setting", "value", "meaning")
    for name, value, meaning in iter_settings(load_config(config or [], overrides or [])):
        table.add_row(name, str(value), meaning)
    Console(markup=False).print(table)


@app.command()
def model(
    file: Annotated[Path | None, typer.Argument(help="Model file; without one, --config says what to build.")] = None,
    config: ConfigFiles = None,
    overrides: Overrides = None,
) -> None:
    """The parts of a model with shapes and parameters, and which components are on; of a file also where it is from."""
    from rich.console import Console
    from rich.table import Table

    from audioroto.config import load_config
    from audioroto.model.asr import build_model, count_parameters
    from audioroto.model.checkpoint import load_checkpoint
    from audioroto.model.describe import list_components, summarize_modules

    console = Console(markup=False)
    if file is None:
        settings = load_config(config or [], overrides or [])
        network = build_model(settings, settings.text.vocab_size)
    else:
        checkpoint = load_checkpoint(file)
        settings, network = checkpoint.config, checkpoint.build()
        table = Table("fact", "value")
        for key, value in {"step": checkpoint.step, **checkpoint.notes, **checkpoint.environment}.items():
            table.add_row(key, _describe(value))
        console.print(table)
    table = Table("component", "", "setting")
    for name, is_on, setting in list_components(settings):
        table.add_row(name, "on" if is_on else "off", setting if is_on else "", style=None if is_on else "dim")
    console.print(table)
    table = Table(
        "module", "kind", "in", "out", "parameters", title="shapes of one utterance of 4 s", title_justify="left"
    )
    for part in summarize_modules(network, seconds=4.0):
        times = f"{part.times} × " if part.times > 1 else ""
        table.add_row(part.name, part.kind, part.shape_in, part.shape_out, f"{times}{part.parameters:,}")
    table.add_section()
    table.add_row("all", type(network).__name__, "", "", f"{count_parameters(network):,}")
    console.print(table)


@app.command()
def data(data_dirs: Annotated[list[Path], typer.Argument(help="Data directories.")]) -> None:
    """Utterances, hours, speakers and words of data directories."""
    from rich.console import Console
    from rich.table import Table

    from audioroto.corpus.datadir import read_datadir, summarize

    table = Table("data directory", "utterances", "hours", "speakers", "words")
    for data_dir in data_dirs:
        summary = summarize(read_datadir(data_dir))
        table.add_row(
            str(data_dir), str(summary.utterances), f"{summary.hours:.2f}", str(summary.speakers), str(summary.words)
        )
    Console(markup=False).print(table)


@app.command()
def audio(
    file: Annotated[Path, typer.Argument(help="Audio file.")],
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("audio.png"),
    model: Annotated[
        Path | None, typer.Option(help="Model file: also draw the words that it hears, with their confidences.")
    ] = None,
    attention: Annotated[
        int | None, typer.Option(metavar="BLOCK", help="With --model, also draw a local and a global head of a block.")
    ] = None,
    device: Device = "auto",
) -> None:
    """A picture of a recording: waveform, mel spectrogram, and what a model hears."""
    from audioroto.audio.load import load_audio
    from audioroto.audio.picture import draw_audio
    from audioroto.errors import UserError

    if model is None:
        if attention is not None:
            raise UserError("attention is that of a model: give --model as well")
        samples, rate = load_audio(file)
        draw_audio(samples, rate, out, file.name)
    else:
        from audioroto.infer.picture import choose_heads, draw_transcript
        from audioroto.infer.recognizer import load_model

        recognizer = load_model(model, device)
        samples, rate = load_audio(file, recognizer.sample_rate)
        heads = {} if attention is None else choose_heads(recognizer, samples, attention)
        draw_transcript(samples, rate, recognizer.transcribe(samples, rate), out, file.name, heads)
    print(f"{out}: {len(samples) / rate:.2f} s at {rate} samples per second")


def _describe(value: object) -> str:
    """A fact in words: what has names as `name value`, what is in turn a line each, hashes as far as they are read."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_describe(part[:12] if key == 'sha256' else part)}" for key, part in value.items())
    if isinstance(value, list):
        separator = "\n" if value and isinstance(value[0], dict) else ", "
        return separator.join(map(_describe, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
