import os
import subprocess
import sys

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from audioroto.config import Train, save_config
from audioroto.errors import UserError
from audioroto.train.distributed import ALONE, Processes
from audioroto.train.metrics import read_metrics
from audioroto.train.trainer import train


@pytest.fixture
def config(tiny_config, tmp_path):
    """Six updates of up to four parts, with all that could tell how they are shared out.

    Dropout, layer drop and every augmentation, a decoder, all losses, text that nobody has spoken, a running average,
    and a base that moves.
    """
    text = tmp_path / "book.txt"
    text.write_text("LOW MID LOW\nHIGH HIGH\nMID HIGH LOW LOW\nLOW\n")
    return tiny_config.model_copy(
        update={
            "train": tiny_config.train.model_copy(
                update={
                    "max_updates": 6,
                    "batch_seconds": 4.0,
                    "micro_batch_seconds": 1.0,
                    "valid_every_updates": 3,
                    "log_every_updates": 1,
                    "average_decay": 0.9,
                    "learning_rate": 5e-3,
                }
            ),
            "augment": tiny_config.augment.model_copy(
                update={"reverberation_share": 0.5, "noise_share": 0.5, "nonspeech_share": 0.2}
            ),
            "encoder": tiny_config.encoder.model_copy(update={"layer_drop": 0.3}),
            "loss": tiny_config.loss.model_copy(update={"consistency_weight": 0.2, "intermediate_weight": 0.3}),
            "unspoken": tiny_config.unspoken.model_copy(update={"text": str(text), "weight": 0.5}),
            "decoder": tiny_config.decoder.model_copy(
                update={"num_blocks": 1, "num_heads": 2, "feedforward_width": 32}
            ),
            "position": tiny_config.position.model_copy(
                update={"mode": "loss", "probe_every_updates": 2, "probe_threshold": 0.0}
            ),
        }
    )


def run_processes(count, config, tone_corpus, trained, exp_dir, *options):
    """What training in `count` processes on this machine left and said."""
    save_config(config, exp_dir.with_suffix(".toml"))
    command = [sys.executable, "-m", "audioroto", "train", "--num-processes", str(count)]
    for option, value in {
        "--train-dir": tone_corpus / "train",
        "--valid-dir": tone_corpus / "valid",
        "--tokenizer": trained / "tokenizer.model",
        "--exp-dir": exp_dir,
        "--config": exp_dir.with_suffix(".toml"),
        "--device": "cpu",
    }.items():
        command += [option, str(value)]
    command += options
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)


@pytest.mark.parametrize(
    ("optimizer", "max_updates", "tolerance"),
    [("adamw", 6, 1e-4), ("muon", 3, 2e-4)],  # Muon computes in bfloat16: a gradient's last bit may show in its step
)
def test_the_number_of_processes_does_not_change_the_recipe(
    config, optimizer, max_updates, tolerance, tone_corpus, trained, tmp_path
):
    settings = config.train.model_copy(update={"optimizer": optimizer, "max_updates": max_updates})
    config = config.model_copy(update={"train": settings})
    paths = (tone_corpus / "train", tone_corpus / "valid", trained / "tokenizer.model")
    train(config, *paths, tmp_path / "one", console=Console(quiet=True))
    done = run_processes(2, config, tone_corpus, trained, tmp_path / "two", "--diagnostics")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("checkpoints in") == 1
    assert done.stderr.count("trained on") == 1
    one, two = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("one", "two"))
    assert [line["update"] for line in one] == [1, 2, 3, 3, 4, 5, 6, 6][: 4 * max_updates // 3]
    for alone, shared in zip(one, two, strict=True):
        assert alone.keys() == shared.keys()
        for name in alone.keys() - {"wall_seconds"}:
            assert shared[name] == pytest.approx(alone[name], rel=1e-4, abs=1e-5), (alone["update"], name)
    for name in ("train_consistency_loss", "train_unspoken_loss"):
        assert all(line[name] > 0 for line in one if "train_loss" in line), name
    diagnostics = read_metrics(tmp_path / "two" / "diagnostics.jsonl")
    assert [line["update"] for line in diagnostics] == list(range(1, max_updates + 1))  # those of the first process
    assert len({line["rotary_base"] for line in one if "rotary_base" in line}) > 1  # it has moved
    weights, others = (load_file(tmp_path / name / "resume.safetensors") for name in ("one", "two"))
    assert weights.keys() == others.keys()
    assert "average.ctc.project.weight" in weights
    for name, tensor in weights.items():
        torch.testing.assert_close(others[name], tensor, rtol=1e-3, atol=tolerance, msg=name)


def test_one_that_fails_ends_all_with_one_line(config, tone_corpus, trained, tmp_path):
    (tmp_path / "valid").mkdir()
    done = run_processes(2, config, tmp_path, trained, tmp_path / "exp")
    assert done.returncode == 2
    assert done.stderr.startswith("audioroto: ")
    assert done.stderr.count("\n") == 1
    assert "is no data directory" in done.stderr


def test_processes_that_would_have_nothing_to_do_are_refused():
    with pytest.raises(UserError, match=r"--set train\.micro_batch_seconds=20 or less"):
        Processes(0, 3).refuse_too_many(Train(batch_seconds=60.0))
    with pytest.raises(UserError, match="too few"):
        Processes(0, 3).refuse_too_many(Train(batch_seconds=60.0, micro_batch_seconds=30.0))
    Processes(0, 3).refuse_too_many(Train(batch_seconds=0.3, micro_batch_seconds=0.1))
    ALONE.refuse_too_many(Train())


def test_alone_nothing_is_changed():
    parameter = torch.nn.Parameter(torch.ones(2))
    ALONE.sum_gradients([parameter])
    assert parameter.grad is None
    assert ALONE.sum([1.5]) == [1.5]
    assert ALONE.gather("a") == ["a"]
    assert ALONE.any(True)
    assert not ALONE.any(False)
