"""Which utterances a run trains on, why the others are left out, and what else to know before it begins."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from audioroto.config import Config
from audioroto.corpus.datadir import Utterance, read_datadir
from audioroto.corpus.unspoken import UnspokenText, read_unspoken_text
from audioroto.errors import UserError
from audioroto.features.fbank import FRAME_HOP_SECONDS
from audioroto.files import write_text
from audioroto.search.ctc_align import count_needed_frames
from audioroto.text.normalize import normalize
from audioroto.text.tokenizer import SPECIAL_PIECES, UNKNOWN_ID, Tokenizer, train_tokenizer

EMPTY = "empty transcript"
LONGER = "longer than train.max_utterance_seconds"
SHORTER = "shorter than train.min_utterance_seconds"
CROWDED = "more labels than frames: too short for CTC at encoder.subsampling"


@dataclass(frozen=True)
class Selection:
    """Utterances with their tokens, and those left out with the reason."""

    utterances: list[Utterance]
    tokens: list[list[int]]
    dropped: list[tuple[Utterance, str]]
    unknown: list[Utterance]  # of `utterances`: those with a character that is no token, trained on as <unk>
    unknown_characters: str  # these characters


def select_utterances(utterances: list[Utterance], tokenizer: Tokenizer, config: Config) -> Selection:
    """Keep what can be trained on: a transcript, a length within the bounds, frames enough for CTC at the top speed."""
    kept: list[Utterance] = []
    tokens: list[list[int]] = []
    dropped: list[tuple[Utterance, str]] = []
    unknown: list[Utterance] = []
    unknown_text: set[str] = set()
    top_speed = max(config.augment.speeds)
    for utterance in utterances:
        text = normalize(utterance.text or "", config.text.normalizer)
        labels = tokenizer.encode(text)
        frames = int(utterance.seconds / top_speed / FRAME_HOP_SECONDS / config.encoder.subsampling)
        if not labels:
            dropped.append((utterance, EMPTY))
        elif utterance.seconds > config.train.max_utterance_seconds:
            dropped.append((utterance, LONGER))
        elif utterance.seconds < config.train.min_utterance_seconds:
            dropped.append((utterance, SHORTER))
        elif frames < count_needed_frames(labels):
            dropped.append((utterance, CROWDED))
        else:
            kept.append(utterance)
            tokens.append(labels)
            if UNKNOWN_ID in labels:
                unknown.append(utterance)
                unknown_text.update(text)
    known = set("".join(tokenizer.pieces[len(SPECIAL_PIECES) :])) | {" "}
    return Selection(kept, tokens, dropped, unknown, "".join(sorted(unknown_text - known)))


def read_unspoken(selection: Selection, tokenizer: Tokenizer, config: Config) -> UnspokenText | None:
    """The text that nobody has spoken, where the configuration names one: sentences no longer than any transcript."""
    settings = config.unspoken
    if not settings.text:
        return None
    if not Path(settings.text).exists():
        raise UserError(f"unspoken.text {settings.text} is not there; give a text file, or leave it out")
    most_tokens = max(map(len, selection.tokens), default=0)
    return read_unspoken_text([settings.text], settings.normalizer, tokenizer, most_tokens)


def fingerprint(
    selection: Selection,
    tokenizer: Tokenizer,
    augmented_with: Iterable[Path] = (),
    unspoken: UnspokenText | None = None,
) -> str:
    """A hash of what is learned from: tokenizer, utterances' durations and tokens, names of noises and rooms, text."""
    digest = hashlib.sha256(tokenizer.model)
    for utterance, tokens in zip(selection.utterances, selection.tokens, strict=True):
        digest.update(f"{utterance.id} {utterance.seconds} {tokens}\n".encode())
    for path in augmented_with:
        digest.update(f"{path.name}\n".encode())
    if unspoken:
        digest.update(unspoken.digest.encode())
    return digest.hexdigest()


def make_report(selection: Selection, train_dir: Path) -> Table:
    """What a run would train on, what it would leave out and why, and what is no token, in utterances and hours."""
    num_speakers = len({utterance.speaker for utterance in selection.utterances})
    table = Table()
    table.add_column(Text(f"{train_dir}, {num_speakers} speakers"))
    table.add_column("utterances", justify="right")
    table.add_column("hours", justify="right")
    _add_row(table, "trained on", selection.utterances)
    characters = " ".join(selection.unknown_characters[:20])
    _add_row(table, f"of these, with <unk>, for want of a token: {characters or 'none'}", selection.unknown)
    for reason in (EMPTY, LONGER, SHORTER, CROWDED):
        _add_row(table, f"left out: {reason}", [utterance for utterance, why in selection.dropped if why == reason])
    return table


def describe_shared_speakers(utterances: Iterable[Utterance], others: Iterable[Utterance], others_dir: Path) -> str:
    """A warning that names the speakers of both sets, at most ten of them; empty where there are none."""
    shared = sorted({utterance.speaker for utterance in utterances} & {utterance.speaker for utterance in others})
    if not shared:
        return ""
    names = " ".join(shared[:10]) + (" …" if len(shared) > 10 else "")
    return (
        f"{others_dir}: {len(shared)} of its speakers are trained on too ({names}); error rates on it will be better "
        "than on strangers. Move a speaker's utterances to one side"
    )


def preview_training(
    train_dir: Path, other_dirs: Iterable[Path], tokenizer_path: Path | None, config: Config
) -> tuple[Selection, list[str]]:
    """What is selected of a training set, and a warning for each other set that shares speakers with it.

    Without `tokenizer_path`, a tokenizer is trained on the set's transcripts, as the configuration has it.
    """
    utterances = read_datadir(train_dir)
    if tokenizer_path:
        tokenizer = Tokenizer.load(tokenizer_path)
    else:
        texts = (normalize(utterance.text or "", config.text.normalizer) for utterance in utterances)
        tokenizer = train_tokenizer(texts, config.text.units, config.text.vocab_size)
    selection = select_utterances(utterances, tokenizer, config)
    warnings = (describe_shared_speakers(selection.utterances, read_datadir(other), other) for other in other_dirs)
    return selection, list(filter(None, warnings))


def write_dropped(selection: Selection, path: str | Path) -> None:
    """Write the drop list as a table: id, seconds, reason. Raises UserError if nothing is left to train on."""
    lines = [f"{utterance.id}\t{utterance.seconds:.2f}\t{reason}\n" for utterance, reason in selection.dropped]
    write_text(path, "".join(lines))
    refuse_nothing(selection)


def refuse_nothing(selection: Selection) -> None:
    """Raise UserError, with the reasons, if nothing is left to train on."""
    if not selection.utterances:
        counts = Counter(reason for _, reason in selection.dropped)
        reasons = "; ".join(f"{count} {reason}" for reason, count in counts.most_common()) or "the set is empty"
        raise UserError(f"no utterance is left to train on: {reasons}; change the data or these settings")


def _add_row(table: Table, what: str, utterances: list[Utterance]) -> None:
    hours = sum(utterance.seconds for utterance in utterances) / 3600
    table.add_row(Text(what), f"{len(utterances):,}", f"{hours:.2f}")
