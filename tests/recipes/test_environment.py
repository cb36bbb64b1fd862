"""The environment that recipes/path.sh finds or makes."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest


def test_an_active_environment_with_audioroto_is_used(checkout):
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        done = checkout.source_path(**{"VIRTUAL_ENV": "", name: str(checkout.active)})
        assert done.stdout == f"{checkout.active}/bin/python\n"
    assert checkout.take_calls() == []
    assert not (checkout.root / ".venv").exists()


def test_an_active_environment_without_what_is_asked_for_is_passed_over(checkout):
    done = checkout.source_path(AUDIOROTO_EXTRAS="dev")
    assert done.stdout == f"{checkout.root}/.venv/bin/python\n"
    assert "pytest" in done.stderr
    assert checkout.take_calls() == ["venv by python3.13", "pip .[dev]"]
    checkout.source_path(VIRTUAL_ENV="")
    assert checkout.take_calls() == [], "dev holds all that a run without it needs"


def test_an_environment_is_made_once_and_mended(checkout):
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
def test_a_fit_python_is_asked_for(checkout, environment, said):
    missing = "python3.13 python3.12 python3.11"
    done = checkout.run_mini(**{"VIRTUAL_ENV": "", "MISSING": missing} | environment)
    assert done.returncode == 2
    assert said in done.stderr
    assert checkout.take_calls() == []


@pytest.mark.skipif(shutil.which("flock") is None, reason="without flock, two first runs must not be started at once")
def test_two_first_runs_at_once_fill_it_once(checkout):
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(checkout.source_path, VIRTUAL_ENV="", PIP_SECONDS="0.5") for _ in range(2)]
    assert [run.result().returncode for run in runs] == [0, 0]
    assert checkout.take_calls() == ["venv by python3.13", "pip ."]
