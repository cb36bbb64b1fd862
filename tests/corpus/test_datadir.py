import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.corpus.datadir import (
    Utterance,
    keep_usable,
    measure_audio,
    read_datadir,
    read_table,
    summarize,
    write_datadir,
    write_table,
)
from audioroto.errors import UserError


def make_wav(path: Path, seconds: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(round(seconds * 8000), 0.1, dtype=np.float32), 8000)
    return path


def make_utterances(folder: Path) -> list[Utterance]:
    return [
        Utterance("b-1", "b", make_wav(folder / "x y.wav", 0.5), 0.5, "TWO WORDS"),
        Utterance("a-1", "a", make_wav(folder / "a.wav", 0.25), 0.25, "ONE"),
    ]


def test_round_trip_is_sorted_by_id(tmp_path: Path) -> None:
    utterances = make_utterances(tmp_path)
    write_datadir(tmp_path / "data", utterances)
    assert read_datadir(tmp_path / "data") == utterances[::-1]
    assert (tmp_path / "data" / "spk2utt").read_text() == "a a-1\nb b-1\n"


def test_segments_round_trip_also_when_two_files_share_a_stem(tmp_path: Path) -> None:
    one, two = make_wav(tmp_path / "1" / "talk.wav", 2.0), make_wav(tmp_path / "2" / "talk.wav", 3.0)
    utterances = [
        Utterance("s-1", "s", one, 0.75, "A", 0.25, 1.0),
        Utterance("s-2", "s", one, 1.0, "B", 1.0, None),
        Utterance("s-3", "s", two, 1.5, "C", 0.0, 1.5),
    ]
    data = tmp_path / "data"
    write_datadir(data, utterances)
    assert read_table(data / "segments")["s-2"] == "talk 1.0 -1"
    assert read_datadir(data) == utterances
    (data / "utt2dur").unlink()
    assert read_datadir(data) == utterances
    write_datadir(data, make_utterances(tmp_path))
    assert not (data / "segments").exists()


def test_a_second_write_touches_nothing(tmp_path: Path) -> None:
    utterances = make_utterances(tmp_path)
    write_datadir(tmp_path / "data", utterances)
    times = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "data").iterdir()}
    write_datadir(tmp_path / "data", reversed(utterances))
    assert {file.name: file.stat().st_mtime_ns for file in (tmp_path / "data").iterdir()} == times


def test_durations_are_measured_once_and_kept(tmp_path: Path) -> None:
    utterances = make_utterances(tmp_path)
    write_datadir(tmp_path / "data", utterances)
    (tmp_path / "data" / "utt2dur").unlink()
    assert [utterance.seconds for utterance in read_datadir(tmp_path / "data")] == [0.25, 0.5]
    for utterance in utterances:
        utterance.path.unlink()
    assert [utterance.seconds for utterance in read_datadir(tmp_path / "data")] == [0.25, 0.5]


def test_without_text_texts_are_none(tmp_path: Path) -> None:
    utterances = [replace(utterance, text=None) for utterance in make_utterances(tmp_path)]
    write_datadir(tmp_path / "data", utterances)
    assert not (tmp_path / "data" / "text").exists()
    assert [utterance.text for utterance in read_datadir(tmp_path / "data")] == [None, None]
    with pytest.raises(UserError, match="b-1 has no text"):
        write_datadir(tmp_path / "data", [utterances[0], replace(utterances[1], text="X")])


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("wav.scp", "a-1 touch {} |\n", r"wav.scp line 1: a-1 is a shell command.*prepare kaldi"),
        ("text", "a-1 ONE\nb-1 X\nc-1 THREE\n", r"text line 3: utterance c-1 is not in wav.scp.*validate --fix"),
        ("text", "a-1 ONE\n", r"wav.scp line 2: utterance b-1 is not in text"),
        ("utt2spk", "a-1 a\na-1 a\n", r"utt2spk line 2: a-1 is on line 1 already"),
        ("text", "a-1 ONE\n\nb-1 TWO\n", r"text line 2 is blank"),
        ("text", b"a-1 ONE\nb-1 caf\xe9\n", r"text line 2 is not UTF-8"),
        ("utt2dur", "a-1 1\nb-1 long\n", r"utt2dur line 2: utterance b-1: 'long'"),
        ("utt2dur", "a-1 nan\n", r"utt2dur line 1: utterance a-1: 'nan'"),
        ("segments", "a-1 a-1 0 1\nb-1 b-1 0\n", r"segments line 2: utterance b-1: expected"),
        ("segments", "a-1 a-1 0 1\nb-1 c 0 1\n", r"segments line 2: recording c of utterance b-1"),
        ("segments", "a-1 a-1 0 1\nb-1 b-1 2 1\n", r"segments line 2: utterance b-1 ends"),
    ],
)
def test_errors_name_file_line_and_utterance(tmp_path: Path, file: str, content: str | bytes, message: str) -> None:
    write_datadir(tmp_path, make_utterances(tmp_path))
    witness = tmp_path / "executed"
    raw = content if isinstance(content, bytes) else content.format(witness).encode()
    (tmp_path / file).write_bytes(raw)
    with pytest.raises(UserError, match=message):
        read_datadir(tmp_path)
    assert not witness.exists()


def test_missing_folder_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        read_datadir(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"wav\.scp is missing"):
        read_datadir(tmp_path)
    with pytest.raises(UserError, match="not one usable utterance"):
        write_datadir(tmp_path / "data", [])


def test_ids_that_the_format_cannot_hold_are_refused(tmp_path: Path) -> None:
    utterances = make_utterances(tmp_path)
    with pytest.raises(UserError, match="a-1 stands for both"):
        write_datadir(tmp_path / "data", [utterances[1], replace(utterances[0], id="a-1")])
    with pytest.raises(UserError, match="no spaces in ids"):
        write_datadir(tmp_path / "data", [replace(utterances[0], id="a 1")])


def test_windows_line_ends_and_byte_order_mark_are_read(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbfa-1\tONE TWO\r\nb-1\r\n")
    assert read_table(tmp_path / "text") == {"a-1": "ONE TWO", "b-1": ""}


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"]), min_size=1).filter(
            lambda key: not key.startswith("\ufeff")
        ),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r")).map(
            lambda text: text.strip(" \t")
        ),
    )
)
def test_tables_round_trip_in_bytewise_order(tmp_path_factory: pytest.TempPathFactory, table: dict[str, str]) -> None:
    path = tmp_path_factory.mktemp("table") / "text"
    write_table(path, table)
    assert read_table(path) == table
    keys = [line.split(b" ")[0] for line in path.read_bytes().split(b"\n")[:-1]]
    assert keys == sorted(keys)


def test_summary_counts(tmp_path: Path) -> None:
    summary = summarize(make_utterances(tmp_path))
    assert (summary.utterances, summary.speakers, summary.words) == (2, 2, 3)
    assert summary.hours == pytest.approx(0.75 / 3600)


def test_unusable_utterances_are_skipped_with_their_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = make_utterances(tmp_path)[0]
    (tmp_path / "noise.wav").write_bytes(b"no audio at all")
    candidates = [
        good,
        replace(good, id="b-2", text=" "),
        replace(good, id="b-3", path=tmp_path / "gone.wav"),
        replace(good, id="b-4", path=tmp_path / "noise.wav"),
        replace(good, id="b-5", start_seconds=0.125, end_seconds=0.25),
        replace(good, id="b-6", start_seconds=100.0, end_seconds=None),
        replace(good, id="b-7", start_seconds=100.0, end_seconds=110.0),
    ]
    with caplog.at_level(logging.WARNING):
        usable = keep_usable(candidates)
    assert [(utterance.id, utterance.seconds) for utterance in usable] == [("b-1", 0.5), ("b-5", 0.125)]
    assert len(caplog.messages) == 4
    for name in ("b-2", "gone.wav", "noise.wav", "b-6, b-7"):
        assert name in caplog.text


def test_a_segment_behind_its_audio_is_refused_before_anything_is_kept_of_it(tmp_path: Path) -> None:
    write_datadir(tmp_path, make_utterances(tmp_path))
    (tmp_path / "segments").write_text("a-1 a-1 0 -1\nb-1 b-1 100 -1\n")
    (tmp_path / "utt2dur").unlink()
    with pytest.raises(UserError, match=r"b-1 begins after the end of .*remove its line"):
        read_datadir(tmp_path)
    assert not (tmp_path / "utt2dur").exists()


def test_measuring_reports_failures_beside_results(tmp_path: Path) -> None:
    paths = [make_wav(tmp_path / f"{index}.wav", 0.1 * (index + 1)) for index in range(40)]
    measured = measure_audio([*paths, tmp_path / "gone.wav"])
    assert [measured[path] for path in paths] == pytest.approx([0.1 * (index + 1) for index in range(40)])
    assert isinstance(measured[tmp_path / "gone.wav"], Exception)
