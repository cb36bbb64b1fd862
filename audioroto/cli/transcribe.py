"""audioroto transcribe"""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audioroto.cli.launch import NumProcesses, share_work
from audioroto.cli.options import (
    BatchSeconds,
    Case,
    ConfigFiles,
    Device,
    LmFile,
    ModelFile,
    Overrides,
    SearchMode,
    Threads,
    load_search,
)
from audioroto.model.pretrained import DEFAULT_MODEL

if TYPE_CHECKING:
    from audioroto.infer.inputs import AudioInput
    from audioroto.infer.transcribe import Hear


def transcribe(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Audio files, folders that hold some, patterns, or - for standard input.", show_default=False
        ),
    ],
    model: ModelFile = DEFAULT_MODEL,
    formats: Annotated[
        str, typer.Option("--format", help="txt, srt, vtt, tsv, json, ctm, textgrid; commas between.")
    ] = "txt",
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="Folder for a file of each format; what is finished in it is kept.")
    ] = None,
    mode: SearchMode = None,
    lm: LmFile = None,
    config: ConfigFiles = None,
    overrides: Overrides = None,
    case: Case = "model",
    whole: Annotated[bool, typer.Option("--whole", help="Encode each recording whole, however long it is.")] = False,
    batch_seconds: BatchSeconds = 60.0,
    engine: Annotated[
        Literal["auto", "torch", "onnx"],
        typer.Option(
            help="What computes: onnx, without torch, for a .onnx file from 'audioroto export'; auto: by its name."
        ),
    ] = "auto",
    device: Device = "auto",
    threads: Threads = None,
    num_processes: NumProcesses = 1,
    restart: Annotated[bool, typer.Option("--restart", help="With --out: do finished files again.")] = False,
) -> None:
    """Write what recordings say: to standard output, or with --out each to files that are called like it.

    Without --out several files give a line each, the file's name and its text with a tab between. A file that cannot be
    read never stops the others; such files are listed at the end, and the exit status is 1. With --out a second run
    does only what is new or was made from another file, by another model or with other settings, and several processes,
    on several machines started by torchrun, share the work. Of the configuration only the section search is looked at.
    """
    share_work(num_processes)
    from audioroto.errors import UserError
    from audioroto.infer.folder import OutputFolder, transcribe_to_folder
    from audioroto.infer.inputs import STANDARD_INPUT, AudioInput, find_audio
    from audioroto.infer.origin import describe_origin
    from audioroto.infer.recognizer import load_model
    from audioroto.infer.team import Team
    from audioroto.infer.writers import read_formats
    from audioroto.model.allocator import keep_freed_memory

    keep_freed_memory()
    names = read_formats(formats)
    search = load_search(model, config, overrides, mode, lm)
    team = Team()
    if team.size > 1 and (out_dir is None or STANDARD_INPUT in files):
        raise UserError("several processes need --out DIR, and cannot share standard input")
    found = team.agree("inputs", lambda: [[audio.path, audio.name] for audio in find_audio(files)])
    inputs = [AudioInput(path, name) for path, name in found]
    if out_dir is None and (len(names) > 1 or (len(inputs) > 1 and names != ["txt"])):
        raise UserError("several formats, or another than txt for several files, need --out DIR to be written to")
    recognizer = load_model(model, device, search, lm, engine=engine, threads=threads)
    hear = partial(recognizer.transcribe, batch_seconds=batch_seconds, whole=whole)
    about = describe_origin(recognizer, model, [recognizer.mode], whole=whole)
    if out_dir is None:
        failures = _print_texts(hear, inputs, names[0], about, case)
    else:
        try:
            folder = OutputFolder(out_dir, names, case, about)
            run = transcribe_to_folder(hear, inputs, folder, restart=restart, team=team)
        except KeyboardInterrupt:
            if team.leads:
                typer.echo(
                    f"stopped; what is finished in {out_dir} is kept, and the same command goes on from there", err=True
                )
            raise typer.Exit(130) from None
        failures = list(run.failures) if run else []
        if run:
            typer.echo(
                f"{out_dir}: {run.num_transcribed} files transcribed, {run.num_done_before} done before, "
                f"{len(failures)} failed; {run.audio_seconds:.0f} s of audio, "
                f"real-time factor {run.real_time_factor:.4f}",
                err=True,
            )
    for failure in failures:
        typer.echo(f"audioroto: {failure}", err=True)
    if failures:
        raise typer.Exit(1)


def _print_texts(hear: "Hear", inputs: "list[AudioInput]", format: str, about: dict[str, Any], case: Case) -> list[str]:
    """Print each transcript as soon as it is there; what kept the others from having one is returned."""
    from audioroto.infer.transcribe import transcribe_files
    from audioroto.infer.writers import format_transcript

    failures = []
    for audio, found in transcribe_files(hear, inputs, show_progress=not sys.stdout.isatty()):
        if isinstance(found, Exception):
            failures.append(" ".join(str(found).split()))
            continue
        text = format_transcript(found, format, name=audio.shown, about=about, case=case).rstrip("\n")
        print(f"{audio.shown}\t{' '.join(text.split())}" if len(inputs) > 1 else text, flush=True)
    return failures
