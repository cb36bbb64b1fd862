"""The files of NIST's sclite: trn (one sentence a line) and ctm (one word a line, with its time)."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from audioroto.errors import UserError


@dataclass(frozen=True)
class CtmWord:
    """A word at its place in a recording."""

    recording: str
    start_seconds: float
    duration_seconds: float
    word: str
    confidence: float | None = None
    channel: str = "1"


def format_trn(texts: Mapping[str, str]) -> str:
    """Lines of `WORDS (utterance-id)`; score with `sclite -r ref.trn trn -h hyp.trn trn -i rm`."""
    return "".join(f"{text} ({name})\n".lstrip() for name, text in texts.items())


def read_trn(path: str | os.PathLike[str]) -> dict[str, str]:
    """Utterance id → text of a trn file, in its order; comments (`;;`) and blank lines are skipped.

    Raises UserError with file and line for a line without `(id)` at its end and for a repeated id.
    """
    texts: dict[str, str] = {}
    for number, line in _iter_lines(path):
        match = re.fullmatch(r"(.*?)\s*\(([^()\s]+)\)\s*", line)
        if match is None:
            raise UserError(f"{path} line {number}: expected 'WORDS (utterance-id)'")
        if match[2] in texts:
            raise UserError(f"{path} line {number}: utterance {match[2]} occurs twice: keep one of the two")
        texts[match[2]] = match[1].strip()
    return texts


def read_ctm(path: str | os.PathLike[str]) -> dict[str, list[CtmWord]]:
    """The words of each recording of a ctm file, in its order; comments (`;;`) and blank lines are skipped.

    Raises UserError with file and line for a line that is not `recording channel start duration word [confidence]`.
    """
    words: dict[str, list[CtmWord]] = {}
    for number, line in _iter_lines(path):
        try:
            recording, channel, start, duration, word, *rest = line.split()
            confidence = float(*rest) if rest else None
            words.setdefault(recording, []).append(
                CtmWord(recording, float(start), float(duration), word, confidence, channel)
            )
        except (TypeError, ValueError):
            raise UserError(
                f"{path} line {number}: expected 'recording channel start duration word [confidence]'"
            ) from None
    return words


def format_ctm(words: Iterable[CtmWord]) -> str:
    """Lines of `recording channel start duration word [confidence]`, sorted as sclite expects, times in 10 ms."""
    ordered = sorted(words, key=lambda word: (word.recording, word.channel, word.start_seconds))
    return "".join(
        f"{word.recording} {word.channel} {word.start_seconds:.2f} {word.duration_seconds:.2f} {word.word}"
        + ("" if word.confidence is None else f" {word.confidence:.3f}")
        + "\n"
        for word in ordered
    )


def _iter_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    """The lines of a file with their numbers, from 1, without comments and blank ones."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 (byte {error.start}): convert the file to UTF-8") from None
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith(";;"):
            yield number, line
