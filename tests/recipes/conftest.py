"""The shell side, with stand-ins for `audioroto` and for Python: no network, nothing installed, nothing trained."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]

NOT_CODE = ("exp*", "ablation", "results")  # what runs leave in egs/: gigabytes, where there are many

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
if [[ ${SLEEP_IN:-} == "$verb" ]]; then : >"$CALLS.asleep"; exec sleep 60; fi
if [[ ${FAIL_IN:-} == "$verb" ]]; then exit 2; fi
if [[ ${CLEAR_IN:-} == "$verb" ]]; then : >"$CLEARED"; fi
case $verb in
    prepare)
        mkdir -p "$out_dir"/{train,valid,test}
        for table in "$out_dir"/{train,valid,test}/{wav.scp,text}; do echo 'a /audio/a b.wav' >"$table"; done
        ;;
    download) mkdir -p "$out"/{train,valid,test} ;;
    tokenizer | lm | tune) mkdir -p "${out%/*}" && printf 'pieces\n' >"$out" ;;
    train) printf '%s\n' "$configuration" >"$exp_dir/metrics.jsonl" ;;
    train-lm) mkdir -p "$exp_dir" && printf 'expects words\n' >"$exp_dir/lm.safetensors" ;;
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
        self.stages = ["prepare", "validate", "tokenizer", "train", "average", "recognize", "score", "transcribe"]
        for part in ("recipes", "egs", ".ci"):
            shutil.copytree(root / part, self.root / part, ignore=shutil.ignore_patterns(*NOT_CODE))
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


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Checkout:
    return Checkout(root, tmp_path)
