"""audioroto recognize"""

from pathlib import Path
from typing import Annotated

import typer

from audioroto.cli.launch import NumProcesses, share_work
from audioroto.cli.options import (
    BatchSeconds,
    ConfigFiles,
    Device,
    LmFile,
    ModelFile,
    Overrides,
    Threads,
    check_lm,
    load_search,
)


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
    batch_seconds: BatchSeconds = 60.0,
    device: Device = "auto",
    threads: Threads = None,
    num_processes: NumProcesses = 1,
) -> None:
    """Recognize every utterance of a data directory, in one or several modes; when stopped, the same command goes on.

    Several processes, on several machines started by torchrun, share the utterances and write one result. Of the
    configuration only the section search is looked at, what 'audioroto tune' wrote, for example, but for its mode.
    """
    share_work(num_processes)
    from audioroto.infer.origin import describe_origin
    from audioroto.infer.recognize import recognize_datadir
    from audioroto.infer.recognizer import load_model
    from audioroto.infer.team import Team

    names = list(dict.fromkeys(modes.replace(",", " ").split()))
    check_lm(lm, names)
    team = Team()
    search = load_search(model, config, overrides, None)
    recognizer = load_model(model, device, search, lm, threads=threads)
    origin = describe_origin(recognizer, model, names)
    for done in recognize_datadir(recognizer, data_dir, out_dir, names, batch_seconds, origin=origin, team=team):
        print(
            f"{out_dir / done.mode}: {done.utterances} utterances, {done.gated} of them silent, "
            f"{done.audio_seconds:.0f} s of audio, real-time factor {done.real_time_factor:.4f} "
            f"({done.encode_real_time_factor:.4f} encoding, {done.search_real_time_factor:.4f} searching), "
            f"{done.peak_memory_bytes / 2**20:.0f} MiB at most"
        )
