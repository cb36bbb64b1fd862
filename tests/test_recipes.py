"""The shell side, with stand-ins for `audioroto` and for Python: no network, nothing installed, nothing trained."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from audioroto.cli.main import app
from audioroto.corpus.datadir import read_datadir

SCRIPTS = ["recipes/asr.sh", "recipes/step.sh", "recipes/path.sh", "recipes/slurm.sh", "tests/run.sh", ".ci/run"]
FRONTS = [f"egs/{corpus}/asr/run.sh" for corpus in ("mini", "an4", "mini_librispeech", "librispeech", "english")]
Done = subprocess.CompletedProcess[str]
STAGES = ["prepare", "validate", "tokenizer", "train", "average", "recognize", "score", "transcribe"]

# Notes its verb and writes what the true one would: each output repeats its inputs, so that a change travels on.
FAKE_AUDIOROTO = r"""#!/usr/bin/env bash
set -eu
printf '%s\n' "$1" >>"$CALLS"
verb=$1 configuration=
while (($#)); do
    case $1 in
        --out-dir | --out | --exp-dir | --model | --modes) name=${1#--} && printf -v "${name//-/_}" '%s' "$2" ;;
        --config) configuration+=$(cat "$2") ;;
        --set) configuration+=$2 ;;
    esac
    shift
done
if [[ ${SLEEP_IN:-} == "$verb" ]]; then touch "$CALLS.asleep"; sleep 60; fi
if [[ ${FAIL_IN:-} == "$verb" ]]; then exit 2; fi
case $verb in
    prepare)
        mkdir -p "$out_dir"/{train,valid,test}
        for table in "$out_dir"/{train,valid,test}/{wav.scp,text}; do echo 'a /audio/a b.wav' >"$table"; done
        ;;
    download) mkdir -p "$out"/{train,valid,test} ;;
    tokenizer | lm | tune) mkdir -p "${out%/*}" && printf 'pieces\n' >"$out" ;;
    train) printf '%s\n' "$configuration" >"$exp_dir/metrics.jsonl" ;;
    average) cp "$exp_dir/metrics.jsonl" "$out" ;;
    recognize)
        for mode in ${modes//,/ }; do mkdir -p "$out_dir/$mode" && cp "$model" "$out_dir/$mode/text"; done
        ;;
    score) printf 'header\nWER 4.00 %% (25 words)\n' ;;
    transcribe) printf 'WORDS\n' ;;
esac
"""

# Answers as a Python of the version in its name (`python3`: $PYTHON3) would, and notes installations.
FAKE_PYTHON = r"""#!/usr/bin/env bash
version=${0##*/python}
if [[ $version == 3 ]]; then version=${PYTHON3:-}; fi
case "$*" in
    *'print('*) [[ -n $version && " ${MISSING:-} " != *" ${0##*/} "* ]] && echo "$version" ;;
    *'sys.exit('*) ((${version#3.} >= 11)) ;;
    *'import ensurepip, venv'*) [[ -z ${NO_VENV:-} ]] ;;
    *'import audioroto'*) [[ " ${INSTALLED:-} " == *" ${*: -1} "* ]] ;;
    '-m venv'*) echo "venv by ${0##*/}" >>"$CALLS" && mkdir -p "${*: -1}/bin" && cp "$0" "${*: -1}/bin/python" ;;
    *'-m pip install'*)
        echo "pip ${*: -1}" >>"$CALLS" && sleep "${PIP_SECONDS:-0}"
        [[ -z ${PIP_FAILS:-} ]] && cp "$0" "${0%/*}/audioroto"
        ;;
    *'-m '*) echo "$*" >>"$CALLS" && [[ -z ${FAIL_IN:-} || "$*" != *"$FAIL_IN"* ]] ;;
esac
"""


class Checkout:
    """A copy of the shell side in a folder with a space in its name, an environment of stand-ins, and their notes."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = folder / "a checkout"
        for part in ("recipes", "egs", ".ci"):
            shutil.copytree(root / part, self.root / part, ignore=shutil.ignore_patterns("exp"))
        for part in ("tests/run.sh", "pyproject.toml"):
            (self.root / part).parent.mkdir(exist_ok=True)
            shutil.copy(root / part, self.root / part)
        self.corpus_dir, self.config = folder / "my speech", folder / "conf.toml"
        self.corpus_dir.mkdir()
        (self.corpus_dir / "table.tsv").write_text("a\n")
        self.config.write_text("[train]\nseed = 1\n")
        self.calls_file, self.active, self.pythons = folder / "calls", folder / "an environment", folder / "pythons"
        _write_script(self.active / "bin" / "audioroto", FAKE_AUDIOROTO)
        _write_script(self.active / "bin" / "python", FAKE_PYTHON)
        for version in ("3.13", "3.12", "3.11", "3"):
            _write_script(self.pythons / f"python{version}", FAKE_PYTHON)
        self.environment = {
            "PATH": f"{self.pythons}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "CALLS": str(self.calls_file),
            "VIRTUAL_ENV": str(self.active),
            "INSTALLED": "import audioroto",
        }

    def run(self, *command: str | Path, cwd: Path | None = None, **environment: str) -> Done:
        options = {"env": self.environment | environment, "cwd": cwd or self.root.parent, "timeout": 60}
        return subprocess.run(["bash", *map(str, command)], capture_output=True, text=True, **options)

    def run_mini(self, *options: str | Path, **environment: str) -> Done:
        front = self.root / "egs/mini/asr/run.sh"
        return self.run(front, "--corpus-dir", self.corpus_dir, "--config", self.config, *options, **environment)

    def source_path(self, **environment: str) -> Done:
        line = 'set -euo pipefail; . "$1"; command -v python'
        return self.run("-c", line, "bash", self.root / "recipes/path.sh", **environment)

    def take_calls(self) -> list[str]:
        """What was called since the last time this was asked."""
        calls = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        self.calls_file.unlink(missing_ok=True)
        return calls


def _write_script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def _make_idle_verbs() -> Any:
    """The command line of audioroto, whose verbs read their options and do nothing."""
    verbs = typer.main.get_command(app)
    commands = [verbs]
    for command in commands:
        command.callback = lambda **values: None
        commands += getattr(command, "commands", {}).values()
    return verbs


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Checkout:
    return Checkout(root, tmp_path)


@pytest.mark.parametrize("script", [*SCRIPTS, *FRONTS])
def test_bash_can_read_the_script(root: Path, script: str) -> None:
    assert subprocess.run(["bash", "-n", str(root / script)], capture_output=True, text=True).stderr == ""


@pytest.mark.parametrize("front", FRONTS)
def test_a_dry_run_prints_a_script_and_runs_nothing(checkout: Checkout, front: str) -> None:
    done = checkout.run(checkout.root / front, "--dry-run", "--corpus-dir", checkout.corpus_dir, "--test-sets", "a b")
    assert done.returncode == 0, done.stderr
    headers = [line.split()[2] for line in done.stdout.splitlines() if re.match(r"# \d ", line)]
    assert headers == [
        "download",
        *STAGES[:3],
        "lm",
        *STAGES[3:],
    ]
    assert [word for word in STAGES if f"audioroto {word} " not in done.stdout] == []
    assert done.stdout.count("audioroto score ") == 2
    commands = [shlex.split(line.partition(" | ")[0]) for line in done.stdout.splitlines() if line[:10] == "audioroto "]
    for command in commands:
        _make_idle_verbs().main(command[1:], standalone_mode=False)  # raises where a verb has no such option
    assert f"--corpus-dir '{checkout.corpus_dir}'" in done.stdout
    assert checkout.run("-n", "-c", done.stdout).stderr == ""
    assert checkout.take_calls() == []
    assert not list((checkout.root / Path(front).parent).glob("exp"))


def test_what_is_printed_runs_when_pasted(checkout: Checkout) -> None:
    printed = checkout.run_mini("--dry-run", "--stop-stage", "score").stdout
    assert checkout.run("-euc", printed).returncode == 0
    assert checkout.take_calls() == STAGES[:-1]


def test_recipes_name_no_corpus(root: Path) -> None:
    text = "".join((root / script).read_text() for script in SCRIPTS[:3]).lower()
    assert [name for name in ("mini", "librispeech", "an4") if name in text] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--stag", "3"], "unknown option '--stag'; the options are: --download --choose-splits"),
        (["--stage"], "option '--stage' needs a value"),
        (["--stage", "--dry-run"], "option '--stage' needs a value"),
        (["--dry-run=yes"], "option '--dry-run' takes no value"),
        (["train"], "unexpected argument 'train'"),
        (["--stage", "training"], "unknown stage 'training'; the stages are: 0 download · 1 prepare"),
        (["--stage", "score", "--stop-stage", "2"], "--stage score comes after --stop-stage 2"),
        (["--corpus-dir", ""], "give --corpus-dir DIR"),
        (["--corpus-dir", "/no/such/folder"], "/no/such/folder is not a folder"),
        (["--exp-dir="], "give --exp-dir DIR"),
        (["--download", "--corpus=", "--data-dir=x"], "give --corpus NAME, what 'audioroto download' calls the corpus"),
        (["--test-sets", " "], "give --test-sets at least one name"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_runs(checkout: Checkout, options: list[str], said: str) -> None:
    done = checkout.run_mini(*options, VIRTUAL_ENV="")
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[0]
    assert done.stdout == ""
    assert checkout.take_calls() == []


def test_help_shows_the_values_of_the_front(checkout: Checkout) -> None:
    done = checkout.run(checkout.root / "egs/librispeech/asr/run.sh", "--train-set=other", "--help")
    assert done.returncode == 0
    assert "(other)" in done.stdout
    assert "(dev-clean+dev-other)" in done.stdout


def test_stages_are_chosen_by_name_or_number(checkout: Checkout) -> None:
    checkout.run_mini("--stop-stage", "tokenizer")
    assert checkout.take_calls() == STAGES[:3]
    checkout.run_mini("--stage", "5", "--stop-stage=average")
    assert checkout.take_calls() == STAGES[3:5]


def test_a_second_run_does_nothing_twice_from_any_folder(checkout: Checkout) -> None:
    first = checkout.run_mini()
    assert checkout.take_calls() == STAGES
    assert first.stdout.endswith(
        "\n# word error rates, from egs/mini/asr/exp/recognize\ntest ctc_greedy: WER 4.00 % (25 words)\n"
    )
    options = ("--corpus-dir", "../../my speech", "--config", "../../conf.toml", "--exp-dir", "../egs/mini/asr/exp")
    second = checkout.run("../egs/mini/asr/run.sh", *options, cwd=checkout.root / "recipes")
    assert checkout.take_calls() == []
    assert second.stdout.count("\n# up to date\n") == len(STAGES)
    assert "\nWORDS\n" in second.stdout
    assert second.stdout.endswith("test ctc_greedy: WER 4.00 % (25 words)\n")


def test_a_model_to_begin_from_brings_its_tokenizer(checkout: Checkout) -> None:
    printed = checkout.run_mini("--dry-run", "--init-from", "weights/first.safetensors").stdout
    (train,) = [line for line in printed.splitlines() if line.startswith("audioroto train")]
    assert re.search(r" --init-from \S*weights/first.safetensors ", train)
    assert "tokenizer.model" not in printed
    assert "audioroto tokenizer" not in printed
    named = checkout.run_mini("--dry-run", "--init-from", "english-small").stdout
    assert " --init-from english-small " in named, "the name of a model that comes with audioroto is no path"


def test_each_mode_is_scored_and_all_are_recognized_at_once(checkout: Checkout) -> None:
    done = checkout.run_mini("--modes", "ctc_greedy,ctc_beam")
    assert checkout.take_calls() == [*STAGES[:6], "score", "score", "transcribe"]
    assert "test ctc_greedy: WER 4.00 % (25 words)\ntest ctc_beam: WER 4.00 % (25 words)\n" in done.stdout
    (checkout.root / "egs/mini/asr/exp/recognize/test/ctc_beam/text").unlink()
    checkout.run_mini("--modes", "ctc_greedy ctc_beam")
    assert checkout.take_calls() == ["recognize"]


def test_with_text_an_n_gram_is_made_weighed_and_used(checkout: Checkout) -> None:
    (checkout.root.parent / "books.txt").write_text("words\n")
    done = checkout.run_mini("--lm-text", "../books.txt")
    assert checkout.take_calls() == [
        *STAGES[:3],
        "lm",
        *STAGES[3:5],
        "tune",
        "recognize",
        "score",
        "score",
        "transcribe",
    ]
    assert "--lm egs/mini/asr/exp/lm.arpa.gz --config egs/mini/asr/exp/search.toml" in done.stdout
    assert "test ctc_beam: WER" in done.stdout
    checkout.run_mini("--lm-text", "../books.txt")
    assert checkout.take_calls() == []


def test_only_what_has_changed_runs_again(checkout: Checkout) -> None:
    checkout.run_mini()
    checkout.take_calls()

    checkout.config.write_text("[train]\nseed = 2\n")
    checkout.run_mini()
    assert checkout.take_calls() == STAGES[2:]

    checkout.run_mini("--set", "train.seed=3")
    assert checkout.take_calls() == STAGES[2:]

    (checkout.corpus_dir / "table.tsv").write_text("another\n")
    checkout.run_mini("--set", "train.seed=3")
    assert checkout.take_calls() == ["prepare"], "the same data directories came out"

    (checkout.root / "egs/mini/asr/exp/model.safetensors").unlink()
    checkout.run_mini("--set", "train.seed=3")
    assert checkout.take_calls() == ["average"], "the same model came out"


def test_a_failed_stage_ends_the_run_and_is_repeated(checkout: Checkout) -> None:
    failed = checkout.run_mini(FAIL_IN="score")
    assert failed.returncode == 2
    assert checkout.take_calls() == STAGES[:7]
    assert checkout.run_mini().returncode == 0
    assert checkout.take_calls() == STAGES[6:]


def test_an_interrupted_stage_leaves_no_stamp_even_of_an_earlier_run(checkout: Checkout) -> None:
    checkout.run_mini()
    checkout.take_calls()
    command = ["env", "--default-signal=INT", "bash", str(checkout.root / "egs/mini/asr/run.sh")]
    command += ["--corpus-dir", str(checkout.corpus_dir), "--config", str(checkout.config), "--set", "train.seed=9"]
    environment = checkout.environment | {"SLEEP_IN": "train"}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, cwd=checkout.root, start_new_session=True, **pipes) as running:
        give_up = time.monotonic() + 30
        while not Path(f"{checkout.calls_file}.asleep").exists() and time.monotonic() < give_up:
            time.sleep(0.01)
        os.killpg(running.pid, signal.SIGINT)
        said = running.communicate(timeout=30)[1]
    assert running.returncode == 130
    assert "the same command goes on from here" in said
    checkout.take_calls()
    assert checkout.run_mini().returncode == 0
    assert checkout.take_calls()[:2] == ["tokenizer", "train"]


def test_data_directories_of_ones_own_need_no_corpus(checkout: Checkout) -> None:
    data_dir = checkout.corpus_dir / "data"
    (data_dir / "test").mkdir(parents=True)
    (data_dir / "test/wav.scp").write_text("a /audio/a.wav\n")
    script = checkout.root / "recipes/asr.sh"
    checkout.run(script, "--data-dir", data_dir, "--exp-dir", "exp", "--config", "conf.toml")
    assert checkout.take_calls() == STAGES[1:]
    assert (checkout.root.parent / "exp/model.safetensors").exists(), "relative to where the user stands"


def test_a_download_comes_first_and_once(checkout: Checkout) -> None:
    done = checkout.run_mini("--download", "--corpus-dir", "", "--stop-stage", "prepare")
    assert checkout.take_calls() == ["download", "prepare"]
    assert "download mini --parts train,valid,test --out data/downloaded/mini\n" in done.stdout
    checkout.run_mini("--download", "--corpus-dir", "", "--stop-stage", "prepare")
    assert checkout.take_calls() == []


def test_the_n_gram_may_be_weighed_on_a_set_of_its_own(checkout: Checkout) -> None:
    (checkout.root.parent / "books.txt").write_text("words\n")
    weighed = checkout.run_mini("--dry-run", "--tune-set", "other", "--lm-text", "../books.txt").stdout
    assert "audioroto tune --model egs/mini/asr/exp/model.safetensors --data-dir data/prepared/mini/other " in weighed
    assert "validate data/prepared/mini/train data/prepared/mini/valid data/prepared/mini/other " in weighed
    assert "other" not in checkout.run_mini("--dry-run", "--tune-set", "other").stdout, "there is nothing to weigh"


def test_the_whole_of_librispeech(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
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
    options += [
        "--lm-text",
        checkout.corpus_dir / "books.txt",
        "--run",
        "large",
        "--exp-dir",
        checkout.root / "exp_large",
    ]
    done = checkout.run(checkout.root / "egs/librispeech/asr/run.sh", *options)
    assert done.returncode == 0, done.stderr
    commands = [shlex.split(line.partition(" | ")[0]) for line in done.stdout.splitlines()]
    commands = [command for command in commands if command and command[0] in ("audioroto", "torchrun")]
    verbs = ["download", "prepare", "validate", "tokenizer", "lm", "train", "average", "tune"]
    verbs += ["recognize"] * 2 + ["score"] * 4 + ["record", "results", "transcribe"]
    called = [command[command.index("audioroto") + 1 :] for command in commands]
    assert [command[0] for command in called] == verbs
    for command in called:
        _make_idle_verbs().main(list(command), standalone_mode=False)

    monkeypatch.chdir(checkout.root)
    for command in called[:3]:
        assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0
    data_dir = checkout.root / "data/prepared/librispeech"
    sets = {train: 3, valid: 2, "test-clean": 1, "test-other": 1}
    assert {path.name: len(read_datadir(path)) for path in data_dir.iterdir()} == sets


@pytest.mark.parametrize(("seven_speakers", "valid"), [(True, "train-clean-7spk"), (False, "dev-clean-2")])
def test_mini_librispeech_chooses_on_speakers_that_it_has(checkout: Checkout, seven_speakers: bool, valid: str) -> None:
    speech = checkout.corpus_dir / "LibriSpeech"
    (speech / ("train-clean-7spk" if seven_speakers else "train-clean-5")).mkdir(parents=True)
    front = checkout.root / "egs/mini_librispeech/asr/run.sh"
    printed = checkout.run(front, "--dry-run", AUDIOROTO_SPEECH=str(checkout.corpus_dir)).stdout
    assert f"prepare librispeech train-clean-5 {valid} test-clean --corpus-dir '{speech}'" in printed
    assert f"--valid-dir data/prepared/mini_librispeech/{valid}" in printed


def test_an_active_environment_with_audioroto_is_used(checkout: Checkout) -> None:
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        done = checkout.source_path(**{"VIRTUAL_ENV": "", name: str(checkout.active)})
        assert done.stdout == f"{checkout.active}/bin/python\n"
    assert checkout.take_calls() == []
    assert not (checkout.root / ".venv").exists()


def test_an_active_environment_without_what_is_asked_for_is_passed_over(checkout: Checkout) -> None:
    done = checkout.source_path(AUDIOROTO_EXTRAS="dev")
    assert done.stdout == f"{checkout.root}/.venv/bin/python\n"
    assert "pytest" in done.stderr
    assert checkout.take_calls() == ["venv by python3.13", "pip .[dev]"]
    checkout.source_path(VIRTUAL_ENV="")
    assert checkout.take_calls() == [], "dev holds all that a run without it needs"


def test_an_environment_is_made_once_and_mended(checkout: Checkout) -> None:
    interrupted = checkout.source_path(VIRTUAL_ENV="", MISSING="python3.13", PIP_FAILS="1")
    assert interrupted.returncode == 1
    assert "the same command goes on with it" in interrupted.stderr
    assert checkout.take_calls() == ["venv by python3.12", "pip ."]
    assert [checkout.source_path(VIRTUAL_ENV="").returncode for _ in range(2)] == [0, 0]
    assert checkout.take_calls() == ["pip ."]
    (checkout.root / "pyproject.toml").write_text("# another dependency\n")
    checkout.source_path(VIRTUAL_ENV=str(checkout.root / ".venv"))
    assert checkout.take_calls() == ["pip ."]
    checkout.source_path(VIRTUAL_ENV="", AUDIOROTO_EXTRAS="dev")
    assert checkout.take_calls() == ["pip .[dev]"]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"PYTHON3": "3.9"}, "audioroto needs Python 3.11 or newer, and none is on PATH (python3 is 3.9)"),
        ({"PYTHON3": ""}, "audioroto needs Python 3.11 or newer, and none is on PATH."),
        ({"PYTHON3": "3.12", "NO_VENV": "1"}, "On Debian or Ubuntu: apt install python3.12-venv"),
    ],
)
def test_a_fit_python_is_asked_for(checkout: Checkout, environment: dict[str, str], said: str) -> None:
    missing = "python3.13 python3.12 python3.11"
    done = checkout.run_mini(**{"VIRTUAL_ENV": "", "MISSING": missing} | environment)
    assert done.returncode == 2
    assert said in done.stderr
    assert checkout.take_calls() == []


@pytest.mark.skipif(shutil.which("flock") is None, reason="without flock, two first runs must not be started at once")
def test_two_first_runs_at_once_fill_it_once(checkout: Checkout) -> None:
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(checkout.source_path, VIRTUAL_ENV="", PIP_SECONDS="0.5") for _ in range(2)]
    assert [run.result().returncode for run in runs] == [0, 0]
    assert checkout.take_calls() == ["venv by python3.13", "pip ."]


def test_the_check_stops_at_the_first_failure(checkout: Checkout) -> None:
    installed = "import audioroto, hypothesis, mypy, pytest, ruff"
    script = checkout.root / "tests/run.sh"
    assert checkout.run(script, "-k", "x y", INSTALLED=installed).returncode == 0
    assert [call.split()[1] for call in checkout.take_calls()] == ["ruff", "ruff", "mypy", "pytest"]
    failed = checkout.run(script, INSTALLED=installed, FAIL_IN="mypy")
    assert failed.returncode == 1
    assert failed.stderr == "\ntests/run.sh: failed at: python -m mypy audioroto\n"
    assert [call.split()[1] for call in checkout.take_calls()] == ["ruff", "ruff", "mypy"]


def test_ci_finds_the_recordings_beside_the_checkout(checkout: Checkout) -> None:
    (checkout.root / "tests/run.sh").write_text('echo "$AUDIOROTO_SPEECH" "${AUDIOROTO_NOISE:-none}" "$@"\n')
    shared = checkout.root.parent / "shared"
    (shared / "speech").mkdir(parents=True)
    done = checkout.run(checkout.root / ".ci/run", "-x", cwd=Path("/"))
    assert done.stdout == f"{shared}/speech none -x\n"
