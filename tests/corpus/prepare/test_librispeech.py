import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audioroto.corpus.datadir import read_datadir
from audioroto.corpus.prepare.librispeech import prepare_librispeech
from audioroto.errors import UserError


def make_chapter(split_dir: Path, speaker: str, chapter: str, num_utterances: int, suffix: str = "flac") -> Path:
    folder = split_dir / speaker / chapter
    folder.mkdir(parents=True)
    lines = []
    for index in range(num_utterances):
        name = f"{speaker}-{chapter}-{index:04d}"
        soundfile.write(folder / f"{name}.{suffix}", np.full(4000, 0.1, dtype=np.float32), 16000)
        lines.append(f"{name} WORD NUMBER {index}\n")
    (folder / f"{speaker}-{chapter}.trans.txt").write_text("".join(lines))
    return folder


@pytest.mark.parametrize("suffix", ["flac", "ogg", "wav", "mp3"])
def test_splits_in_any_format(tmp_path: Path, suffix: str) -> None:
    corpus = tmp_path / "LibriSpeech"
    make_chapter(corpus / "dev", "108", "7", 2, suffix)
    make_chapter(corpus / "dev", "1089", "5", 1, suffix)
    make_chapter(corpus / "test", "61", "5", 1, suffix)
    summaries = prepare_librispeech(corpus, tmp_path / "out", [])
    assert {split: (summary.utterances, summary.speakers) for split, summary in summaries.items()} == {
        "dev": (3, 2),
        "test": (1, 1),
    }
    utterances = read_datadir(tmp_path / "out" / "dev")
    assert [utterance.id for utterance in utterances] == ["108-7-0000", "108-7-0001", "1089-5-0000"]
    assert [utterance.speaker for utterance in utterances] == ["108", "108", "1089"]
    assert utterances[1].text == "WORD NUMBER 1"


def test_splits_joined_by_a_plus_are_one(tmp_path: Path) -> None:
    for speaker, split in enumerate(("a", "b", "c")):
        make_chapter(tmp_path / "corpus" / split, f"{speaker}", "7", 1)
    summaries = prepare_librispeech(tmp_path / "corpus", tmp_path / "out", ["a+c", "b", "a"])
    assert {split: summary.speakers for split, summary in summaries.items()} == {"a+c": 2, "b": 1, "a": 1}
    assert [utterance.id for utterance in read_datadir(tmp_path / "out" / "a+c")] == ["0-7-0000", "2-7-0000"]
    with pytest.raises(UserError, match="no split 'z'"):
        prepare_librispeech(tmp_path / "corpus", tmp_path / "out", ["a+z"])
    with pytest.raises(UserError, match="0-7-0000 stands for both"):
        prepare_librispeech(tmp_path / "corpus", tmp_path / "out", ["a+a"])


def test_what_does_not_match_is_skipped_and_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = make_chapter(tmp_path / "corpus" / "dev", "61", "5", 9)
    for index in range(6):
        (folder / f"61-5-{index:04d}.flac").unlink()
    (folder / "61-5-0100.flac").write_bytes((folder / "61-5-0008.flac").read_bytes())
    with caplog.at_level(logging.WARNING):
        summaries = prepare_librispeech(tmp_path / "corpus", tmp_path / "out", ["dev"])
    assert summaries["dev"].utterances == 3
    assert "skipped 6 transcripts without audio: dev/61-5-0000" in caplog.text
    assert "dev/61-5-0004, …" in caplog.text
    assert "0005" not in caplog.text
    assert "skipped 1 audio files without transcript: dev/61-5-0100" in caplog.text


def test_a_missing_split_names_those_that_exist(tmp_path: Path) -> None:
    make_chapter(tmp_path / "LibriSpeech" / "dev-clean", "61", "5", 1)
    with pytest.raises(UserError, match=r"no split 'dev-other'. It has: dev-clean\."):
        prepare_librispeech(tmp_path / "LibriSpeech", tmp_path / "out", ["dev-clean", "dev-other"])
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match=r"Try .*/LibriSpeech\."):
        prepare_librispeech(tmp_path, tmp_path / "out", ["dev-clean"])


def test_real_corpus(speech_dir: Path, tmp_path: Path) -> None:
    splits = ["train-clean-5", "dev-clean", "test-clean", "test-other"]
    summaries = prepare_librispeech(speech_dir / "LibriSpeech", tmp_path, splits)
    assert [summaries[split].utterances for split in splits] == [1519, 1313, 1325, 100]
    assert [summaries[split].speakers for split in splits] == [28, 20, 20, 10]
    assert [round(summaries[split].hours, 2) for split in splits] == [5.31, 2.70, 2.70, 0.21]
