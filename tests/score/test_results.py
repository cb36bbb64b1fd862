import json
import shlex
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from audioroto.errors import UserError
from audioroto.score.evaluation import Evaluation, compare, evaluate
from audioroto.score.results import (
    RunResult,
    format_results,
    make_test_set_result,
    read_run,
    read_runs,
    write_run,
)
from audioroto.score.significance import bootstrap_interval, paired_bootstrap

REFERENCES = {f"s{number % 3}-{number:02d}": "ONE TWO THREE FOUR"[: 3 + 5 * (number % 4)] for number in range(20)}


def make_evaluation(wrong_every: int) -> Evaluation:
    hypotheses = {
        name: text.replace("ONE", "WON" if number % wrong_every == 0 else "ONE")
        for number, (name, text) in enumerate(REFERENCES.items())
    }
    return evaluate(REFERENCES, hypotheses, "librispeech-v1", {name: name[:2] for name in REFERENCES})


def make_run(run: str = "tiny-1", wrong_every: int = 3, **changes: Any) -> RunResult:
    known = {
        "run": run,
        "corpus": "mini",
        "train_set": "train",
        "train_hours": 1.5,
        "train_minutes": 12.0,
        "hardware": "2 CPU cores",
        "parameters": 1_234_567,
        "command": "bash egs/mini/asr/run.sh | tee log",
        "commit": "0123abc",
        "config": ("conf/tiny.toml", "train.max_updates=300"),
        "normalizer": "librispeech-v1",
        "date": date(2025, 1, 31),
        "results": (make_test_set_result(make_evaluation(wrong_every), "test", "ctc_greedy", real_time_factor=0.02),),
    }
    return RunResult(**(known | changes))


def test_a_run_reads_back_equal(tmp_path: Path) -> None:
    run = make_run(notes="The first.", command="bash run.sh --set 'x.y=[5,20]'", config=("x.y=[5,20]",))
    path = write_run(tmp_path / "results", run)
    assert path == tmp_path / "results" / "tiny-1.json"
    assert read_run(path) == run
    assert read_runs(tmp_path / "results") == [run]
    lines = path.read_text("utf-8").splitlines()
    assert sum(line.startswith('        "words": [') and line.endswith("],") for line in lines) == 1


def test_intervals_and_paired_tests_come_from_the_json_alone(tmp_path: Path) -> None:
    first, second = (read_run(write_run(tmp_path, make_run(f"run-{n}", n))).results[0] for n in (3, 5))
    assert (first.utterances.ids_sha256, first.utterances.words) == (
        second.utterances.ids_sha256,
        second.utterances.words,
    )
    comparison = paired_bootstrap(first.utterances.errors, second.utterances.errors, first.utterances.words)
    assert comparison == compare(make_evaluation(3), make_evaluation(5))
    assert comparison.difference < 0
    interval = bootstrap_interval(first.utterances.errors, first.utterances.words)
    assert (interval.low, interval.high) == (first.wer_low, first.wer_high)
    others = {f"x-{name}": text for name, text in REFERENCES.items()}
    other = make_test_set_result(evaluate(others, others, "librispeech-v1"), "test", "ctc_greedy")
    assert other.utterances.ids_sha256 != first.utterances.ids_sha256


def test_counts_per_utterance_are_kept_in_order_of_id() -> None:
    evaluation = make_evaluation(3)
    utterances = make_test_set_result(evaluation, "test", "ctc_greedy").utterances
    ids = sorted(REFERENCES)
    assert utterances.words == tuple(len(REFERENCES[name].split()) for name in ids)
    assert utterances.errors == tuple(evaluation.words[name].errors for name in ids)
    assert utterances.speakers == tuple(int(name[1]) for name in ids)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["parameters"], "many", "parameters: Input should be a valid integer"),
        (["colour"], "blue", "colour: Extra inputs are not permitted"),
        (["commit"], None, "commit: Input should be a valid string"),
        (["results", 0, "wer"], 0.5, "results.0: Value error, wer is 0.5, but"),
        (["results", 0, "words"], 7, "results.0: Value error, words is 7, but utterances.words sum to"),
        (["results", 0, "deletions"], 7, "results.0: Value error, there are 14 errors, but utterances.errors sum to 7"),
        (["results", 0, "sentences"], 7, "results.0: Value error, sentences is 7, but"),
        (["results", 0, "utterances", "errors", 0], -1, "results.0.utterances.errors.0: Input should be greater"),
        (["results"], [], "results: Tuple should have at least 1 item"),
        (["run"], "other", "run: is 'other', but the file is called tiny-1.json"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_key(tmp_path: Path, keys: list, value: Any, message: str) -> None:
    path = write_run(tmp_path, make_run())
    table = json.loads(path.read_text("utf-8"))
    place = table
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(UserError) as refused:
        read_run(path)
    assert str(refused.value).startswith(f"{path}: {message}")


def test_a_missing_key_and_broken_json_are_refused(tmp_path: Path) -> None:
    path = write_run(tmp_path, make_run())
    table = json.loads(path.read_text("utf-8"))
    del table["hardware"]
    path.write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(UserError, match=r"tiny-1\.json: hardware: Field required"):
        read_run(path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"tiny-1\.json: JSON: Invalid JSON"):
        read_run(path)
    with pytest.raises(UserError, match=r"holds no <run>\.json"):
        read_runs(tmp_path / "empty")


def test_what_earlier_versions_did_not_measure_is_a_dash(tmp_path: Path) -> None:
    measured = make_test_set_result(make_evaluation(3), "test", "ctc_greedy", None, 0.02, 300 * 2**20)
    path = write_run(tmp_path, make_run(results=(measured,)))
    assert "| 0.020 | 300 | librispeech-v1 |" in format_results([read_run(path)])
    table = json.loads(path.read_text("utf-8"))
    for key in ("real_time_factor", "peak_memory_bytes"):
        del table["results"][0][key]
    path.write_text(json.dumps(table), encoding="utf-8")
    assert "| – | – | librispeech-v1 |" in format_results([read_run(path)])


def test_a_test_set_without_words_has_no_result() -> None:
    with pytest.raises(UserError, match="test set hush has no reference words"):
        make_test_set_result(evaluate({"u": ""}, {"u": ""}, "librispeech-v1"), "hush", "ctc_greedy")


def test_the_table_is_sorted_by_test_set_and_error_rate() -> None:
    runs = [
        make_run("bad", 2, notes="Too  short\na run."),
        make_run("good", 7),
        make_run("other", 1, results=(make_test_set_result(make_evaluation(1), "another", "ctc_beam", "4-gram"),)),
    ]
    page = format_results(runs)
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith(("| test |", "| another |"))]
    assert [row[-1] for row in rows] == ["[other](#other) |", "[good](#good) |", "[bad](#bad) |"]
    assert rows[0][8:10] == ["ctc_beam", "4-gram"]
    assert rows[1][1:3] == ["**6.00**", rows[1][2]]
    assert rows[1][8:-1] == ["ctc_greedy", "none", "0.020", "–", "librispeech-v1", "1.2 M", "train", "1.50", "12.0"]
    assert page.startswith("# Results: mini\n")
    assert (
        "### bad\n\n"
        "2025-01-31 · commit 0123abc · 2 CPU cores · configuration `conf/tiny.toml` `train.max_updates=300`\n\n"
        "Too  short\na run.\n\n    bash egs/mini/asr/run.sh | tee log\n" in page
    )


def test_a_long_command_is_broken_before_options_and_says_the_same(tmp_path: Path) -> None:
    words = [
        "printf",
        "%s\\n",
        *(f"--option-{number}" for number in range(30)),
        "--modes",
        "a b --c",
        "--set",
        "x.y=1",
        "it's",
    ]
    page = format_results([make_run(command=shlex.join(words), config=("x.y=1", "x.y=11", "a.toml"))])
    assert "· configuration `x.y=11` `a.toml`\n" in page  # what the command says is not said again
    lines = [line[4:] for line in page.split("### tiny-1\n")[1].splitlines() if line.startswith("    ")]
    assert len(lines) > 2
    assert max(map(len, lines)) < 150
    done = subprocess.run(["bash"], input="\n".join(lines), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == words[2:]


def test_a_link_leads_to_the_section_of_its_run() -> None:
    page = format_results([make_run("Hours-2.5 (all)")])
    assert "[Hours-2.5 (all)](#hours-25-all)" in page
    assert "### Hours-2.5 (all)\n" in page
