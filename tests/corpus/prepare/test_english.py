from pathlib import Path

import numpy as np
import pytest
import soundfile

from audioroto.corpus.datadir import read_datadir
from audioroto.corpus.prepare.english import VALID_STRIDE, prepare_english
from audioroto.errors import UserError


def make_corpus(folder: Path) -> Path:
    for split, speaker, count in (
        ("train-clean-5", "1", 2),
        ("train-clean-7spk", "2", 1),
        ("dev-clean", "3", VALID_STRIDE + 1),
        ("test-clean", "4", 1),
        ("test-other", "5", 1),
    ):
        chapter = folder / "LibriSpeech" / split / speaker / "7"
        names = [f"{speaker}-7-{number:04d}" for number in range(count)]
        for name in names:
            write_audio(chapter / f"{name}.wav")
        (chapter / f"{speaker}-7.trans.txt").write_text("".join(f"{name} HELLO\n" for name in names))
    for table, rows in {
        "an4/train": ["ann/an1-ann-b.wav\tann\t0.25\tYES"],
        "an4/test": ["bob/an2-bob-b.wav\tbob\t0.25\tNO"],
        "commonvoice": ["eve/cv-1.wav\teve\t0.25\tGOOD DAY"],
        "readers": ["kim/a1.wav\tkim\t0.25\tGOOD NIGHT"],
    }.items():
        for row in rows:
            write_audio(folder / table / row.split("\t")[0])
        (folder / table / "transcripts.tsv").write_text("\n".join(rows) + "\n")
    return folder


def write_audio(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(4000, 0.1, dtype=np.float32), 16000)


def test_trains_on_all_that_is_no_test(tmp_path: Path) -> None:
    summaries = prepare_english(make_corpus(tmp_path / "speech"), tmp_path / "out")
    counts = {split: summary.utterances for split, summary in summaries.items()}
    assert counts == {"train": 6, "valid": 2, "dev-clean": 7, "test-clean": 1, "test-other": 1, "an4/test": 1}
    speakers = {split: {utterance.speaker for utterance in read_datadir(tmp_path / "out" / split)} for split in counts}
    assert speakers["train"] == {"1", "2", "ann", "eve", "kim"}
    assert speakers["valid"] == speakers["dev-clean"] == {"3"}


def test_refuses_an_id_that_two_parts_share(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "speech")
    rows = corpus / "readers" / "transcripts.tsv"
    write_audio(corpus / "readers" / "eve" / "cv-1.wav")
    rows.write_text(rows.read_text() + "eve/cv-1.wav\teve\t0.25\tGOOD DAY\n")
    with pytest.raises(UserError, match="eve-cv-1 is in another part"):
        prepare_english(corpus, tmp_path / "out")


def test_refuses_a_folder_that_lacks_a_part(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "speech")
    (corpus / "commonvoice" / "transcripts.tsv").unlink()
    with pytest.raises(UserError, match=r"transcripts\.tsv"):
        prepare_english(corpus, tmp_path / "out")
