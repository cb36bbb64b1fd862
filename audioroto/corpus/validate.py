"""What is wrong with a Kaldi data directory, all of it at once, and the repair of what can be repaired."""

import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path

from audioroto.corpus.datadir import measure_audio
from audioroto.errors import UserError
from audioroto.files import write_bytes

TABLES = ("wav.scp", "text", "utt2spk", "spk2utt", "segments", "utt2dur")
DERIVED = ("spk2utt", "utt2dur")  # can be made again from the others and the audio
MIN_SECONDS = 0.05  # shorter holds no word
MAX_SECONDS = 2 * 3600.0
TOLERANCE_SECONDS = 0.1  # containers and encoders disagree about padding by less


@dataclass(frozen=True)
class Problem:
    """Something wrong in one file of a data directory; a warning is advice that is no reason to stop."""

    file: Path
    line: int | None  # None: the file as a whole
    message: str
    fixable: bool
    is_warning: bool = False

    def __str__(self) -> str:
        return f"{self.file}{'' if self.line is None else f':{self.line}'}: {self.message}"


@dataclass(frozen=True)
class _Entry:
    line: int
    key: str
    value: str


_Tables = dict[str, list[_Entry]]


def find_problems(path: str | os.PathLike[str]) -> list[Problem]:
    """All problems of a data directory, in the order of its files and lines; reads every audio file's header.

    Raises UserError only where there is no such folder.
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"{path} is no data directory: no such folder")
    contents = _read_contents(path)
    problems = [problem for name, content in contents.items() for problem in _check_lines(path / name, content)]
    tables = {name: _parse(content) for name, content in contents.items()}
    problems += _check_ids(path, tables)
    problems += _check_speakers(path, tables)
    problems += _check_audio(path, tables)
    order = {path / name: position for position, name in enumerate(TABLES)}
    return sorted(problems, key=lambda problem: (order[problem.file], problem.line or 0))


def fix_datadir(path: str | os.PathLike[str]) -> list[str]:
    """Repair what can be repaired without guessing, and say what was done; the files as they were go to .backup/N.

    Keeps the utterances that are in every file and have a transcript, sorts, drops repeated and blank lines, Windows
    line ends and byte order marks, rebuilds spk2utt, and drops a wrong utt2dur (reading the directory makes it anew).
    Raises UserError, changing nothing, where no utterance would be left.
    """
    path = Path(path)
    fixable = [problem for problem in find_problems(path) if problem.fixable]
    if not fixable:
        return []
    before = _read_contents(path)
    tables = {name: _parse(content) for name, content in before.items()}
    done = []
    if not tables.get("utt2spk"):
        tables["utt2spk"] = _make_utt2spk(tables)
        done.append("utt2spk: made from " + ("spk2utt" if tables.get("spk2utt") else "the ids, each its own speaker"))
    dropped = _keep_intersection(path, tables)
    if dropped:
        shown = ", ".join(dropped[:5]) + (", …" if len(dropped) > 5 else "")
        done.append(f"dropped {len(dropped)} utterances that are not whole in every file: {shown}")
    if any(problem.file.name == "utt2dur" for problem in fixable):
        tables.pop("utt2dur", None)
        done.append("utt2dur: removed, reading the directory makes it anew")
    after = {name: _format((entry.key, entry.value) for entry in entries) for name, entries in tables.items()}
    after["spk2utt"] = _format((name, " ".join(sorted(ids))) for name, ids in _invert(tables["utt2spk"]).items())
    for name in sorted(before.keys() & after.keys()):
        if before[name] != after[name]:
            num_before, num_after = len(_lines(before[name])), len(_lines(after[name]))
            done.append(f"{name}: written anew, {num_before} lines before, {num_after} now")
    backup = next(folder for number in count(1) if not (folder := path / ".backup" / str(number)).exists())
    backup.mkdir(parents=True)
    for name in before:
        shutil.copy2(path / name, backup / name)
    for name in before.keys() - after.keys():
        (path / name).unlink()
    for name in sorted(after):  # Note: wav.scp is the last in the alphabet, see write_datadir
        if before.get(name) != after[name]:
            write_bytes(path / name, after[name])
    return [*done, f"the files as they were are in {backup}"]


def _make_utt2spk(tables: _Tables) -> list[_Entry]:
    if tables.get("spk2utt"):
        return [_Entry(0, name, entry.key) for entry in tables["spk2utt"] for name in _fields(entry.value)]
    return [_Entry(0, entry.key, entry.key) for entry in tables.get(_source(tables), [])]


def _keep_intersection(path: Path, tables: _Tables) -> list[str]:
    """Keep the utterances that every file has, with something behind the id, in place; returns the ids dropped."""
    if "wav.scp" not in tables:
        raise UserError(f"{path}: wav.scp is missing, and nothing else says where the audio is; nothing was changed")
    everything = {entry.key for name in (_source(tables), "text", "utt2spk") for entry in tables.get(name, [])}
    recordings = {entry.key for entry in tables.get("wav.scp", []) if entry.value}
    if "segments" in tables:
        tables["segments"] = [entry for entry in tables["segments"] if _recording_of(entry) in recordings]
    names = [name for name in (_source(tables), "text", "utt2spk") if name in tables]
    kept = set.intersection(*({entry.key for entry in tables[name] if entry.value} for name in names))
    if not kept:
        raise UserError(f"{path}: no utterance is whole in all of {', '.join(names)}; nothing was changed")
    for name in {*names, "utt2dur"} & tables.keys():
        tables[name] = [entry for entry in tables[name] if entry.key in kept and entry.value]
    tables["wav.scp"] = [entry for entry in tables["wav.scp"] if entry.value]
    return sorted(everything - kept)


def _read_contents(path: Path) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in TABLES if (path / name).is_file()}


def _fields(value: str) -> list[str]:
    return re.findall(r"[^ \t]+", value)  # as in Kaldi; str.split() would also split at U+00A0 and its like


def _lines(content: bytes) -> list[str]:
    """The lines without their ends; what is not UTF-8 is carried through as surrogates."""
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    return text.removesuffix("\n").split("\n") if text else []


def _parse(content: bytes) -> list[_Entry]:
    entries = []
    for number, line in enumerate(_lines(content), start=1):
        key, *value = re.split(r"[ \t]+", line.strip(" \t\r"), maxsplit=1)
        if key:
            entries.append(_Entry(number, key, value[0] if value else ""))
    return entries


def _format(entries: Iterable[tuple[str, str]]) -> bytes:
    """Lines sorted bytewise by their ids, identical ones once."""
    # Note: surrogates stand for bytes that are not UTF-8; as bytes they sort where LC_ALL=C puts them.
    encoded = {tuple(part.encode("utf-8", "surrogateescape") for part in entry) for entry in entries}
    return b"".join(b" ".join(entry).rstrip(b" ") + b"\n" for entry in sorted(encoded))


def _check_lines(file: Path, content: bytes) -> Iterator[Problem]:
    """What is wrong with one file regardless of the others."""
    if not content:
        yield Problem(file, None, "the file is empty", fixable=file.name in DERIVED)
        return
    if content.startswith(b"\xef\xbb\xbf"):
        yield Problem(file, 1, "begins with a byte order mark", fixable=True)
    if not content.endswith(b"\n"):
        yield Problem(file, content.count(b"\n") + 1, "no newline at the end", fixable=True)
    lines = _lines(content)
    windows = [number for number, line in enumerate(lines, start=1) if line.endswith("\r")]
    if windows:
        yield Problem(file, windows[0], f"Windows line end (CRLF), in {len(windows)} lines", fixable=True)
    for number, line in enumerate(lines, start=1):
        if not line.strip(" \t\r"):
            yield Problem(file, number, "blank line", fixable=True)
        if any("\ud800" <= character <= "\udfff" for character in line):
            yield Problem(file, number, "not UTF-8: convert the file to UTF-8", fixable=False)
    entries = _parse(content)
    first: dict[str, _Entry] = {}
    for entry in entries:
        earlier = first.setdefault(entry.key, entry)
        if earlier is not entry:
            same = earlier.value == entry.value
            what = "repeats" if same else "contradicts"
            message = f"{entry.key} {what} line {earlier.line}"
            yield Problem(file, entry.line, message, fixable=same or file.name in DERIVED)
        if re.search(r"\s", entry.key):
            yield Problem(file, entry.line, f"{entry.key!r}: white space in the id", fixable=False)
        if not entry.value:
            what = "empty transcript" if file.name == "text" else "nothing after the id"
            yield Problem(file, entry.line, f"{entry.key}: {what}", fixable=True)
    for earlier, later in pairwise(entries):
        if later.key.encode("utf-8", "surrogateescape") < earlier.key.encode("utf-8", "surrogateescape"):
            message = f"not sorted bytewise (LC_ALL=C): {later.key} comes after {earlier.key}"
            yield Problem(file, later.line, message, fixable=True)
            break


def _source(tables: _Tables) -> str:
    """The file that says which utterances there are."""
    return "segments" if "segments" in tables else "wav.scp"


def _check_ids(path: Path, tables: _Tables) -> Iterator[Problem]:
    for name in ("wav.scp", "utt2spk", "spk2utt"):
        if name not in tables:
            yield Problem(path / name, None, "the file is missing", fixable=name != "wav.scp")
    if "text" not in tables:
        message = "no such file: fine for recognizing, but not for training and scoring"
        yield Problem(path / "text", None, message, fixable=False, is_warning=True)
    names = [name for name in (_source(tables), "text", "utt2spk") if name in tables]
    ids = {name: {entry.key for entry in tables[name]} for name in names}
    seen: set[str] = set()
    for name in names:
        for entry in tables[name]:
            lacking = [other for other in names if entry.key not in ids[other]]
            if lacking and entry.key not in seen:
                seen.add(entry.key)
                message = f"utterance {entry.key} is not in {' nor in '.join(lacking)}"
                yield Problem(path / name, entry.line, message, fixable=True)
    recordings = {entry.key for entry in tables.get("wav.scp", [])}
    for entry in tables.get("segments", []):
        recording = _recording_of(entry)
        if recording not in recordings:
            message = f"recording {recording} of utterance {entry.key} is not in wav.scp"
            yield Problem(path / "segments", entry.line, message, fixable=True)
    for entry in tables.get("utt2dur", []):
        if entry.key not in ids.get(_source(tables), set()):
            message = f"utterance {entry.key} is not in {_source(tables)}"
            yield Problem(path / "utt2dur", entry.line, message, fixable=True)


def _invert(utt2spk: list[_Entry]) -> dict[str, set[str]]:
    utterances: dict[str, set[str]] = {}
    for entry in utt2spk:
        utterances.setdefault(entry.value, set()).add(entry.key)
    return utterances


def _check_speakers(path: Path, tables: _Tables) -> Iterator[Problem]:
    if "utt2spk" not in tables:
        return
    expected = _invert(tables["utt2spk"])
    found = {entry.key: entry for entry in tables.get("spk2utt", [])}
    for speaker, entry in found.items():
        if set(_fields(entry.value)) != expected.get(speaker, set()):
            message = f"speaker {speaker} has not the utterances that utt2spk gives to them"
            yield Problem(path / "spk2utt", entry.line, message, fixable=True)
    if "spk2utt" in tables:
        for speaker in sorted(expected.keys() - found.keys()):
            yield Problem(path / "spk2utt", None, f"speaker {speaker} of utt2spk is missing", fixable=True)
    strangers = [entry for entry in tables["utt2spk"] if not entry.key.startswith(entry.value)]
    if strangers:
        first = strangers[0]
        message = (
            f"{len(strangers)} utterance ids do not begin with their speaker, {first.key} of {first.value} first: "
            "Kaldi's own tools want that, audioroto does not"
        )
        yield Problem(path / "utt2spk", first.line, message, fixable=False, is_warning=True)


def _check_audio(path: Path, tables: _Tables) -> Iterator[Problem]:
    """Pipes, missing or unreadable files, and times that do not fit the audio."""
    file, entries = path / "wav.scp", tables.get("wav.scp", [])
    plain = [entry for entry in entries if entry.value and not entry.value.endswith("|")]
    measured = measure_audio(Path(entry.value) for entry in plain)
    seconds: dict[str, float] = {}  # of each recording
    for entry in entries:
        if entry.value.endswith("|"):
            message = f"{entry.key} is a shell command, which is never run: use 'audioroto prepare kaldi'"
            yield Problem(file, entry.line, message, fixable=False)
    for entry in plain:
        outcome = measured[Path(entry.value)]
        if isinstance(outcome, float):
            seconds[entry.key] = outcome
        elif Path(entry.value).exists():
            yield Problem(file, entry.line, f"{entry.key}: {outcome}", fixable=False)
        else:
            yield Problem(file, entry.line, f"{entry.key}: no such file: {entry.value}", fixable=False)
    if "segments" in tables:
        yield from _check_segments(path, tables, seconds)
        seconds = _segment_seconds(tables["segments"], seconds)
    lines = {entry.key: entry.line for entry in tables.get(_source(tables), [])}
    for name, length in seconds.items():
        if not MIN_SECONDS <= length <= MAX_SECONDS:
            message = f"{name} lasts {length:g} s, which is less than {MIN_SECONDS:g} or more than {MAX_SECONDS:g}"
            yield Problem(path / _source(tables), lines[name], message, fixable=False)
    for entry in tables.get("utt2dur", []):
        claimed = _to_seconds(entry.value)
        if not 0 < claimed < math.inf:
            message = f"{entry.key}: '{entry.value}' is no duration in seconds"
            yield Problem(path / "utt2dur", entry.line, message, fixable=True)
        elif abs(claimed - seconds.get(entry.key, claimed)) > TOLERANCE_SECONDS:
            message = f"{entry.key} lasts {seconds[entry.key]:g} s, not {claimed:g} s"
            yield Problem(path / "utt2dur", entry.line, message, fixable=True)


def _check_segments(path: Path, tables: _Tables, seconds: dict[str, float]) -> Iterator[Problem]:
    for entry in tables["segments"]:
        recording, start, end = _parse_segment(entry)
        whole = seconds.get(recording, math.inf)
        end = whole if end == -1 else end
        if math.isnan(start) or math.isnan(end):
            message = f"{entry.key}: expected 'utterance recording start end'"
        elif start < 0 or end <= start:
            message = f"{entry.key} begins at {start:g} s and ends at {end:g} s"
        elif end > whole + TOLERANCE_SECONDS:
            message = f"{entry.key} ends at {end:g} s, after the {whole:g} s of recording {recording}"
        else:
            continue
        yield Problem(path / "segments", entry.line, message, fixable=False)


def _segment_seconds(segments: list[_Entry], seconds: dict[str, float]) -> dict[str, float]:
    """Length of each segment with sensible times in a recording that can be read."""
    lengths = {}
    for entry in segments:
        recording, start, end = _parse_segment(entry)
        length = (seconds.get(recording, math.nan) if end == -1 else end) - start
        if recording in seconds and length > 0:
            lengths[entry.key] = length
    return lengths


def _recording_of(segment: _Entry) -> str:
    return next(iter(_fields(segment.value)), "")


def _parse_segment(entry: _Entry) -> tuple[str, float, float]:
    fields = _fields(entry.value)
    if len(fields) != 3:
        return "", math.nan, math.nan
    return fields[0], _to_seconds(fields[1]), _to_seconds(fields[2])


def _to_seconds(field: str) -> float:
    try:
        return float(field)
    except ValueError:
        return math.nan
