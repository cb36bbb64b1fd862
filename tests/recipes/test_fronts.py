"""What the runs of each corpus print, and that every verb has the options they give."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from audioroto.cli.main import app
from audioroto.corpus.datadir import read_datadir

FRONTS = [f"egs/{corpus}/asr/run.sh" for corpus in ("mini", "an4", "mini_librispeech", "librispeech", "english")]


@pytest.mark.parametrize("front", FRONTS)
def test_a_dry_run_prints_a_script_and_runs_nothing(checkout, front):
    done = checkout.run(checkout.root / front, "--dry-run", "--corpus-dir", checkout.corpus_dir, "--test-sets", "a b")
    assert done.returncode == 0, done.stderr
    headers = [line.split()[2] for line in done.stdout.splitlines() if re.match(r"# \d ", line)]
    assert headers == ["download", *checkout.stages[:3], "lm", *checkout.stages[3:]]
    assert [word for word in checkout.stages if f"audioroto {word} " not in done.stdout] == []
    assert done.stdout.count("audioroto score ") == 2
    commands = [shlex.split(line.partition(" | ")[0]) for line in done.stdout.splitlines() if line[:10] == "audioroto "]
    for command in commands:
        _make_idle_verbs().main(command[1:], standalone_mode=False)  # raises where a verb has no such option
    assert f"--corpus-dir '{checkout.corpus_dir}'" in done.stdout
    assert checkout.run("-n", checkout.root / front).stderr == ""
    assert checkout.run("-n", "-c", done.stdout).stderr == ""
    assert checkout.take_calls() == []
    assert not list((checkout.root / Path(front).parent).glob("exp"))


@pytest.mark.parametrize("recipe", [*FRONTS, "recipes/asr.sh"])
def test_a_run_is_recorded_with_what_makes_it_again(checkout, recipe):
    typed = ["--data-dir", "a & b", "--exp-dir", "exp", "--modes=ctc_greedy joint", "--set", "x.y=1", "--run", "mine"]
    done = checkout.run(checkout.root / recipe, "--dry-run", *typed, "--notes", "N.", "--stage", "score", "--restart")
    record = next(line for line in done.stdout.splitlines() if line.startswith("audioroto record "))
    options = shlex.split(record)
    assert shlex.split(options[options.index("--command") + 1]) == ["bash", recipe, *typed]
    assert options[options.index("--notes") + 1] == "N."


def test_any_sign_may_be_in_a_path(checkout):
    done = checkout.run(checkout.root / "recipes/asr.sh", "--dry-run", "--data-dir", "R&D", "--exp-dir", "a\\b")
    lines = {line.split()[1]: shlex.split(line) for line in done.stdout.splitlines() if line[:10] == "audioroto "}
    assert [Path(word).parent.name for word in lines["validate"][2:]] == ["R&D"] * 3
    assert Path(lines["train"][lines["train"].index("--exp-dir") + 1]).name == "a\\b"


def test_help_shows_the_values_of_the_front(checkout):
    done = checkout.run(checkout.root / "egs/librispeech/asr/run.sh", "--train-set=other", "--help")
    assert done.returncode == 0
    assert "(other)" in done.stdout
    assert "(dev-clean+dev-other)" in done.stdout


def test_the_whole_of_librispeech(checkout, monkeypatch):
    """960 hours, in a folder of the same shape: the commands of all stages; the data directories are really made."""
    train, valid = "train-clean-100+train-clean-360+train-other-500", "dev-clean+dev-other"
    for speaker, split in enumerate([*train.split("+"), *valid.split("+"), "test-clean", "test-other"], start=1):
        chapter = checkout.corpus_dir / split / f"{speaker}" / "7"
        chapter.mkdir(parents=True)
        soundfile.write(chapter / f"{speaker}-7-0000.flac", np.full(16000, 0.1, dtype=np.float32), 16000)
        (chapter / f"{speaker}-7.trans.txt").write_text(f"{speaker}-7-0000 ONE TWO\n")
    (checkout.corpus_dir / "books.txt").write_text("ONE TWO\n")
    options = ["--dry-run", "--download", "--corpus-dir", checkout.corpus_dir, "--num-processes", "8"]
    options += ["--train-set", train, "--config", "recipes/conf/large.toml", "--modes", "ctc_greedy rescoring"]
    options += ["--lm-text", checkout.corpus_dir / "books.txt", "--run", "large"]
    options += ["--exp-dir", checkout.root / "exp_large"]
    done = checkout.run(checkout.root / "egs/librispeech/asr/run.sh", *options)
    assert done.returncode == 0, done.stderr
    commands = [shlex.split(line.partition(" | ")[0]) for line in done.stdout.splitlines()]
    commands = [command for command in commands if command and command[0] == "audioroto"]
    verbs = ["download", "prepare", "validate", "tokenizer", "lm", "train", "average", "tune"]
    verbs += ["recognize"] * 2 + ["score"] * 4 + ["record", "results", "transcribe"]
    called = [command[1:] for command in commands]
    assert [command[0] for command in called] == verbs
    shared = [command[0] for command in called if "--num-processes" in command]
    assert shared == ["train", "recognize", "recognize"]
    for command in called:
        _make_idle_verbs().main(list(command), standalone_mode=False)

    monkeypatch.chdir(checkout.root)
    for command in called[:3]:
        assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0
    data_dir = checkout.root / "data/prepared/librispeech"
    sets = {train: 3, valid: 2, "test-clean": 1, "test-other": 1}
    assert {path.name: len(read_datadir(path)) for path in data_dir.iterdir()} == sets


def test_the_learning_curve_trains_the_same_recipe_on_more_and_more_hours(checkout):
    front = checkout.root / "egs/english/hours/run.sh"
    done = checkout.run(front, "--dry-run", "--corpus-dir", checkout.corpus_dir)
    assert done.returncode == 0, done.stderr
    trained = re.findall(r"audioroto train --train-dir data/prepared/english/(\S+) .* --config (\S+)", done.stdout)
    assert trained == [(name, "recipes/conf/quick.toml") for name in ("train_1h", "train_2.5h", "train_5h", "train")]
    results = re.findall(r"audioroto record --run (\S+) .*--results-dir (\S+)", done.stdout)
    assert results == [(f"hours-{hours}", "egs/english/hours/results") for hours in ("1", "2.5", "5", "all")]


@pytest.mark.parametrize(("seven_speakers", "valid"), [(True, "train-clean-7spk"), (False, "dev-clean-2")])
def test_mini_librispeech_chooses_on_speakers_that_it_has(checkout, seven_speakers, valid):
    speech = checkout.corpus_dir / "LibriSpeech"
    (speech / ("train-clean-7spk" if seven_speakers else "train-clean-5")).mkdir(parents=True)
    front = checkout.root / "egs/mini_librispeech/asr/run.sh"
    printed = checkout.run(front, "--dry-run", AUDIOROTO_SPEECH=str(checkout.corpus_dir)).stdout
    assert f"prepare librispeech train-clean-5 {valid} test-clean --corpus-dir '{speech}'" in printed
    assert f"--valid-dir data/prepared/mini_librispeech/{valid}" in printed


def _make_idle_verbs() -> Any:
    """The command line of audioroto, whose verbs read their options and do nothing."""
    verbs = typer.main.get_command(app)
    commands = [verbs]
    for command in commands:
        command.callback = lambda **values: None
        commands += getattr(command, "commands", {}).values()
    return verbs
