from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from audioroto.cli.tokenizer import tokenizer
from audioroto.errors import UserError
from audioroto.text.tokenizer import Tokenizer

app = typer.Typer()
app.command()(tokenizer)


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_tokenizer_is_trained_on_normalised_transcripts(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("u1 Hello, world!\nu2 the old wórld\nu3\n", encoding="utf-8")
    (tmp_path / "char.toml").write_text('[text]\nunits = "char"\n', encoding="utf-8")
    out = tmp_path / "out" / "char.model"
    output = run("--text", tmp_path, "--out", out, "--config", tmp_path / "char.toml", "--set", "text.vocab_size=40")
    trained = Tokenizer.load(out)
    assert set(trained.pieces[3:]) == set("▁HELOWRDT")
    assert f"{out}: 12 char units from 3 transcripts\nunits: <blank> <unk> <eos> " in output
    assert "sample: HELLO WORLD = ▁ H E L L O ▁ W O R L D" in output
    again = tmp_path / "again.model"
    run("--text", tmp_path / "text", "--out", again, "--set", "text.units=bpe", "--set", "text.vocab_size=16")
    assert Tokenizer.load(again).vocab_size == 16


def test_nothing_is_written_when_there_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("u1 ...\n", encoding="utf-8")
    with pytest.raises(UserError, match="no text to train the tokenizer on"):
        run("--text", tmp_path, "--out", tmp_path / "out.model")
    assert not (tmp_path / "out.model").exists()
