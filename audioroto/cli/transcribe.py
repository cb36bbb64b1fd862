"""audioroto transcribe"""

from pathlib import Path
from typing import Annotated

import typer

from audioroto.cli.options import ConfigFiles, Device, LmFile, ModelFile, Overrides


def transcribe(
    files: Annotated[list[Path], typer.Argument(help="Audio files.", show_default=False)],
    model: ModelFile,
    mode: Annotated[str, typer.Option(help="ctc_greedy, ctc_beam, attention, joint or rescoring.")] = "ctc_greedy",
    lm: LmFile = None,
    config: ConfigFiles = None,
    overrides: Overrides = None,
    device: Device = "auto",
) -> None:
    """Write what audio files say to standard output, a line for each file.

    With several files each line begins with the file's name and a tab. A file that cannot be read is named on standard
    error; the others go on, and the exit status is 1. Of the configuration only the section search is looked at.
    """
    from audioroto.config import load_config
    from audioroto.errors import AudioError
    from audioroto.infer.recognizer import load_model
    from audioroto.infer.transcribe import transcribe_files
    from audioroto.model.allocator import keep_freed_memory

    keep_freed_memory()
    num_failed = 0
    recognizer = load_model(model, device, load_config(config or [], overrides or []).search, lm)
    for path, found in transcribe_files(recognizer, files, mode):
        if isinstance(found, AudioError):
            num_failed += 1
            typer.echo(f"audioroto: {' '.join(str(found).split())}", err=True)
        else:
            print(f"{path}\t{found.text}" if len(files) > 1 else found.text, flush=True)
    if num_failed:
        raise typer.Exit(1)
