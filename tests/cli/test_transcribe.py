from pathlib import Path

import pytest
from typer.testing import CliRunner

from audioroto.cli.main import app
from audioroto.errors import UserError
from audioroto.infer.recognizer import Recognizer
from audioroto.infer.team import Team


def run(*arguments: object, **options):
    return CliRunner().invoke(app, ["transcribe", *map(str, arguments)], **options)


@pytest.fixture
def files(tone_corpus) -> list[Path]:
    return sorted((tone_corpus / "audio").glob("g-*.wav"))[:2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.wav", "--format", "docx"], "no format 'docx'; the formats are txt"),
        (["x.wav", "--format", ","], "no format ''"),
        (["x.wav", "--format", "txt,json"], "need --out DIR"),
        (["x.wav", "y.wav", "--format", "json"], "need --out DIR"),
        (["x.wav", "--search", "magic"], "search.mode: Input should be 'auto', 'ctc_greedy'"),
        (
            ["x.wav", "--lm", "x.arpa"],
            "ctc_greedy asks no n-gram; leave it out, or search in a mode that does: ctc_beam",
        ),
        (["*.nothing"], "matches no file"),
    ],
)
def test_what_cannot_be_done_is_refused_before_the_model_is_loaded(arguments, message):
    error = run(*arguments, "--model", "none").exception
    assert isinstance(error, UserError)
    assert message in str(error)


def test_standard_input_and_a_file_give_the_same(trained, files):
    given = ("--model", trained / "model.safetensors", "--device", "cpu", "--threads", 1)
    piped = run("-", *given, input=files[0].read_bytes())
    assert piped.exit_code == 0
    assert piped.stdout == run(files[0], *given).stdout
    nothing = run("-", *given, input=b"")
    assert nothing.exit_code == 1
    assert "<stdin>: is empty" in nothing.stderr or "<stream>: is empty" in nothing.stderr


def test_a_folder_run_is_stopped_and_goes_on(trained, files, tmp_path, monkeypatch):
    given = (*files, "--model", trained / "model.safetensors", "--out", tmp_path, "--format", "txt,json")
    transcribe = Recognizer.transcribe

    def stop_at_the_second(self, audio, **options):
        if audio == str(files[1]):
            raise KeyboardInterrupt
        return transcribe(self, audio, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Recognizer, "transcribe", stop_at_the_second)
        stopped = run(*given)
        patch.setattr(Team, "leads", False)
        another = run(*given)
    assert stopped.exit_code == another.exit_code == 130
    assert "the same command goes on" in stopped.stderr
    assert another.stderr == ""  # of several processes one says it
    done = run(*given)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "1 files transcribed, 1 done before, 0 failed" in done.stderr
    assert "0 files transcribed, 2 done before" in run(*given).stderr
    assert "1 files transcribed, 0 done before" in run(*given[1:], "--restart").stderr
