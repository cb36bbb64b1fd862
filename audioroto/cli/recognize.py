"""audioroto recognize"""

from pathlib import Path
from typing import Annotated

import typer

from audioroto.cli.options import Device, ModelFile


def recognize(
    model: ModelFile,
    data_dir: Annotated[Path, typer.Option(help="Data directory to recognize.")],
    out_dir: Annotated[Path, typer.Option(help="Folder for 'text' and 'recognition.json'.")],
    batch_seconds: Annotated[float, typer.Option(min=1.0, help="Seconds of audio computed at once.")] = 60.0,
    device: Device = "auto",
) -> None:
    """Recognize every utterance of a data directory."""
    from audioroto.infer.recognize import recognize_datadir
    from audioroto.infer.recognizer import load_model

    done = recognize_datadir(load_model(model, device), data_dir, out_dir, batch_seconds)
    print(
        f"{out_dir}: {done.utterances} utterances, {done.audio_seconds:.0f} s of audio in {done.wall_seconds:.1f} s, "
        f"real-time factor {done.real_time_factor:.4f}"
    )
