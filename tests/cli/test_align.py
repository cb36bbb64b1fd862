import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audioroto.cli.main import app
from audioroto.corpus.datadir import read_datadir


def run(*arguments: object):
    return CliRunner().invoke(app, ["align", *map(str, arguments)])


@pytest.fixture
def spoken(tone_corpus: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A recording and the text of it."""
    utterance = read_datadir(tone_corpus / "valid")[0]
    (tmp_path / "text.txt").write_text(f"{utterance.text}\n".lower())
    return utterance.path, tmp_path / "text.txt"


def test_ctm_goes_to_standard_output(trained, spoken):
    audio, text = spoken
    done = run(audio, text, "--model", trained / "model.safetensors")
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[4] for line in lines] == text.read_text().split()
    assert {(line[0], line[1]) for line in lines} == {(audio.stem, "1")}


def test_a_files_name_says_its_format(trained, spoken, tmp_path):
    files = [tmp_path / "out" / name for name in ("x.srt", "x.TextGrid", "x.json")]
    done = run(*spoken, "--model", trained / "model.safetensors", *(part for path in files for part in ("--out", path)))
    assert done.exit_code == 0, done.output
    srt, grid, facts = (path.read_text() for path in files)
    assert "-->" in srt
    assert grid.startswith('File type = "ooTextFile"')
    assert '"sha256"' in facts


def test_names_that_are_not_utf_8_are_written_escaped(trained, spoken, tmp_path):
    odd = [tmp_path / os.fsdecode(name) for name in (b"caf\xe9.wav", b"caf\xe9.txt", b"caf\xe9.ctm", b"caf\xe9.json")]
    for given, path in zip(spoken, odd[:2], strict=True):
        path.symlink_to(given)
    done = run(*odd[:2], "--model", trained / "model.safetensors", "--out", odd[2], "--out", odd[3])
    assert done.exit_code == 0, done.output
    assert odd[2].read_text().startswith("'caf\\udce9' 1 ")
    assert "caf" in odd[3].read_text()


def test_an_unknown_format_is_refused_before_any_work(tmp_path):
    done = run("no.wav", "no.txt", "--model", "no.safetensors", "--out", tmp_path / "x.docx")
    assert "there is no format 'docx'" in str(done.exception)
