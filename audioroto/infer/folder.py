"""A folder run: the transcripts of many recordings as files, resumable, divided over the processes that there are."""

import errno
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from audioroto.errors import AudioError, UserError
from audioroto.files import write_text
from audioroto.infer.inputs import STANDARD_INPUT, AudioInput, estimate_seconds, name_outputs
from audioroto.infer.team import Team, divide
from audioroto.infer.transcribe import Hear, transcribe_files
from audioroto.infer.transcript import Transcript
from audioroto.infer.writers import format_transcript

STAMPS = ".audioroto"  # in the folder of the outputs: a file for each finished recording
MANIFEST = "manifest.json"

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_TAKEN = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR)


@dataclass(frozen=True)
class FolderRun:
    """What came of a run, of all processes together; `failures` are messages that name the file, in its order."""

    num_files: int
    num_done_before: int
    failures: tuple[str, ...]
    audio_seconds: float  # of what was transcribed now
    seconds: float  # that the slowest process took for it

    @property
    def num_transcribed(self) -> int:
        """Recordings that have their outputs since this run."""
        return self.num_files - self.num_done_before - len(self.failures)

    @property
    def real_time_factor(self) -> float:
        """Seconds from beginning to end for a second of audio; 0 without audio."""
        return self.seconds / self.audio_seconds if self.audio_seconds else 0.0


class OutputFolder:
    """Where outputs lie, and which are finished: those whose stamp says what would be said of them now.

    A recording's stamp holds its path, size and time of change, what was written and `about`: the model's hash, the
    settings.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        formats: Sequence[str],
        case: Literal["model", "sentence"],
        about: Mapping[str, Any],
    ) -> None:
        self.folder = Path(folder)
        self.formats = tuple(formats)
        self.case: Literal["model", "sentence"] = case
        self.about = {**about, "case": case}

    def describe(self, audio: AudioInput) -> dict[str, Any]:
        """What the stamp of a recording says beside its outputs; standard input is never the same again."""
        source: list[str | int] = [time.time_ns()]
        if audio.path != STANDARD_INPUT:
            with suppress(OSError):
                status = os.stat(audio.path)
                source = [os.path.abspath(audio.path), status.st_size, status.st_mtime_ns]
        return {"source": source, "about": self.about}

    def write(self, audio: AudioInput, state: Mapping[str, Any], output: str, transcript: Transcript) -> None:
        """Write a recording's transcript in every format, then its stamp, with the `state` that it was heard in.

        Raises UserError for a full disk, AudioError for a name that the disk cannot hold or that is taken.
        """
        try:
            self._stamp(output).unlink(missing_ok=True)  # while outputs are of several makings, none is finished
            for format in self.formats:
                content = format_transcript(transcript, format, name=audio.shown, about=self.about, case=self.case)
                write_text(self._path(output, format), content)
            stamp = {**state, "formats": self.formats, "seconds": round(transcript.seconds, 3)}
            write_text(self._stamp(output), json.dumps(stamp) + "\n")
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise UserError(
                    f"no room is left for {self.folder}; what is finished is kept: free some, and "
                    "the same command goes on"
                ) from None
            if error.errno == errno.ENAMETOOLONG:
                raise AudioError(f"{audio.shown}: its outputs' names would be too long; rename it") from None
            if error.errno in _TAKEN:
                raise AudioError(
                    f"{audio.shown}: a name of its outputs in {self.folder} is that of a file and of a folder; "
                    "rename it, or give another --out"
                ) from None
            raise

    def read_seconds(self, audio: AudioInput, output: str) -> float | None:
        """How long a finished recording is; None for one that is not finished, or was with other settings."""
        try:
            stamp = json.loads(self._stamp(output).read_text(encoding="utf-8"))
            written = set(stamp.pop("formats"))
            seconds = float(stamp.pop("seconds"))
            if stamp != json.loads(json.dumps(self.describe(audio))):
                return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # no stamp, or none of ours
            return None
        there = all(self._path(output, format).is_file() for format in self.formats)
        return seconds if there and written >= set(self.formats) else None

    def write_manifest(self, inputs: Sequence[AudioInput], outputs: Sequence[str], ends: Mapping[int, Any]) -> None:
        """Write manifest.json: `about`, and each recording with its outputs and seconds, or its error."""
        files = []
        for index, (audio, output) in enumerate(zip(inputs, outputs, strict=True)):
            names = [os.fspath(self._path(output, format).relative_to(self.folder)) for format in self.formats]
            done = isinstance(ends[index], float)
            files.append({"path": audio.path, **({"seconds": ends[index], "outputs": names} if done else ends[index])})
        write_text(self.folder / MANIFEST, json.dumps({"about": self.about, "files": files}, indent=1) + "\n")

    def _path(self, output: str, format: str) -> Path:
        return self.folder / f"{output}.{'TextGrid' if format == 'textgrid' else format}"

    def _stamp(self, output: str) -> Path:
        return self.folder / STAMPS / f"{output}.json"


def transcribe_to_folder(
    hear: Hear,
    inputs: Sequence[AudioInput],
    folder: OutputFolder,
    *,
    restart: bool = False,
    team: Team | None = None,
) -> FolderRun | None:
    """Transcribe what is not finished, each process of the `team` its share; all see the same inputs and folder.

    What is finished is finished, whatever ends the run. `restart` does all anew. The leader of the team gets what came
    of the run, when all are done; the others None. Raises UserError when the disk is full.
    """
    team = team or Team()
    outputs = name_outputs(inputs)
    finished: dict[int, float] = {}

    def plan() -> list[list[int]]:
        for index, (audio, output) in enumerate(zip(inputs, outputs, strict=True)):
            done_seconds = None if restart else folder.read_seconds(audio, output)
            if done_seconds is not None:
                finished[index] = done_seconds
        (folder.folder / MANIFEST).unlink(missing_ok=True)  # it is there when a run has ended
        rest = [index for index in range(len(inputs)) if index not in finished]
        seconds = estimate_seconds([inputs[index] for index in rest]) if team.size > 1 else [0.0] * len(rest)
        return [[rest[place] for place in share] for share in divide(seconds, team.size)]

    share = team.agree("plan", plan)[team.rank]
    started = time.perf_counter()
    ends: dict[int, Any] = {}
    mine = [inputs[index] for index in share]
    results = transcribe_files(hear, mine, show_progress=team.leads)
    states = map(folder.describe, mine)  # each is taken just before its recording is heard, and may change
    for index, state, (audio, found) in zip(share, states, results, strict=True):
        try:
            if isinstance(found, AudioError):
                raise found
            folder.write(audio, state, outputs[index], found)
            ends[index] = round(found.seconds, 3)
        except AudioError as error:
            ends[index] = {"error": " ".join(str(error).split())}
    parts = team.gather("ends", [list(ends.items()), time.perf_counter() - started])
    if parts is None:
        return None
    now = {index: end for part, _ in parts for index, end in part}
    folder.write_manifest(inputs, outputs, {**finished, **now})
    return FolderRun(
        num_files=len(inputs),
        num_done_before=len(finished),
        failures=tuple(now[index]["error"] for index in sorted(now) if isinstance(now[index], dict)),
        audio_seconds=sum(end for end in now.values() if isinstance(end, float)),
        seconds=max(seconds for _, seconds in parts),
    )
