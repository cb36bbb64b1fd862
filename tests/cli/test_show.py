from pathlib import Path

import pytest
from typer.testing import CliRunner

from audioroto.cli.main import app
from audioroto.corpus.datadir import read_datadir
from audioroto.errors import UserError


def show(*arguments: object):
    return CliRunner().invoke(app, ["show", "audio", *map(str, arguments)])


@pytest.fixture
def audio(tone_corpus: Path) -> Path:
    return read_datadir(tone_corpus / "valid")[0].path


def test_a_recording_is_drawn_with_and_without_a_model(trained, audio, tmp_path):
    model = ("--model", trained / "model.safetensors")
    for number, options in enumerate([(), model, (*model, "--attention", 1)]):
        done = show(audio, "--out", tmp_path / f"{number}.png", *options)
        assert done.exit_code == 0, done.output
    # Width and height stand in the header of a PNG: a model adds a row of words, attention one more.
    heights = [int.from_bytes((tmp_path / f"{number}.png").read_bytes()[20:24]) for number in range(3)]
    assert heights == sorted(set(heights))


@pytest.mark.parametrize("options", [("--attention", 1), ("--attention", 3), ("--attention", 0)])
def test_attention_of_nothing_is_refused(trained, audio, tmp_path, options):
    model = () if options[1] == 1 else ("--model", trained / "model.safetensors")
    done = show(audio, "--out", tmp_path / "x.png", *options, *model)
    assert isinstance(done.exception, UserError)
    assert not (tmp_path / "x.png").exists()


def test_the_models_that_a_model_comes_from_can_be_read():
    shown = CliRunner().invoke(app, ["show", "model", "english-small"]).output
    assert "model english-first.safetensors, sha256 b83db108dbb7" in shown
    assert "{" not in shown


def test_brackets_in_a_name_are_no_markup(tone_corpus, tmp_path):
    (tmp_path / "a[").mkdir()
    (tmp_path / "a[" / "b]").symlink_to(tone_corpus / "valid")
    shown = CliRunner().invoke(app, ["show", "data", str(tmp_path / "a[/b]")], env={"COLUMNS": "300"})
    assert shown.exit_code == 0, shown.exception
    assert "a[/b]" in shown.output
    settings = CliRunner().invoke(app, ["show", "config", "--set", "augment.noise_dir=a[/b]"], env={"COLUMNS": "300"})
    assert "a[/b]" in settings.output
