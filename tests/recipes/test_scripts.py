"""The scripts themselves, the one check and what CI runs."""

import subprocess
from pathlib import Path

import pytest

SCRIPTS = ["recipes/asr.sh", "recipes/step.sh", "recipes/path.sh", "recipes/slurm.sh", "tests/run.sh", ".ci/run"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_bash_can_read_the_script(root, script):
    assert subprocess.run(["bash", "-n", str(root / script)], capture_output=True, text=True).stderr == ""


def test_recipes_name_no_corpus(root):
    text = "".join((root / script).read_text() for script in SCRIPTS[:3]).lower()
    assert [name for name in ("mini", "librispeech", "an4") if name in text] == []


def test_the_check_stops_at_the_first_failure(checkout):
    installed = "import audioroto, hypothesis, mypy, pytest, ruff, xdist"
    script = checkout.root / "tests/run.sh"
    assert checkout.run(script, "-k", "x y", INSTALLED=installed).returncode == 0
    assert [call.split()[1] for call in checkout.take_calls()] == ["ruff", "ruff", "mypy", "pytest"]
    failed = checkout.run(script, INSTALLED=installed, FAIL_IN="mypy")
    assert failed.returncode == 1
    assert failed.stderr == "\ntests/run.sh: failed at: python -m mypy audioroto\n"
    assert [call.split()[1] for call in checkout.take_calls()] == ["ruff", "ruff", "mypy"]


def test_ci_finds_the_recordings_beside_the_checkout(checkout):
    (checkout.root / "tests/run.sh").write_text('echo "$AUDIOROTO_SPEECH" "${AUDIOROTO_NOISE:-none}" "$@"\n')
    shared = checkout.root.parent / "shared"
    (shared / "speech").mkdir(parents=True)
    done = checkout.run(checkout.root / ".ci/run", "-x", cwd=Path("/"))
    assert done.stdout == f"{shared}/speech none -x\n"
