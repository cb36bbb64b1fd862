import random
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audioroto.corpus.datadir import Utterance, read_datadir, write_datadir
from audioroto.corpus.validate import Problem, find_problems, fix_datadir
from audioroto.errors import UserError

IDS = ["ann-1", "ann-2", "bob-1", "bob-2"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A sound data directory of two speakers with two utterances of one second each."""
    utterances = []
    for name in IDS:
        audio = tmp_path / "audio" / f"{name}.wav"
        audio.parent.mkdir(exist_ok=True)
        soundfile.write(audio, np.full(8000, 0.1, dtype=np.float32), 8000)
        utterances.append(Utterance(name, name[:3], audio, 1.0, "ONE TWO"))
    write_datadir(tmp_path / "data", utterances)
    return tmp_path / "data"


def edit(file: Path, line: int, new: str | None) -> None:
    """Replace a line, from 1, or remove it."""
    lines = file.read_text().splitlines()
    lines[line - 1 : line] = [] if new is None else [new]
    file.write_text("".join(f"{text}\n" for text in lines))


def read_ids(file: Path) -> set[str]:
    """Ids that have something behind them."""
    return {line.split()[0] for line in file.read_text().splitlines() if len(line.split()) > 1}


def found(data: Path, message: str) -> Problem:
    matching = [problem for problem in find_problems(data) if message in problem.message]
    assert len(matching) == 1, [str(problem) for problem in find_problems(data)]
    return matching[0]


def test_a_sound_directory_has_no_problems_and_is_left_alone(data: Path) -> None:
    assert find_problems(data) == []
    assert fix_datadir(data) == []
    assert not (data / ".backup").exists()


@pytest.mark.parametrize(
    ("file", "line", "new", "message", "where", "fixable"),
    [
        ("text", 2, "ann-2", "empty transcript", "text:2", True),
        ("text", 2, None, "ann-2 is not in text", "wav.scp:2", True),
        ("text", 2, "", "blank line", "text:2", True),
        ("text", 2, "ann-2 ONE\r", "CRLF", "text:2", True),
        ("text", 2, "ann-1 ONE TWO", "ann-1 repeats line 1", "text:2", True),
        ("text", 2, "ann-1 OTHER", "ann-1 contradicts line 1", "text:2", False),
        ("text", 4, "zoe-1 ONE", "zoe-1 is not in wav.scp nor in utt2spk", "text:4", True),
        ("utt2spk", 1, "bob-3 bob", "not sorted", "utt2spk:2", True),
        ("spk2utt", 1, "ann ann-1", "ann has not the utterances", "spk2utt:1", True),
        ("spk2utt", 1, None, "speaker ann of utt2spk is missing", "spk2utt", True),
        ("wav.scp", 3, "bob-1 cat x.wav |", "bob-1 is a shell command", "wav.scp:3", False),
        ("wav.scp", 3, "bob-1 gone.wav", "no such file: gone.wav", "wav.scp:3", False),
        ("utt2dur", 3, "bob-1 7.5", "bob-1 lasts 1 s, not 7.5 s", "utt2dur:3", True),
        ("utt2dur", 3, "bob-1 -1", "'-1' is no duration", "utt2dur:3", True),
        ("utt2dur", 3, "bob-7 1", "bob-7 is not in wav.scp", "utt2dur:3", True),
    ],
)
def test_each_problem_is_found_where_it_is(
    data: Path, file: str, line: int, new: str | None, message: str, where: str, fixable: bool
) -> None:
    edit(data / file, line, new)
    problem = found(data, message)
    assert str(problem).startswith(f"{data}/{where}: ")
    assert problem.fixable is fixable
    if fixable:
        fix_datadir(data)
        assert find_problems(data) == []
        read_datadir(data)


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        ("bob-2 bob-2 0.5 9", "bob-2 ends at 9 s, after the 1 s of recording bob-2"),
        ("bob-2 bob-2 0.5 0.25", "begins at 0.5 s and ends at 0.25 s"),
        ("bob-2 bob-2 2 -1", "begins at 2 s and ends at 1 s"),
        ("bob-2 bob-2 zero one", "expected 'utterance recording start end'"),
        ("bob-2 bob-2 0.5 0.51", "bob-2 lasts 0.01 s"),
        ("bob-2 tape 0 1", "recording tape of utterance bob-2 is not in wav.scp"),
    ],
)
def test_segments_must_lie_inside_their_recording(data: Path, segment: str, message: str) -> None:
    lines = [f"{name} {name} 0 -1" for name in IDS[:3]] + [segment]
    (data / "segments").write_text("\n".join(lines) + "\n")
    (data / "utt2dur").unlink()
    problem = found(data, message)
    assert (problem.file.name, problem.line) == ("segments", 4)


def test_tabs_separate_as_spaces_do(data: Path) -> None:
    for file in ("wav.scp", "text", "utt2spk", "spk2utt"):
        (data / file).write_text((data / file).read_text().replace(" ", "\t", 1))
    (data / "segments").write_text("".join(f"{name}\t{name}\t0\t-1\n" for name in IDS))
    assert find_problems(data) == []
    edit(data / "text", 2, "ann-2")
    fix_datadir(data)
    assert [utterance.id for utterance in read_datadir(data)] == ["ann-1", "bob-1", "bob-2"]


def test_unreadable_and_very_short_audio(data: Path, tmp_path: Path) -> None:
    (tmp_path / "audio" / "bob-1.wav").write_bytes(b"RIFF or not")
    soundfile.write(tmp_path / "audio" / "bob-2.wav", np.zeros(8, dtype=np.float32), 8000)
    (data / "utt2dur").unlink()
    problems = find_problems(data)
    assert [(problem.file.name, problem.line, problem.fixable) for problem in problems] == [
        ("wav.scp", 3, False),
        ("wav.scp", 4, False),
    ]
    assert "bob-1" in problems[0].message
    assert "0.001 s" in problems[1].message


def test_bytes_that_are_not_utf8_survive_a_repair(data: Path) -> None:
    (data / "text").write_bytes(
        b"\xef\xbb\xbf" + (data / "text").read_bytes().replace(b"ann-2 ONE", b"ann-2 caf\xe9")[:-1]
    )
    messages = [problem.message for problem in find_problems(data)]
    assert len(messages) == 3
    fix_datadir(data)
    assert [(problem.line, problem.fixable) for problem in find_problems(data)] == [(2, False)]
    assert b"ann-2 caf\xe9 TWO\n" in (data / "text").read_bytes()


def test_speaker_that_is_no_prefix_and_missing_text_are_warnings(data: Path) -> None:
    (data / "text").unlink()
    for line, name in enumerate(IDS, start=1):
        edit(data / "utt2spk", line, f"{name} x-{name[:3]}")
    (data / "spk2utt").write_text("x-ann ann-1 ann-2\nx-bob bob-1 bob-2\n")
    assert [(problem.is_warning, problem.fixable) for problem in find_problems(data)] == [(True, False)] * 2


def test_missing_utt2spk_is_made_from_spk2utt_or_else_from_the_ids(data: Path) -> None:
    (data / "utt2spk").unlink()
    fix_datadir(data)
    assert {utterance.speaker for utterance in read_datadir(data)} == {"ann", "bob"}
    (data / "utt2spk").unlink()
    (data / "spk2utt").unlink()
    fix_datadir(data)
    assert [utterance.speaker for utterance in read_datadir(data)] == IDS
    assert find_problems(data) == []


def test_repair_keeps_a_backup_each_time(data: Path) -> None:
    originals = []
    for name in ("ann-2", "bob-1"):
        lines = (data / "text").read_text().splitlines()
        (data / "text").write_text("\n".join(line if not line.startswith(name) else name for line in lines))
        originals.append((data / "text").read_bytes())
        done = fix_datadir(data)
        assert f"dropped 1 utterances that are not whole in every file: {name}" in done
    assert [utterance.id for utterance in read_datadir(data)] == ["ann-1", "bob-2"]
    assert [(data / ".backup" / number / "text").read_bytes() for number in "12"] == originals


def test_repair_refuses_to_leave_nothing(data: Path) -> None:
    before = (data / "text").read_text().replace("-", "_")
    (data / "text").write_text(before)
    with pytest.raises(UserError, match="no utterance is whole"):
        fix_datadir(data)
    assert (data / "text").read_text() == before
    assert not (data / ".backup").exists()
    (data / "wav.scp").unlink()
    with pytest.raises(UserError, match="nothing was changed"):
        fix_datadir(data)


@pytest.mark.parametrize("seed", range(20))
def test_what_was_fixable_is_gone_after_one_repair(data: Path, seed: int) -> None:
    """Lines shuffled, repeated, removed, emptied and given Windows ends at random."""
    draw = random.Random(seed)
    for name in ("wav.scp", "text", "utt2spk", "spk2utt"):
        lines = (data / name).read_text().splitlines()
        lines += draw.sample(lines, 1)
        draw.shuffle(lines)
        del lines[draw.randrange(len(lines))]
        lines.insert(draw.randrange(len(lines)), draw.choice(["", " ", "zoe-9 zoe"]))
        (data / name).write_text(draw.choice(["\n", "\r\n"]).join(lines))
    assert find_problems(data)
    if not set.intersection(*(read_ids(data / name) for name in ("wav.scp", "text", "utt2spk"))):
        with pytest.raises(UserError, match="no utterance is whole"):
            fix_datadir(data)
        return
    fix_datadir(data)
    remaining = find_problems(data)
    assert [problem for problem in remaining if problem.fixable] == []
    if not any("contradicts" in problem.message or "no such file" in problem.message for problem in remaining):
        assert read_datadir(data)


def test_without_wav_scp_nothing_is_repaired(data: Path) -> None:
    (data / "wav.scp").unlink()
    before = (data / "text").read_bytes()
    with pytest.raises(UserError, match=r"wav\.scp is missing, .*nothing was changed"):
        fix_datadir(data)
    assert (data / "text").read_bytes() == before


def test_a_space_that_does_not_separate_is_nothing_to_repair(data: Path) -> None:
    for name in ("wav.scp", "text", "utt2spk", "spk2utt", "utt2dur"):
        text = (data / name).read_text().replace("bob-2", "bob\u00a02") if (data / name).exists() else ""
        (data / name).write_text(text.replace("bob\u00a02.wav", "bob-2.wav"))
    messages = {problem.message for problem in find_problems(data) if not problem.is_warning}
    assert messages == {"'bob\\xa02': white space in the id"}
    assert fix_datadir(data) == []
