"""audioroto recognize"""

from pathlib import Path
from typing import Annotated

import typer

from audioroto.cli.options import ConfigFiles, Device, LmFile, ModelFile, Overrides


def recognize(
    model: ModelFile,
    data_dir: Annotated[Path, typer.Option(help="Data directory to recognize.")],
    out_dir: Annotated[Path, typer.Option(help="Folder for MODE/text, MODE/words.ctm and MODE/recognition.json.")],
    modes: Annotated[
        str, typer.Option(help="Searches, with commas between; the audio is encoded once.")
    ] = "ctc_greedy",
    lm: LmFile = None,
    config: ConfigFiles = None,
    overrides: Overrides = None,
    batch_seconds: Annotated[float, typer.Option(min=1.0, help="Seconds of audio computed at once.")] = 60.0,
    device: Device = "auto",
) -> None:
    """Recognize every utterance of a data directory, in one or several modes.

    Of the configuration only the section search is looked at: what 'audioroto tune' wrote, for example.
    """
    from audioroto.config import load_config
    from audioroto.infer.recognize import recognize_datadir
    from audioroto.infer.recognizer import load_model

    recognizer = load_model(model, device, load_config(config or [], overrides or []).search, lm)
    names = list(dict.fromkeys(modes.replace(",", " ").split()))
    for done in recognize_datadir(recognizer, data_dir, out_dir, names, batch_seconds):
        print(
            f"{out_dir / done.mode}: {done.utterances} utterances, {done.gated} of them silent, "
            f"{done.audio_seconds:.0f} s of audio, real-time factor {done.real_time_factor:.4f} "
            f"({done.encode_real_time_factor:.4f} encoding, {done.search_real_time_factor:.4f} searching), "
            f"{done.peak_memory_bytes / 2**20:.0f} MiB at most"
        )
