"""One's own corpus: audio files and a table (TSV or CSV) that says what is spoken in them."""

import csv
import hashlib
import io
import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from audioroto.audio.load import AUDIO_SUFFIXES
from audioroto.corpus.datadir import (
    UNMEASURED,
    DatadirSummary,
    Utterance,
    keep_usable,
    summarize,
    write_datadir,
)
from audioroto.errors import UserError
from audioroto.files import make_unique
from audioroto.text.normalize import normalize

log = logging.getLogger(__name__)

COLUMN_NAMES = {
    "path": ("path", "file", "filename", "file_name", "audio", "wav"),
    "text": ("text", "transcript", "transcription", "sentence"),
    "speaker": ("speaker", "speaker_id", "client_id"),
    "id": ("id", "utterance", "utterance_id"),
}
COLUMNS_WITHOUT_HEADER = {
    2: ("path", "text"),
    3: ("path", "speaker", "text"),
    4: ("path", "speaker", "seconds", "text"),
}
UNKNOWN_SPEAKER = "unknown"
EXPECTED = "Name the columns in the first row: path, text, and if you like speaker and id, in any order"


def prepare_table(
    table: Path,
    out_dir: Path,
    split: str = "train",
    *,
    audio_dir: Path | None = None,
    normalizer: str | None = None,
    valid_share: float = 0.0,
    test_share: float = 0.0,
) -> dict[str, DatadirSummary]:
    """Write OUT_DIR/SPLIT from a table of audio files and their texts; with the shares OUT_DIR/valid and test as well.

    The table is tab-separated, or comma- or semicolon-separated when its name ends in .csv. Its first row names the
    columns (see COLUMN_NAMES; others are ignored), or there is no such row and the columns are path, text, or path,
    speaker, text, or path, speaker, seconds, text. Paths count from `audio_dir`, or else from the table's folder, and
    may lack .wav and the like. Texts are written as the `normalizer` has them, without one as they are. Rows without
    audio or text are skipped with a warning. A share is the part of the audio, 0 to 1, to hold out: see `hold_out`.
    """
    shares = {"valid": valid_share, "test": test_share}
    if not all(0 <= share < 1 for share in shares.values()) or sum(shares.values()) >= 1:
        raise UserError(
            f"the shares of audio to hold out are {valid_share} and {test_share}: give 0 or more, together less than 1"
        )
    if shares.get(split):
        raise UserError(f"a held-out part is called '{split}': give the split another name")
    utterances = keep_usable(_list_utterances(table, audio_dir or table.parent, normalizer))
    if not utterances:
        raise UserError(
            f"{table}: no row has both a text and an audio file in {audio_dir or table.parent}. {EXPECTED}; give "
            "--audio-dir DIR if the files lie elsewhere."
        )
    parts, remaining = {}, 1.0
    for name, share in shares.items():
        if share:
            held_out = hold_out(utterances, share / remaining)
            parts[name] = [utterance for utterance in utterances if utterance.id in held_out]
            utterances = [utterance for utterance in utterances if utterance.id not in held_out]
            remaining -= share
    parts = {split: utterances, **parts}
    empty = [name for name, part in parts.items() if not part]
    if empty:
        raise UserError(
            f"{table}: with the shares {valid_share} for valid and {test_share} for test, nothing is left for "
            f"{' and '.join(empty)}: the usable utterances are too few; give more of them, or no share"
        )
    for name, part in parts.items():
        write_datadir(out_dir / name, part)
    return {name: summarize(part) for name, part in parts.items()}


def hold_out(utterances: Sequence[Utterance], share: float) -> set[str]:
    """Ids of the utterances that make up about `share` of the audio: those of whole speakers where that works out.

    Always the same ones, by the hash of their names. Where every speaker is too long to be held out (there is only one,
    say) single utterances are, all of a file together, with a warning.
    """
    seconds: dict[str, float] = {}
    for utterance in utterances:
        seconds[utterance.speaker] = seconds.get(utterance.speaker, 0.0) + utterance.seconds
    budget = share * sum(seconds.values())
    speakers = _fill(seconds, budget, most_seconds=1.5 * budget)
    if speakers:
        return {utterance.id for utterance in utterances if utterance.speaker in speakers}
    log.warning(
        "no speaker is short enough to be held out (or the table names none): single utterances are, "
        "whose speakers are trained on"
    )
    first_of_file: dict[Path, str] = {}
    seconds = {}
    for utterance in sorted(utterances, key=lambda utterance: utterance.id):
        first = first_of_file.setdefault(utterance.path, utterance.id)
        seconds[first] = seconds.get(first, 0.0) + utterance.seconds
    chosen = _fill(seconds, budget, most_seconds=float("inf"))
    return {utterance.id for utterance in utterances if first_of_file[utterance.path] in chosen}


def _fill(seconds: dict[str, float], budget: float, most_seconds: float) -> set[str]:
    """Names in the order of their hashes until the budget is reached, leaving out those that would exceed the most."""
    chosen: set[str] = set()
    total = 0.0
    for name in sorted(seconds, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if total < budget and total + seconds[name] <= most_seconds:
            chosen.add(name)
            total += seconds[name]
    return chosen


def _list_utterances(table: Path, audio_dir: Path, normalizer: str | None) -> list[Utterance]:
    utterances: dict[str, Utterance] = {}
    rows = _read_rows(table)
    numbered = [row["text"] for _, row in rows if re.search(r"\d", row["text"])]
    if numbered and normalizer is None:
        log.warning(
            "%d texts have digits (%r), which the normaliser of training and scoring leaves out (librispeech-v1, by "
            "default): --normalizer english-v1 spells them",
            len(numbered),
            numbered[0],
        )
    for line, row in rows:
        if not row["path"]:
            raise UserError(f"{table} line {line}: the audio path is empty")
        audio = _find_audio(audio_dir / row["path"])
        speaker = _make_id(row.get("speaker") or UNKNOWN_SPEAKER)
        if row.get("id"):
            name = _make_id(row["id"])
            if name in utterances:
                raise UserError(f"{table} line {line}: id {row['id']} is in the table already: make ids unique")
        else:
            # Speaker first, so that sorting by utterance sorts by speaker, as Kaldi's tools want it.
            stem = _make_id(audio.stem)
            name = make_unique(stem if stem.startswith(f"{speaker}-") else f"{speaker}-{stem}", utterances)
        text = normalize(row["text"], normalizer) if normalizer else " ".join(row["text"].split())
        utterances[name] = Utterance(name, speaker, audio, UNMEASURED, text)
    rows_of = Counter(utterance.path for utterance in utterances.values())
    repeated = [path for path, num_rows in rows_of.items() if num_rows > 1]
    if repeated:
        log.warning(
            "%s: %d audio files have several rows, %s first, and each row is an utterance: keep one for each file",
            *(table, len(repeated), repeated[0]),
        )
    return list(utterances.values())


def _find_audio(path: Path) -> Path:
    """The file itself, or the one that is called like it with the suffix of an audio file."""
    if path.is_file():
        return path
    candidates = (path.with_name(f"{path.name}{suffix}") for suffix in AUDIO_SUFFIXES)
    return next((candidate for candidate in candidates if candidate.is_file()), path)


def _make_id(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)


def _read_rows(table: Path) -> list[tuple[int, dict[str, str]]]:
    """(line, column → cell) of each row that is not blank."""
    if not table.is_file():
        raise UserError(f"{table} does not exist")
    try:
        content = table.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{table} line {line} is not UTF-8: save the table as UTF-8") from None
    if table.suffix.lower() == ".csv":
        first = content.partition("\n")[0]
        delimiter = ";" if first.count(";") > first.count(",") else ","
        reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    else:
        # Note: quotes in a TSV are part of the text; taken as quoting, one of them would swallow the following rows.
        reader = csv.reader(io.StringIO(content, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    rows: list[tuple[int, list[str]]] = []
    begin = 1  # line of the row
    try:
        for row in reader:
            rows.append((begin, [cell.strip() for cell in row]))
            begin = reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"{table} line {begin}: the row that begins here cannot be read ({error}); a quote that opens a cell must "
            "close it, and quotes within are doubled"
        ) from None
    cells = [(line, row) for line, row in rows if any(row)]
    if not cells:
        raise UserError(f"{table} is empty. {EXPECTED}.")
    first_line, first_row = cells[0]
    columns = _read_header(table, first_row)
    if columns:
        cells = cells[1:]
    elif len(first_row) in COLUMNS_WITHOUT_HEADER:
        columns = COLUMNS_WITHOUT_HEADER[len(first_row)]
    else:
        raise UserError(f"{table} line {first_line} has {len(first_row)} columns and no header. {EXPECTED}.")
    for line, row in cells:
        if len(row) != len(columns):
            raise UserError(f"{table} line {line} has {len(row)} columns, {len(columns)} are expected")
    return [(line, dict(zip(columns, row, strict=True))) for line, row in cells]


def _read_header(table: Path, row: list[str]) -> tuple[str, ...]:
    """The columns as we call them, or () where the first row is not a header but data already."""
    meanings = {name: column for column, names in COLUMN_NAMES.items() for name in names}
    columns = tuple(meanings.get(cell.lower(), cell.lower()) for cell in row)
    if "path" not in columns:
        return ()
    for column in ("path", "text"):
        if columns.count(column) != 1:
            raise UserError(f"{table} line 1: {columns.count(column)} columns for {column} in {row}. {EXPECTED}.")
    return columns
