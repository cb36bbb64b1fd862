"""Kaldi data directories, the form in which every corpus lies on disk, in and out."""

import logging
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from audioroto.audio.load import audio_seconds, load_audio
from audioroto.errors import UserError
from audioroto.files import make_unique, write_text

log = logging.getLogger(__name__)

UNMEASURED = math.nan
NUM_HEADER_THREADS = 16  # headers wait for the disk or the network, hardly for the processor
MIN_FILES_FOR_PROGRESS = 2000


@dataclass(frozen=True)
class Utterance:
    """What one speaker said in one stretch of one audio file."""

    id: str
    speaker: str
    path: Path
    seconds: float  # UNMEASURED until the audio has been looked at
    text: str | None
    start_seconds: float = 0.0
    end_seconds: float | None = None  # None: to the end of the file

    def load(self, rate: int) -> np.ndarray:
        """Its samples (S,), float32 at `rate`. Raises AudioError as `load_audio` does."""
        return load_audio(self.path, rate, start_seconds=self.start_seconds, end_seconds=self.end_seconds)[0]


@dataclass(frozen=True)
class DatadirSummary:
    """How much speech a data directory holds."""

    utterances: int
    hours: float
    speakers: int
    words: int


def read_datadir(path: str | os.PathLike[str]) -> list[Utterance]:
    """Read a Kaldi data directory into utterances, sorted by id.

    Needs `wav.scp` and `utt2spk`; `text` (else texts are None) and `segments` are read where they are. Relative audio
    paths count from the current folder, as in Kaldi. Durations come from `utt2dur`, from `segments`, or else from the
    audio headers, and are then kept in `utt2dur`. Shell pipes in `wav.scp` are refused, never executed. Raises
    UserError naming file, line and utterance.
    """
    path = Path(path)
    recordings = {}
    for line, (recording, entry) in enumerate(_read_required(path, "wav.scp").items(), start=1):
        if entry.endswith("|"):
            raise UserError(
                f"{path / 'wav.scp'} line {line}: {recording} is a shell command, which audioroto never runs. "
                f"Run 'audioroto prepare kaldi {path} --out-dir DIR' to have it replaced by its audio file."
            )
        recordings[recording] = Path(entry)
    utterances = read_utterances(path, recordings)
    if any(math.isnan(utterance.seconds) for utterance in utterances):
        utterances = _measure(utterances)
        try:
            write_text(path / "utt2dur", _format_table(_seconds_table(utterances)))
        except OSError as error:
            log.warning("%s: durations are computed anew each time, utt2dur cannot be written: %s", path, error)
    return utterances


def read_utterances(path: Path, recordings: Mapping[str, Path]) -> list[Utterance]:
    """The utterances of a data directory whose `wav.scp` is given as `recordings`, sorted by id.

    Durations that neither `utt2dur` nor `segments` tell are UNMEASURED. Raises UserError as `read_datadir` does.
    """
    speakers = _read_required(path, "utt2spk")
    texts = read_table(path / "text") if (path / "text").exists() else None
    seconds = read_table(path / "utt2dur") if (path / "utt2dur").exists() else {}
    source = "wav.scp"
    spans: dict[str, tuple[str, float, float | None]] = {name: (name, 0.0, None) for name in recordings}
    if (path / "segments").exists():
        source = "segments"
        spans = _read_segments(path / "segments", recordings)
    _refuse_unequal(path, "utt2spk", speakers, source, spans)
    if texts is not None:
        _refuse_unequal(path, "text", texts, source, spans)
    utterances = []
    for name, (recording, start, end) in sorted(spans.items()):  # code points sort as UTF-8 bytes do: LC_ALL=C
        if name in seconds:
            duration = _parse_seconds(seconds[name], path / "utt2dur", seconds, name)
        else:
            duration = UNMEASURED if end is None else end - start
        text = None if texts is None else texts[name]
        utterances.append(Utterance(name, speakers[name], recordings[recording], duration, text, start, end))
    return utterances


def write_datadir(path: str | os.PathLike[str], utterances: Iterable[Utterance]) -> None:
    """Write utterances as a Kaldi data directory: sorted bytewise, audio paths absolute.

    `text` is written when the utterances have texts, `segments` when any of them is a part of its file. A second call
    with the same utterances touches nothing; `wav.scp` goes first and comes last, so that no reader takes an unfinished
    directory for a whole one. Raises UserError for duplicate ids and for ids or texts that the format cannot hold.
    """
    path, utterances = Path(path), sorted(utterances, key=lambda utterance: utterance.id)
    if not utterances:
        raise UserError(f"{path}: there is not one usable utterance to write. Check the folder and the warnings above.")
    for earlier, later in pairwise(utterances):
        if earlier.id == later.id:
            raise UserError(f"utterance id {later.id} stands for both {earlier.path} and {later.path}: make ids unique")
    by_speaker: dict[str, list[str]] = {}
    for utterance in utterances:
        by_speaker.setdefault(utterance.speaker, []).append(utterance.id)
    tables = {
        "utt2spk": {utterance.id: utterance.speaker for utterance in utterances},
        "spk2utt": {speaker: " ".join(ids) for speaker, ids in by_speaker.items()},
        "utt2dur": _seconds_table(utterances),
    }
    texts = {utterance.id: utterance.text for utterance in utterances if utterance.text is not None}
    if texts:
        if len(texts) < len(utterances):
            missing = next(utterance.id for utterance in utterances if utterance.text is None)
            raise UserError(f"{path}: utterance {missing} has no text, others have: give all of them one, or none")
        tables["text"] = texts
    tables["wav.scp"] = {utterance.id: os.path.abspath(utterance.path) for utterance in utterances}
    if any(utterance.start_seconds or utterance.end_seconds is not None for utterance in utterances):
        recordings = _name_recordings(utterances)
        tables["wav.scp"] = {name: os.path.abspath(audio) for audio, name in recordings.items()}
        tables["segments"] = {
            utterance.id: f"{recordings[utterance.path]} {_format_seconds(utterance.start_seconds)} "
            + ("-1" if utterance.end_seconds is None else _format_seconds(utterance.end_seconds))
            for utterance in utterances
        }
    contents = {name: _format_table(table) for name, table in tables.items()}
    stale = [path / name for name in ("text", "segments") if name not in contents and (path / name).exists()]
    if not stale and all(_holds(path / name, content) for name, content in contents.items()):
        return
    for outdated in [path / "wav.scp", *stale]:
        outdated.unlink(missing_ok=True)
    for name in sorted(contents):  # Note: wav.scp is the last in the alphabet
        write_text(path / name, contents[name])


def summarize(utterances: Sequence[Utterance]) -> DatadirSummary:
    """Count the utterances, hours, speakers and words of a data directory."""
    return DatadirSummary(
        utterances=len(utterances),
        hours=sum(utterance.seconds for utterance in utterances) / 3600,
        speakers=len({utterance.speaker for utterance in utterances}),
        words=sum(len((utterance.text or "").split()) for utterance in utterances),
    )


def keep_usable(utterances: Sequence[Utterance]) -> list[Utterance]:
    """The utterances that have both words and readable audio, with their seconds measured; warns of the others."""
    worded = [utterance for utterance in utterances if utterance.text is None or utterance.text.strip()]
    silent = {utterance.id for utterance in utterances} - {utterance.id for utterance in worded}
    warn_skipped("with an empty transcript", sorted(silent))
    measured = measure_audio({utterance.path for utterance in worded})
    failed = [path for path, seconds in measured.items() if isinstance(seconds, Exception)]
    warn_skipped("whose audio is missing", sorted(str(path) for path in failed if not path.exists()))
    warn_skipped("whose audio cannot be read", sorted(str(measured[path]) for path in failed if path.exists()))
    usable = [
        replace(utterance, seconds=_span_seconds(utterance, seconds))
        for utterance in worded
        if isinstance(seconds := measured[utterance.path], float)
    ]
    behind = {u.id for u in usable if u.start_seconds and u.start_seconds >= measured[u.path]}  # type: ignore[operator]
    warn_skipped("that begin after the end of their audio", sorted(behind))
    return [utterance for utterance in usable if utterance.id not in behind]


def warn_skipped(what: str, examples: Sequence[str]) -> None:
    """Log how many utterances were left out and why, with up to five examples; silent when there were none."""
    if examples:
        more = ", …" if len(examples) > 5 else ""
        log.warning("skipped %d %s: %s%s", len(examples), what, ", ".join(examples[:5]), more)


def measure_audio(paths: Iterable[Path]) -> dict[Path, float | Exception]:
    """Seconds of each audio file, or what went wrong with it, read by several threads with progress when many."""
    ordered = sorted(set(paths))

    def measure(path: Path) -> float | Exception:
        try:
            return audio_seconds(path)
        except (UserError, OSError) as error:
            return error

    with ThreadPoolExecutor(NUM_HEADER_THREADS) as pool:
        results = track(
            pool.map(measure, ordered),
            "reading audio headers",
            total=len(ordered),
            console=Console(stderr=True),
            disable=len(ordered) < MIN_FILES_FOR_PROGRESS,
        )
        return dict(zip(ordered, results, strict=True))


def read_table(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read lines of "key rest-of-line" (Kaldi's text, wav.scp, utt2spk …) in the order of the file.

    The rest may be empty. Raises UserError, with the line, for what is not UTF-8, blank lines and repeated keys.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist")
    table: dict[str, str] = {}
    lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if not lines[-1]:
        lines.pop()
    for number, raw in enumerate(lines, start=1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise UserError(f"{path} line {number} is not UTF-8: convert the file to UTF-8") from None
        # Note: only spaces and tabs separate, as in Kaldi; str.split() would also take U+00A0 and its like.
        key, *rest = re.split(r"[ \t]+", line.strip(" \t\r"), maxsplit=1)
        if not key:
            raise UserError(f"{path} line {number} is blank: remove it")
        if key in table:
            first = list(table).index(key) + 1
            raise UserError(f"{path} line {number}: {key} is on line {first} already: keep one of the two")
        table[key] = rest[0] if rest else ""
    return table


def write_table(path: str | os.PathLike[str], table: Mapping[str, str]) -> None:
    """Write lines of "key rest-of-line", sorted bytewise (LC_ALL=C) as Kaldi's tools expect, atomically."""
    write_text(path, _format_table(table))


def _format_table(table: Mapping[str, str]) -> str:
    for key, value in table.items():
        if not key or re.search("[\\s\ud800-\udfff]", key) or re.search("[\n\r\ud800-\udfff]", value):
            raise UserError(f"{key!r} {value!r} cannot be a line: no spaces in ids, no line breaks, nothing but UTF-8")
    return "".join(f"{key} {value}".rstrip(" ") + "\n" for key, value in sorted(table.items()))


def _read_required(path: Path, name: str) -> dict[str, str]:
    if not path.is_dir():
        raise UserError(f"{path} is no data directory: no such folder. Make one with 'audioroto prepare'.")
    if not (path / name).exists():
        raise UserError(f"{path} is no complete data directory: {name} is missing. Run 'audioroto validate {path}'.")
    table = read_table(path / name)
    if not table:
        raise UserError(f"{path / name} is empty. Run 'audioroto prepare' again.")
    return table


def _read_segments(path: Path, recordings: Mapping[str, Path]) -> dict[str, tuple[str, float, float | None]]:
    """Utterance → recording, start and end in seconds; an end of -1 in the file is None here."""
    table = read_table(path)
    spans: dict[str, tuple[str, float, float | None]] = {}
    for line, (name, rest) in enumerate(table.items(), start=1):
        fields = rest.split()
        if len(fields) != 3:
            raise UserError(f"{path} line {line}: utterance {name}: expected 'utterance recording start end'")
        if fields[0] not in recordings:
            raise UserError(
                f"{path} line {line}: recording {fields[0]} of utterance {name} is not in wav.scp. "
                f"Run 'audioroto validate --fix {path.parent}'."
            )
        start = _parse_seconds(fields[1], path, table, name)
        end = None if re.fullmatch(r"-1(\.0*)?", fields[2]) else _parse_seconds(fields[2], path, table, name)
        if end is not None and end <= start:
            raise UserError(f"{path} line {line}: utterance {name} ends at {end} s, before it starts at {start} s")
        spans[name] = (fields[0], start, end)
    return spans


def _parse_seconds(field: str, path: Path, table: Mapping[str, str], name: str) -> float:
    try:
        seconds = float(field)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        line = list(table).index(name) + 1
        raise UserError(f"{path} line {line}: utterance {name}: '{field}' is no number of seconds")
    return seconds


def _refuse_unequal(path: Path, name: str, table: Mapping[str, str], source: str, ids: Mapping[str, object]) -> None:
    """Both files must list the same utterances; the message names the first that only one of them has."""
    for here, keys, there, others in ((name, list(table), source, ids), (source, list(ids), name, table)):
        for line, key in enumerate(keys, start=1):
            if key not in others:
                raise UserError(
                    f"{path / here} line {line}: utterance {key} is not in {there}. "
                    f"Run 'audioroto validate --fix {path}'."
                )


def _measure(utterances: list[Utterance]) -> list[Utterance]:
    measured = measure_audio({utterance.path for utterance in utterances if math.isnan(utterance.seconds)})
    for outcome in measured.values():
        if isinstance(outcome, Exception):
            raise outcome
    found = [
        replace(utterance, seconds=_span_seconds(utterance, seconds))
        if isinstance(seconds := measured.get(utterance.path), float) and math.isnan(utterance.seconds)
        else utterance
        for utterance in utterances
    ]
    for utterance in found:
        if utterance.start_seconds and utterance.seconds <= 0:
            raise UserError(f"{utterance.id} begins after the end of {utterance.path}: remove its line from segments")
    return found


def _span_seconds(utterance: Utterance, file_seconds: float) -> float:
    return (file_seconds if utterance.end_seconds is None else utterance.end_seconds) - utterance.start_seconds


def _seconds_table(utterances: Iterable[Utterance]) -> dict[str, str]:
    return {utterance.id: _format_seconds(utterance.seconds) for utterance in utterances}


def _format_seconds(seconds: float) -> str:
    assert not math.isnan(seconds), "measure the audio first: keep_usable"
    return str(round(seconds, 6))


def _name_recordings(utterances: Iterable[Utterance]) -> dict[Path, str]:
    """Audio file → recording id: its stem without spaces, numbered where two files share one."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for path in sorted({utterance.path for utterance in utterances}):
        names[path] = make_unique(re.sub(r"\s+", "_", path.stem), taken)
        taken.add(names[path])
    return names


def _holds(path: Path, content: str) -> bool:
    return path.is_file() and path.read_bytes() == content.encode("utf-8")
