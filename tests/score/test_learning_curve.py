from datetime import date
from pathlib import Path
from typing import Any

from audioroto.score.evaluation import evaluate
from audioroto.score.learning_curve import draw_learning_curve, find_learning_curve
from audioroto.score.results import RunResult, format_results, make_test_set_result

RESULT = make_test_set_result(evaluate({"a": "ONE TWO"}, {"a": "ONE"}, "none"), "test", "ctc_greedy")


def make_run(name: str, **changes: Any) -> RunResult:
    known: dict[str, Any] = {
        "run": name,
        "corpus": "mini",
        "train_set": "train",
        "train_hours": 1.0,
        "train_minutes": 12.0,
        "hardware": "2 CPU cores",
        "parameters": 1_234_567,
        "command": "bash egs/mini/asr/run.sh",
        "commit": "0123abc",
        "config": ("conf/tiny.toml",),
        "normalizer": "none",
        "date": date(2025, 1, 31),
        "results": (RESULT,),
    }
    return RunResult(**(known | changes))


def make_runs(*hours: float) -> list[RunResult]:
    return [make_run(f"h{each:g}", train_hours=each) for each in hours]


def test_runs_that_differ_in_their_hours_alone_make_a_curve() -> None:
    runs = make_runs(2.5, 1.0, 5.0)
    other = make_run("other", train_hours=9.0, config=("conf/large.toml",))
    begun = make_run("tuned", train_hours=5.0, command="bash egs/mini/asr/run.sh --init-from english-small")
    assert [run.run for run in find_learning_curve([other, *runs, begun])] == ["h1", "h2.5", "h5"]


def test_two_points_or_one_amount_of_speech_make_none() -> None:
    assert find_learning_curve(make_runs(1.0, 2.5)) == []
    assert find_learning_curve([make_run(f"run-{number}") for number in range(4)]) == []
    assert find_learning_curve([]) == []


def test_the_picture_is_drawn_and_linked(tmp_path: Path) -> None:
    runs = make_runs(1.0, 2.5, 5.0)
    draw_learning_curve(runs, tmp_path / "hours.png")
    assert (tmp_path / "hours.png").stat().st_size > 10_000
    assert "(hours.png)" in format_results(runs, "hours.png")
    assert "hours.png" not in format_results(runs)
