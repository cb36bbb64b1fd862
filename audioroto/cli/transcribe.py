"""audioroto transcribe"""

from pathlib import Path
from typing import Annotated

import typer

from audioroto.cli.options import Device, ModelFile


def transcribe(
    files: Annotated[list[Path], typer.Argument(help="Audio files.", show_default=False)],
    model: ModelFile,
    device: Device = "auto",
) -> None:
    """Write what audio files say to standard output, a line for each file.

    With several files each line begins with the file's name and a tab. A file that cannot be read is named on standard
    error; the others go on, and the exit status is 1.
    """
    from audioroto.errors import AudioError
    from audioroto.infer.recognizer import load_model
    from audioroto.infer.transcribe import transcribe_files

    num_failed = 0
    for path, found in transcribe_files(load_model(model, device), files):
        if isinstance(found, AudioError):
            num_failed += 1
            typer.echo(f"audioroto: {' '.join(str(found).split())}", err=True)
        else:
            print(f"{path}\t{found.text}" if len(files) > 1 else found.text, flush=True)
    if num_failed:
        raise typer.Exit(1)
