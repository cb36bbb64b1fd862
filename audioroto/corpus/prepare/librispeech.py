"""LibriSpeech, and any corpus in its layout: SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NNNN.flac beside .trans.txt."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from audioroto.audio.load import AUDIO_SUFFIXES
from audioroto.corpus.datadir import (
    UNMEASURED,
    DatadirSummary,
    Utterance,
    keep_usable,
    read_table,
    summarize,
    warn_skipped,
    write_datadir,
)
from audioroto.errors import UserError


def prepare_librispeech(corpus_dir: Path, out_dir: Path, splits: Sequence[str] = ()) -> dict[str, DatadirSummary]:
    """Write OUT_DIR/SPLIT data directories from a corpus in LibriSpeech's layout; all its splits when none is named.

    A name such as train-clean-100+train-clean-360 stands for a data directory that holds both. The utterance id is the
    file's name and the speaker the folder above the chapter. Transcripts without audio and audio without transcript are
    skipped with a warning. Raises UserError for a split that is not there.
    """
    found = _find_splits(corpus_dir)
    if not found:
        inside = corpus_dir / "LibriSpeech"
        hint = f"Try {inside}." if _find_splits(inside) else "Give the folder that holds train-clean-5 and the like."
        raise UserError(f"{corpus_dir} has no SPLIT/SPEAKER/CHAPTER/*.trans.txt, LibriSpeech's layout. {hint}")
    parts_of = {split: split.split("+") for split in splits or found}
    for part in chain.from_iterable(parts_of.values()):
        if part not in found:
            raise UserError(f"{corpus_dir} has no split '{part}'. It has: {', '.join(found)}.")
    summaries = {}
    for split, parts in parts_of.items():
        utterances = keep_usable([utterance for part in parts for utterance in _list_utterances(corpus_dir / part)])
        write_datadir(out_dir / split, utterances)
        summaries[split] = summarize(utterances)
    return summaries


def _find_splits(corpus_dir: Path) -> list[str]:
    if not corpus_dir.is_dir():
        return []
    return sorted(folder.name for folder in corpus_dir.iterdir() if next(folder.glob("*/*/*.trans.txt"), None))


def _list_utterances(split_dir: Path) -> list[Utterance]:
    utterances, without_audio, without_text = [], [], []
    for transcripts in sorted(split_dir.glob("*/*/*.trans.txt")):
        texts = read_table(transcripts)
        chapter = transcripts.parent
        audio = {path.stem: path for path in sorted(chapter.iterdir()) if path.suffix.lower() in AUDIO_SUFFIXES}
        without_audio += [f"{split_dir.name}/{name}" for name in texts if name not in audio]
        without_text += [f"{split_dir.name}/{name}" for name in audio if name not in texts]
        utterances += [
            Utterance(name, chapter.parent.name, audio[name], UNMEASURED, text)
            for name, text in texts.items()
            if name in audio
        ]
    warn_skipped("transcripts without audio", without_audio)
    warn_skipped("audio files without transcript", without_text)
    return utterances
