"""Free audio to text."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from audioroto.errors import AudioError
from audioroto.infer.inputs import AudioInput, estimate_seconds
from audioroto.infer.recognizer import Audio, Recognizer, load_model
from audioroto.infer.transcript import Transcript
from audioroto.model.pretrained import DEFAULT_MODEL

Hear = Callable[[str | BinaryIO], Transcript]  # a file's path, or an open file, to what it says


def transcribe(
    audio: Audio,
    *,
    model: str | Path | Recognizer = DEFAULT_MODEL,
    rate: int | None = None,
) -> Transcript:
    """The text of one recording; see `Recognizer.transcribe`. For many, load the model once with `load_model`."""
    recognizer = model if isinstance(model, Recognizer) else load_model(model)
    return recognizer.transcribe(audio, rate)


def transcribe_files(
    hear: Hear, inputs: Sequence[AudioInput], show_progress: bool = False
) -> Iterator[tuple[AudioInput, Transcript | AudioError]]:
    """Each recording with its transcript, or the error that kept it from having one: a bad file never stops the rest.

    `hear` is a Recognizer's `transcribe`, with its options bound. Progress, on standard error where that is a terminal,
    counts seconds of audio, so that its time left is to be trusted.
    """
    console = Console(stderr=True)
    shown = show_progress and console.is_terminal
    estimates = estimate_seconds(inputs) if shown else [0.0] * len(inputs)
    started, audio_seconds, num_failed = time.perf_counter(), 0.0, 0
    with _make_progress_bar(console, disable=not shown) as progress:
        task = progress.add_task("transcribe", total=sum(estimates), note=f"0/{len(inputs)} files")
        for number, (audio, estimate) in enumerate(zip(inputs, estimates, strict=True), start=1):
            found = _transcribe_one(hear, audio)
            if isinstance(found, AudioError):
                num_failed += 1
            else:
                audio_seconds += found.seconds
            yield audio, found
            note = f"{number}/{len(inputs)} files" + (f", {num_failed} failed" if num_failed else "")
            if audio_seconds:
                note += f", real-time factor {(time.perf_counter() - started) / audio_seconds:.3f}"
            progress.update(task, advance=estimate, note=note)


def _transcribe_one(hear: Hear, audio: AudioInput) -> Transcript | AudioError:
    try:
        return hear(audio.source)
    except AudioError as error:
        return error
    except OSError as error:  # of reading: a disk or a connection that fails half-way, no room for ffmpeg's copy
        return AudioError(f"{audio.shown}: cannot be read ({error.strerror or error}); try again")
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):  # how torch says it
            raise
        return AudioError(f"{audio.shown}: the memory does not suffice; try a smaller --batch-seconds, without --whole")


def _make_progress_bar(console: Console, disable: bool) -> Progress:
    """Share of the audio done, time taken and time left, and the task's `note`."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=disable,
    )
