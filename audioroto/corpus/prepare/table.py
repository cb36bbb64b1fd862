"""One's own corpus: audio files and a table (TSV or CSV) that says what is spoken in them."""

import csv
import hashlib
import io
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from audioroto.corpus.datadir import (
    UNMEASURED,
    DatadirSummary,
    Utterance,
    keep_usable,
    make_unique,
    summarize,
    write_datadir,
)
from audioroto.errors import UserError

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
    table: Path, out_dir: Path, split: str = "train", valid_share: float = 0.0
) -> dict[str, DatadirSummary]:
    """Write OUT_DIR/SPLIT from a table of audio files and their texts; with `valid_share` OUT_DIR/valid as well.

    The table is tab-separated, or comma- or semicolon-separated when its name ends in .csv. Its first row names the
    columns (see COLUMN_NAMES; others are ignored), or there is no such row and the columns are path, text, or path,
    speaker, text, or path, speaker, seconds, text. Paths count from the table's folder. Rows without audio or text are
    skipped with a warning. `valid_share` is the part of the audio, 0 to 1, to hold out: see `hold_out`.
    """
    if not 0 <= valid_share < 1:
        raise UserError(f"the share of audio to hold out is {valid_share}: it must be at least 0 and less than 1")
    if valid_share and split == "valid":
        raise UserError("the held-out part is called 'valid': give the split another name")
    utterances = keep_usable(_list_utterances(table))
    if not utterances:
        raise UserError(f"{table}: no row has both an audio file beside the table and a text. {EXPECTED}.")
    held_out = hold_out(utterances, valid_share) if valid_share else set()
    parts = {
        split: [utterance for utterance in utterances if utterance.id not in held_out],
        "valid": [utterance for utterance in utterances if utterance.id in held_out],
    }
    for name, part in parts.items():
        if part or name == split:
            write_datadir(out_dir / name, part)
    return {name: summarize(part) for name, part in parts.items() if part}


def hold_out(utterances: Sequence[Utterance], share: float) -> set[str]:
    """Ids of the utterances that make up about `share` of the audio: those of whole speakers where that works out.

    Always the same ones, by the hash of their names. Where every speaker is too long to be held out (there is only one,
    say) single utterances are, with a warning.
    """
    seconds: dict[str, float] = {}
    for utterance in utterances:
        seconds[utterance.speaker] = seconds.get(utterance.speaker, 0.0) + utterance.seconds
    budget = share * sum(seconds.values())
    speakers = _fill(seconds, budget, most_seconds=1.5 * budget)
    if speakers:
        return {utterance.id for utterance in utterances if utterance.speaker in speakers}
    log.warning("no speaker is short enough to be held out: 'valid' has utterances of speakers that 'train' has too")
    return _fill({utterance.id: utterance.seconds for utterance in utterances}, budget, most_seconds=float("inf"))


def _fill(seconds: dict[str, float], budget: float, most_seconds: float) -> set[str]:
    """Names in the order of their hashes until the budget is reached, leaving out those that would exceed the most."""
    chosen: set[str] = set()
    total = 0.0
    for name in sorted(seconds, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if total < budget and total + seconds[name] <= most_seconds:
            chosen.add(name)
            total += seconds[name]
    return chosen


def _list_utterances(table: Path) -> list[Utterance]:
    utterances: dict[str, Utterance] = {}
    for line, row in _read_rows(table):
        if not row["path"]:
            raise UserError(f"{table} line {line}: the audio path is empty")
        audio = table.parent / row["path"]
        speaker = _make_id(row.get("speaker") or UNKNOWN_SPEAKER)
        if row.get("id"):
            name = _make_id(row["id"])
            if name in utterances:
                raise UserError(f"{table} line {line}: id {row['id']} is in the table already: make ids unique")
        else:
            # Speaker first, so that sorting by utterance sorts by speaker, as Kaldi's tools want it.
            stem = _make_id(audio.stem)
            name = make_unique(stem if stem.startswith(f"{speaker}-") else f"{speaker}-{stem}", utterances)
        utterances[name] = Utterance(name, speaker, audio, UNMEASURED, " ".join(row["text"].split()))
    return list(utterances.values())


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
        reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter)
    else:
        # Note: quotes in a TSV are part of the text; taken as quoting, one of them would swallow the following rows.
        reader = csv.reader(io.StringIO(content, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise UserError(f"{table} line {reader.line_num}: {error}") from None
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
