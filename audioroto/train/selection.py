"""Which utterances a run trains on, and why the others are left out."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from audioroto.config import Config
from audioroto.corpus.datadir import Utterance
from audioroto.errors import UserError
from audioroto.features.fbank import FRAME_HOP_SECONDS
from audioroto.files import write_text
from audioroto.model.ctc import frames_needed
from audioroto.text.normalize import normalize
from audioroto.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Selection:
    """Utterances with their tokens, and (utterance id, reason) of those left out."""

    utterances: list[Utterance]
    tokens: list[list[int]]
    dropped: list[tuple[str, str]]


def select_utterances(utterances: list[Utterance], tokenizer: Tokenizer, config: Config) -> Selection:
    """Keep what can be trained on: a transcript, a length within the bounds, frames enough for CTC at the top speed."""
    kept: list[Utterance] = []
    tokens: list[list[int]] = []
    dropped: list[tuple[str, str]] = []
    top_speed = max(config.augment.speeds)
    for utterance in utterances:
        labels = tokenizer.encode(normalize(utterance.text or "", config.text.normalizer))
        frames = int(utterance.seconds / top_speed / FRAME_HOP_SECONDS / config.encoder.subsampling)
        if not labels:
            dropped.append((utterance.id, "empty transcript"))
        elif utterance.seconds > config.train.max_utterance_seconds:
            dropped.append((utterance.id, "longer than train.max_utterance_seconds"))
        elif utterance.seconds < config.train.min_utterance_seconds:
            dropped.append((utterance.id, "shorter than train.min_utterance_seconds"))
        elif frames < frames_needed(labels):
            dropped.append((utterance.id, "more labels than frames"))
        else:
            kept.append(utterance)
            tokens.append(labels)
    return Selection(kept, tokens, dropped)


def fingerprint(selection: Selection, tokenizer: Tokenizer) -> str:
    """A hash of what a run learns from: the tokenizer, and each utterance with its duration and tokens."""
    digest = hashlib.sha256(tokenizer.model)
    for utterance, tokens in zip(selection.utterances, selection.tokens, strict=True):
        digest.update(f"{utterance.id} {utterance.seconds} {tokens}\n".encode())
    return digest.hexdigest()


def report_dropped(selection: Selection, path: str | Path) -> str:
    """Write the drop list as a table (id, reason) and return its summary in one line. UserError if nothing is left."""
    write_text(path, "".join(f"{utterance_id}\t{reason}\n" for utterance_id, reason in selection.dropped))
    counts = Counter(reason for _, reason in selection.dropped)
    summary = "; ".join(f"{count} {reason}" for reason, count in counts.most_common()) or "none"
    if not selection.utterances:
        raise UserError(f"no utterance is left to train on (left out: {summary}); see {path}")
    return summary
