import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from audioroto.corpus.datadir import Utterance, read_datadir
from audioroto.corpus.prepare.table import hold_out, prepare_table
from audioroto.corpus.validate import find_problems
from audioroto.errors import UserError


def make_corpus(folder: Path, table: str, content: str | bytes, files: Mapping[str, float]) -> Path:
    for name, seconds in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, np.full(round(8000 * seconds), 0.1, dtype=np.float32), 8000)
    (folder / table).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / table


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.tsv", "clips/a 1.wav\tAnn\tHELLO, YOU\nclips/b.wav\tBob\tBYE\n"),
        ("t.tsv", "clips/a 1.wav\tAnn\t1.0\tHELLO, YOU\nclips/b.wav\tBob\t1.0\tBYE\n"),
        ("t.tsv", "Sentence\tpath\tage\tclient_id\r\nHELLO, YOU\tclips/a 1.wav\t7\tAnn\r\nBYE\tclips/b.wav\t\tBob\r\n"),
        ("t.csv", 'file,speaker,transcript\nclips/a 1.wav,Ann,"HELLO, YOU"\n\nclips/b.wav,Bob,BYE\n'),
        ("t.csv", "\ufefffile;speaker;transcript\nclips/a 1.wav;Ann;HELLO, YOU\nclips/b.wav;Bob;BYE"),
    ],
)
def test_columns_with_and_without_header(tmp_path: Path, name: str, content: str) -> None:
    table = make_corpus(tmp_path, name, content, {"clips/a 1.wav": 1.0, "clips/b.wav": 1.0})
    summary = prepare_table(table, tmp_path / "out", "own")["own"]
    assert (summary.utterances, summary.speakers, summary.words) == (2, 2, 3)
    utterances = read_datadir(tmp_path / "out" / "own")
    assert [(utterance.id, utterance.text) for utterance in utterances] == [
        ("Ann-a_1", "HELLO, YOU"),
        ("Bob-b", "BYE"),
    ]
    assert find_problems(tmp_path / "out" / "own") == []


def test_without_speakers_and_with_equal_names_ids_are_unique(tmp_path: Path) -> None:
    files = {"1/a.wav": 0.5, "2/a.wav": 0.5, "a-2.wav": 0.5}
    table = make_corpus(tmp_path, "t.tsv", "".join(f"{name}\tHI\n" for name in files), files)
    prepare_table(table, tmp_path / "out")
    utterances = read_datadir(tmp_path / "out" / "train")
    assert [utterance.id for utterance in utterances] == ["unknown-a", "unknown-a-2", "unknown-a-2-2"]
    assert {utterance.speaker for utterance in utterances} == {"unknown"}


def test_own_ids_are_kept_and_must_be_unique(tmp_path: Path) -> None:
    files = {"a.wav": 0.5, "b.wav": 0.5}
    table = make_corpus(tmp_path, "t.csv", "id,path,text\nx1,a.wav,HI\nx2,b.wav,HO\n", files)
    prepare_table(table, tmp_path / "out")
    assert [utterance.id for utterance in read_datadir(tmp_path / "out" / "train")] == ["x1", "x2"]
    table.write_text("id,path,text\nx1,a.wav,HI\nx1,b.wav,HO\n")
    with pytest.raises(UserError, match=r"line 3: id x1 is in the table already"):
        prepare_table(table, tmp_path / "out")


def test_rows_without_audio_or_text_are_listed_and_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = make_corpus(tmp_path, "t.tsv", 'a.wav\ts\t"HI\nb.wav\ts\t\ngone.wav\ts\tHO\n', {"a.wav": 1.0, "b.wav": 1.0})
    with caplog.at_level(logging.WARNING):
        prepare_table(table, tmp_path / "out")
    assert "skipped 1 with an empty transcript: s-b" in caplog.text
    assert "gone.wav" in caplog.text
    assert [utterance.text for utterance in read_datadir(tmp_path / "out" / "train")] == ['"HI']


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.tsv", "", "t.tsv is empty"),
        ("t.tsv", "a.wav\n", "line 1 has 1 columns and no header. Name the columns"),
        ("t.csv", "path,speaker\na.wav,s\n", "line 1: 0 columns for text"),
        ("t.csv", "path,file,text\na.wav,a.wav,HI\n", "line 1: 2 columns for path"),
        ("t.csv", "path,text\na.wav,HELLO, YOU\n", "line 2 has 3 columns, 2 are expected"),
        ("t.csv", 'path,text\na.wav,HI\na.wav,"HI\na.wav,HO\na.wav,HI\n', "line 3: .* a quote that opens a cell must"),
        ("t.csv", 'path,text\na.wav,"HI\na.wav,"HO"\n', "line 2: .* a quote that opens a cell must close it"),
        ("t.csv", "path,text\n,HELLO\n", "line 2: the audio path is empty"),
        ("t.tsv", b"a.wav\tHI\na.wav\tcaf\xe9\n", "line 2 is not UTF-8"),
        ("t.tsv", "gone.wav\tHI\n", "no row has both"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    table = make_corpus(tmp_path, name, content, {"a.wav": 0.5})
    with pytest.raises(UserError, match=message):
        prepare_table(table, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_held_out_speakers_make_the_valid_split(tmp_path: Path) -> None:
    files = {f"s{speaker}/{index}.wav": 0.2 for speaker in range(10) for index in range(3)}
    rows = "".join(f"{name}\t{name[:2]}\tHI\n" for name in files)
    table = make_corpus(tmp_path, "t.tsv", rows, files)
    summaries = prepare_table(table, tmp_path / "out", valid_share=0.2)
    assert [(summary.speakers, summary.utterances) for summary in summaries.values()] == [(8, 24), (2, 6)]
    assert summaries == prepare_table(table, tmp_path / "out", valid_share=0.2)
    with pytest.raises(UserError, match="give the split another name"):
        prepare_table(table, tmp_path / "out", split="valid", valid_share=0.2)
    for share in (10.0, float("nan")):
        with pytest.raises(UserError, match="less than 1"):
            prepare_table(table, tmp_path / "refused", valid_share=share)
    assert not (tmp_path / "refused").exists()


def test_too_few_utterances_for_the_shares_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    table = make_corpus(tmp_path, "t.tsv", "a.wav\tHI\n", {"a.wav": 0.5})
    with pytest.raises(UserError, match=r"shares 0.1 for valid and 0.2 for test, nothing is left for train and test"):
        prepare_table(table, tmp_path / "out", valid_share=0.1, test_share=0.2)
    assert not (tmp_path / "out").exists()


def test_valid_and_test_are_held_out_apart(tmp_path: Path) -> None:
    files = {f"s{speaker}/{index}.wav": 0.2 for speaker in range(20) for index in range(3)}
    rows = "".join(f"{name}\t{name.partition('/')[0]}\tHI\n" for name in files)
    table = make_corpus(tmp_path, "t.tsv", rows, files)
    prepare_table(table, tmp_path / "out", valid_share=0.1, test_share=0.2)
    speakers = [
        {utterance.speaker for utterance in read_datadir(tmp_path / "out" / split)}
        for split in ("train", "valid", "test")
    ]
    assert [len(names) for names in speakers] == [14, 2, 4]
    assert len(set.union(*speakers)) == 20
    for shares in ({"valid_share": 0.5, "test_share": 0.5}, {"test_share": -0.1}):
        with pytest.raises(UserError, match="together less than 1"):
            prepare_table(table, tmp_path / "out", **shares)


def test_audio_may_lie_elsewhere_and_its_suffix_may_be_missing(tmp_path: Path) -> None:
    files = {"clips/a.wav": 0.5, "clips/b.c.wav": 0.5}
    table = make_corpus(tmp_path, "t.csv", "file,text\na,HI\nb.c,HO\n", files)
    prepare_table(table, tmp_path / "out", audio_dir=tmp_path / "clips")
    assert [utterance.path.name for utterance in read_datadir(tmp_path / "out" / "train")] == ["a.wav", "b.c.wav"]
    with pytest.raises(UserError, match="give --audio-dir DIR if the files lie elsewhere"):
        prepare_table(table, tmp_path / "out")


def test_texts_with_digits_are_spelled_or_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = make_corpus(tmp_path, "t.csv", "file,text\na.wav,Wait 7 minutes.\n", {"a.wav": 0.5})
    prepare_table(table, tmp_path / "out")
    assert "1 texts have digits ('Wait 7 minutes.')" in caplog.text
    caplog.clear()
    prepare_table(table, tmp_path / "out", normalizer="english-v1")
    assert [utterance.text for utterance in read_datadir(tmp_path / "out" / "train")] == ["WAIT SEVEN MINUTES"]
    assert caplog.text == ""


def test_of_a_single_speaker_utterances_are_held_out(caplog: pytest.LogCaptureFixture) -> None:
    utterances = [Utterance(f"s-{index}", "s", Path(f"{index}.wav"), 1.0, "HI") for index in range(50)]
    assert len(hold_out(utterances, 0.1)) == 5
    assert "no speaker is short enough" in caplog.text


def test_rows_of_one_file_are_warned_of_and_never_parted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {f"{index}.wav": 0.2 for index in range(10)}
    table = make_corpus(tmp_path, "t.tsv", "".join(f"{name}\tHI\n" for name in 3 * [*files]), files)
    summaries = prepare_table(table, tmp_path / "out", valid_share=0.2, test_share=0.2)
    heard = [{each.path for each in read_datadir(tmp_path / "out" / name)} for name in summaries]
    assert sum(map(len, heard)) == len(set.union(*heard)) == 10
    assert f"10 audio files have several rows, {tmp_path / '0.wav'} first" in caplog.text


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0.5, 20)), min_size=20, max_size=60), st.floats(0.05, 0.3))
def test_about_the_share_is_held_out(rows: list[tuple[int, float]], share: float) -> None:
    utterances = [
        Utterance(f"{index}", f"s{speaker}", Path(f"{index}.wav"), seconds, "HI")
        for index, (speaker, seconds) in enumerate(rows)
    ]
    held_out = hold_out(utterances, share)
    seconds = sum(utterance.seconds for utterance in utterances if utterance.id in held_out)
    total = sum(utterance.seconds for utterance in utterances)
    assert 0 < seconds <= 1.5 * share * total + 20
    assert held_out == hold_out(utterances[::-1], share)
