"""Free audio to text."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from audioroto.errors import AudioError
from audioroto.infer.recognizer import Audio, Recognizer, load_model
from audioroto.infer.transcript import Transcript


def transcribe(
    audio: Audio,
    *,
    model: str | Path | Recognizer,
    rate: int | None = None,
) -> Transcript:
    """The text of one recording; see `Recognizer.transcribe`. For many, load the model once with `load_model`."""
    recognizer = model if isinstance(model, Recognizer) else load_model(model)
    return recognizer.transcribe(audio, rate)


def transcribe_files(
    recognizer: Recognizer, paths: Iterable[str | Path], mode: str = "ctc_greedy"
) -> Iterator[tuple[Path, Transcript | AudioError]]:
    """Each file with its transcript, or the error that kept it from having one: a bad file never stops the rest."""
    for path in map(Path, paths):
        try:
            yield path, recognizer.transcribe(path, mode=mode)
        except AudioError as error:
            yield path, error
