import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from audioroto.config import Config, save_config
from audioroto.corpus.datadir import read_datadir, write_datadir
from audioroto.errors import UserError
from audioroto.model.asr import count_parameters
from audioroto.model.checkpoint import load_checkpoint
from audioroto.train.metrics import read_metrics
from audioroto.train.trainer import Trainer, train


def change(config: Config, **train_settings: object) -> Config:
    return config.model_copy(update={"train": config.train.model_copy(update=train_settings)})


def run(config: Config, tone_corpus: Path, trained: Path, exp_dir: Path, **options: bool) -> None:
    with open(os.devnull, "w") as nowhere:
        console = Console(file=nowhere)
        train(
            config,
            tone_corpus / "train",
            tone_corpus / "valid",
            trained / "tokenizer.model",
            exp_dir,
            console=console,
            **options,
        )


def test_it_learns_the_language_of_tones(trained):
    metrics = read_metrics(trained / "metrics.jsonl")
    losses = [line["train_loss"] for line in metrics if "train_loss" in line]
    wers = [line["valid_wer"] for line in metrics if "valid_wer" in line]
    assert losses[-1] < 0.3 * losses[0]
    assert wers[-1] < 20
    assert (trained / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_decoder_learns_beside_ctc(tiny_config, tone_corpus, trained, tmp_path):
    decoder = tiny_config.decoder.model_copy(update={"num_blocks": 1, "num_heads": 2, "feedforward_width": 64})
    config = change(tiny_config.model_copy(update={"decoder": decoder}), max_updates=80)
    run(config, tone_corpus, trained, tmp_path)
    metrics = read_metrics(tmp_path / "metrics.jsonl")
    for name in ("train_loss", "train_ctc_loss", "train_attention_loss", "valid_ctc_loss", "valid_attention_loss"):
        losses = [line[name] for line in metrics if name in line]
        assert losses[-1] < 0.95 * losses[0], name
    assert not any("attention" in key for line in read_metrics(trained / "metrics.jsonl") for key in line)


def test_the_best_checkpoints_are_kept_and_say_where_they_come_from(trained):
    kept = sorted((trained / "checkpoints").iterdir())
    assert len(kept) == 2
    checkpoint = load_checkpoint(kept[-1])
    assert checkpoint.notes["train"]["utterances"] == 48
    assert checkpoint.notes["parameters"] == count_parameters(checkpoint.build())


def test_a_finished_run_has_nothing_left_to_do(trained, tone_corpus, tiny_config):
    before = (trained / "resume.safetensors").stat().st_mtime_ns
    run(tiny_config, tone_corpus, trained, trained)
    assert (trained / "resume.safetensors").stat().st_mtime_ns == before


def test_resumed_equals_uninterrupted(tiny_config, tone_corpus, trained, tmp_path):
    config = change(tiny_config, max_updates=14, valid_every_updates=7)
    run(config, tone_corpus, trained, tmp_path / "whole")
    with open(os.devnull, "w") as nowhere:
        paths = (tone_corpus / "train", tone_corpus / "valid", trained / "tokenizer.model", tmp_path / "parts")
        trainer = Trainer(config, *paths, device="cpu", console=Console(file=nowhere))
        trainer.resume(restart=False)
        for batch in trainer._iter_batches():
            trainer.update(batch)
            if trainer.progress.update == 5:  # in mid-epoch, between validations
                break
        trainer.save()
    run(config, tone_corpus, trained, tmp_path / "parts")
    whole, parts = (load_file(tmp_path / name / "resume.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_other_settings_are_refused_unless_restarted(tiny_config, tone_corpus, trained, tmp_path):
    config = change(tiny_config, max_updates=2, valid_every_updates=2)
    run(config, tone_corpus, trained, tmp_path)
    other = change(config, batch_seconds=4.0)
    with pytest.raises(UserError, match=r"train\.batch_seconds was 8\.0, is 4\.0"):
        run(other, tone_corpus, trained, tmp_path)
    run(other, tone_corpus, trained, tmp_path, restart=True)


def test_other_training_data_is_refused(tiny_config, tone_corpus, trained, tmp_path):
    config = change(tiny_config, max_updates=2, valid_every_updates=2)
    run(config, tone_corpus, trained, tmp_path / "exp")
    write_datadir(tmp_path / "train", read_datadir(tone_corpus / "train")[1:])
    (tmp_path / "valid").symlink_to(tone_corpus / "valid")
    with pytest.raises(UserError, match="other training data"):
        run(config, tmp_path, trained, tmp_path / "exp")


def test_a_truncated_state_is_named(tiny_config, tone_corpus, trained, tmp_path):
    config = change(tiny_config, max_updates=2, valid_every_updates=2)
    run(config, tone_corpus, trained, tmp_path)
    state = tmp_path / "resume.safetensors"
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"resume\.safetensors is damaged"):
        run(config, tone_corpus, trained, tmp_path)


def test_losses_that_are_not_finite_are_skipped_then_refused(tiny_config, tone_corpus, trained, tmp_path):
    with open(os.devnull, "w") as nowhere:
        paths = (tone_corpus / "train", tone_corpus / "valid", trained / "tokenizer.model", tmp_path)
        trainer = Trainer(tiny_config, *paths, device="cpu", console=Console(file=nowhere))
        trainer.resume(restart=False)
        batch = next(trainer._iter_batches())
        batch.waveforms[0, :4000] = float("nan")
        before = trainer.model.state_dict()["ctc.project.weight"].clone()
        for _ in range(9):
            trainer.update(batch)
        assert torch.equal(trainer.model.state_dict()["ctc.project.weight"], before)
        with pytest.raises(UserError, match=batch.ids[0]):
            trainer.update(batch)


def test_interrupted_it_saves_and_says_how_to_go_on(tiny_config, tone_corpus, trained, tmp_path):
    save_config(change(tiny_config, max_updates=100_000, valid_every_updates=50_000), tmp_path / "config.toml")
    command = [sys.executable, "-m", "audioroto", "train"]
    for option, value in {
        "--train-dir": tone_corpus / "train",
        "--valid-dir": tone_corpus / "valid",
        "--tokenizer": trained / "tokenizer.model",
        "--exp-dir": tmp_path / "exp",
        "--config": tmp_path / "config.toml",
    }.items():
        command += [option, str(value)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "exp" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not read_metrics(metrics):
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on from there" in errors
    assert "Traceback" not in errors
    assert (tmp_path / "exp" / "resume.safetensors").exists()
