import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer import Exit

from audioroto.cli.launch import count_cores, share_work
from audioroto.config import save_config
from audioroto.errors import UserError


@pytest.fixture
def training(tiny_config, tone_corpus, trained, tmp_path):
    """Two processes that train without end, once they have done an update."""
    long = tiny_config.train.model_copy(
        update={"max_updates": 100_000, "batch_seconds": 4.0, "micro_batch_seconds": 2.0, "log_every_updates": 1}
    )
    save_config(tiny_config.model_copy(update={"train": long}), tmp_path / "config.toml")
    command = [sys.executable, "-m", "audioroto", "train", "--num-processes", "2", "--device", "cpu"]
    command += ["--train-dir", tone_corpus / "train", "--valid-dir", tone_corpus / "valid"]
    command += ["--tokenizer", trained / "tokenizer.model", "--config", tmp_path / "config.toml"]
    command += ["--exp-dir", tmp_path / "exp"]
    running = subprocess.Popen(
        [*map(str, command)], stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    try:
        deadline = time.monotonic() + 120
        metrics = tmp_path / "exp" / "metrics.jsonl"  # empty until the first update, in which all have a part
        while not (metrics.exists() and metrics.stat().st_size):
            assert running.poll() is None, running.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield running
    finally:
        if running.poll() is None:  # a test has failed; its processes would train on
            running.terminate()
            running.communicate(timeout=60)


def test_an_interrupt_saves_and_ends_all_with_one_line(training, tmp_path):
    training.send_signal(signal.SIGINT)
    said = training.communicate(timeout=120)[1]
    assert training.returncode == 130, said
    assert said.count("stopped at update") == 1
    assert "Traceback" not in said
    assert "death signal" not in said
    assert (tmp_path / "exp" / "resume.safetensors").exists()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks Linux for the processes")
def test_a_process_that_is_killed_is_named(training):
    # Note: the other one may find that it is gone before it is ended itself.
    children = Path(f"/proc/{training.pid}/task/{training.pid}/children").read_text().split()
    assert len(children) == 2
    os.kill(int(children[1]), signal.SIGKILL)
    said = training.communicate(timeout=120)[1]
    assert training.returncode == 2, said
    ours = [line for line in said.splitlines() if line.startswith("audioroto: ")]
    assert "was ended by SIGKILL" in ours[-1]
    assert all("another process of this training is gone" in line for line in ours[:-1])
    assert "Traceback" not in said


def test_what_torchrun_has_started_is_not_started_again(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a")
    monkeypatch.setenv("WORLD_SIZE", "8")
    share_work(1)
    share_work(8)
    with pytest.raises(UserError, match="torchrun has started 8 processes; leave out --num-processes 2"):
        share_work(2)


def test_each_process_has_its_share_of_the_cores(monkeypatch, tmp_path):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    (tmp_path / "audioroto.py").write_text(
        "import os, pathlib\n"
        "out = pathlib.Path(os.environ['OUT']) / os.environ['RANK']\n"
        "out.write_text(os.environ['OMP_NUM_THREADS'] + ' of ' + os.environ['WORLD_SIZE'])\n"
    )
    for name, value in {"OUT": tmp_path, "PYTHONPATH": tmp_path, "PYTHONSAFEPATH": "1"}.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(Exit) as end:
        share_work(2)
    assert end.value.exit_code == 0
    threads = max(1, count_cores() // 2)
    assert [(tmp_path / rank).read_text() for rank in "01"] == [f"{threads} of 2"] * 2
