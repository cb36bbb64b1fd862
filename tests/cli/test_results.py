from datetime import date
from pathlib import Path

import typer
from typer.testing import CliRunner

from audioroto.cli.results import results
from audioroto.score.evaluation import evaluate
from audioroto.score.results import RunResult, make_test_set_result, write_run


def test_the_page_is_made_from_the_runs(tmp_path: Path) -> None:
    run = RunResult(
        run="first",
        corpus="mini",
        train_set="train",
        train_hours=0.1,
        train_minutes=3.0,
        hardware="2 CPU cores",
        parameters=100_000,
        command="bash run.sh",
        commit="abc",
        config=(),
        normalizer="librispeech-v1",
        curve="first.png",
        date=date(2025, 1, 31),
        results=(make_test_set_result(evaluate({"u": "A B"}, {"u": "A"}, "librispeech-v1"), "test", "ctc_greedy"),),
    )
    write_run(tmp_path / "results", run)
    app = typer.Typer()
    app.command()(results)
    for out, folder in {"RESULTS.md": "results", "out/R.md": "../results"}.items():
        done = CliRunner().invoke(app, [str(tmp_path / "results"), "--out", str(tmp_path / out)])
        assert (done.exit_code, done.stdout) == (0, f"{tmp_path / out}: 1 results of 1 runs\n")
        page = (tmp_path / out).read_text("utf-8")
        assert "| test | **50.00** | 50.00 to 50.00 |" in page
        assert f"![Training curve of first]({folder}/first.png)" in page
        assert f"from `{folder}/*.json`" in page
