"""CMU's AN4: spelled letters, numbers and commands by 84 speakers, about 50 minutes."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from audioroto.audio.load import AUDIO_SUFFIXES
from audioroto.corpus.datadir import (
    UNMEASURED,
    DatadirSummary,
    Utterance,
    keep_usable,
    summarize,
    warn_skipped,
    write_datadir,
)
from audioroto.errors import UserError
from audioroto.text.sentences import open_text

SUFFIXES = (*AUDIO_SUFFIXES, ".sph")  # NIST SPHERE, which soundfile reads
CMU_FOLDERS = {"train": "an4_clstk", "test": "an4test_clstk"}


def prepare_an4(corpus_dir: Path, out_dir: Path, num_valid_speakers: int = 8) -> dict[str, DatadirSummary]:
    """Write OUT_DIR/{train,valid,test} from AN4, in CMU's own layout or as `SPLIT/transcripts.tsv` with its audio.

    CMU's test part is `test` and is left as it is; `valid` holds the speakers that `choose_valid_speakers` takes out of
    the training part. Utterance ids begin with the speaker, fash-an251-b, so that they sort as their speakers do.
    """
    if (corpus_dir / "train" / "transcripts.tsv").is_file():
        splits = {split: _list_from_tsv(corpus_dir / split / "transcripts.tsv") for split in CMU_FOLDERS}
    elif (corpus_dir / "etc" / "an4_train.transcription").is_file():
        splits = {split: _list_from_cmu(corpus_dir, split) for split in CMU_FOLDERS}
    else:
        raise UserError(
            f"{corpus_dir} is not AN4: neither train/transcripts.tsv nor etc/an4_train.transcription is there. "
            "Unpack an4_sphere.tar.gz and give the folder 'an4'."
        )
    splits = {split: keep_usable(utterances) for split, utterances in splits.items()}
    held_out = choose_valid_speakers({utterance.speaker for utterance in splits["train"]}, num_valid_speakers)
    if held_out:
        splits["valid"] = [utterance for utterance in splits["train"] if utterance.speaker in held_out]
        splits["train"] = [utterance for utterance in splits["train"] if utterance.speaker not in held_out]
    for split, utterances in splits.items():
        write_datadir(out_dir / split, utterances)
    return {split: summarize(splits[split]) for split in ("train", "valid", "test") if split in splits}


def choose_valid_speakers(speakers: Iterable[str], num_valid: int) -> list[str]:
    """The speakers to hold out: always the same ones, spread over the sorted list, women and men in proportion.

    AN4's speaker names begin with f or m. A name that differs from another in its number alone (mdcs, mdcs2) may be the
    same person in another session, and is never held out.
    """
    speakers = sorted(speakers)
    if not 0 <= num_valid < len(speakers):
        raise UserError(f"cannot hold out {num_valid} of {len(speakers)} speakers: give 0 to {len(speakers) - 1}")
    initials = Counter(speaker.rstrip("0123456789") for speaker in speakers)
    single = [speaker for speaker in speakers if initials[speaker.rstrip("0123456789")] == 1]
    women = [speaker for speaker in single if speaker.startswith("f")]
    men = [speaker for speaker in single if not speaker.startswith("f")]
    num_women = min(len(women), round(num_valid * len(women) / max(1, len(single))))
    return sorted(_spread(women, num_women) + _spread(men, num_valid - num_women))


def _spread(names: list[str], num_chosen: int) -> list[str]:
    if num_chosen > len(names):
        raise UserError(f"cannot hold out {num_chosen} of the {len(names)} speakers that qualify: hold out fewer")
    return [names[(2 * index + 1) * len(names) // (2 * num_chosen)] for index in range(num_chosen)]


def _read_lines(transcripts: Path) -> list[str]:
    if not transcripts.is_file():
        raise UserError(f"{transcripts} is missing: the corpus is not complete")
    with open_text(transcripts) as lines:
        return lines.read().splitlines()


def _list_from_tsv(transcripts: Path) -> list[Utterance]:
    utterances = []
    for line, row in enumerate(_read_lines(transcripts), start=1):
        fields = row.split("\t")
        if len(fields) != 4:
            raise UserError(f"{transcripts} line {line}: expected path, speaker, seconds and text, separated by tabs")
        audio, speaker, _, text = fields
        utterances.append(_make_utterance(transcripts.parent / audio, speaker, text))
    return utterances


def _list_from_cmu(corpus_dir: Path, split: str) -> list[Utterance]:
    transcripts = corpus_dir / "etc" / f"an4_{split}.transcription"
    utterances, without_audio = [], []
    for line, row in enumerate(_read_lines(transcripts), start=1):
        # <s> TEXT </s> (an251-fash-b); the test part has no <s> and </s>
        fields = re.fullmatch(r"\s*(?:<s>)?(.*?)(?:</s>)?\s*\(([^\s()-]+-([^\s()-]+)-[^\s()]+)\)\s*", row)
        if not fields:
            raise UserError(f"{transcripts} line {line}: expected '<s> TEXT </s> (an251-fash-b)', found {row!r}")
        text, name, speaker = fields.groups()
        stem = corpus_dir / "wav" / CMU_FOLDERS[split] / speaker / name
        audio = next((path for suffix in SUFFIXES if (path := stem.with_name(name + suffix)).exists()), None)
        if audio:
            utterances.append(_make_utterance(audio, speaker, " ".join(text.split())))
        elif stem.with_name(f"{name}.raw").exists():
            raise UserError(
                f"{stem}.raw has no header (AN4's are 16 kHz, 16 bit, big-endian). Take an4_sphere.tar.gz instead, or "
                "convert each file: sox -t raw -r 16000 -e signed -b 16 -B -c 1 FILE.raw FILE.wav"
            )
        else:
            without_audio.append(name)
    warn_skipped("transcripts without audio", without_audio)
    return utterances


def _make_utterance(audio: Path, speaker: str, text: str) -> Utterance:
    prefix, _, suffix = audio.stem.partition(f"-{speaker}-")
    if not suffix:
        raise UserError(f"{audio}: an AN4 file of speaker {speaker} is named like an251-{speaker}-b")
    return Utterance(f"{speaker}-{prefix}-{suffix}", speaker, audio, UNMEASURED, text)
