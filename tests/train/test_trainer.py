import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load, load_file

from audioroto.config import Config, save_config
from audioroto.corpus.datadir import read_datadir, write_datadir
from audioroto.errors import UserError
from audioroto.files import one_at_a_time, sha256_of
from audioroto.model.asr import count_parameters
from audioroto.model.checkpoint import load_checkpoint
from audioroto.train.average import average_checkpoints
from audioroto.train.metrics import read_metrics
from audioroto.train.trainer import Trainer, train


def change(config: Config, **train_settings: object) -> Config:
    return config.model_copy(update={"train": config.train.model_copy(update=train_settings)})


def run(config: Config, tone_corpus: Path, trained: Path, exp_dir: Path, **options: object) -> None:
    with open(os.devnull, "w") as nowhere:
        console = Console(file=nowhere)
        train(
            config,
            tone_corpus / "train",
            tone_corpus / "valid",
            options.pop("tokenizer_path", trained / "tokenizer.model"),
            exp_dir,
            console=console,
            **options,
        )


def begin(config: Config, tone_corpus: Path, trained: Path, exp_dir: Path) -> Trainer:
    paths = (tone_corpus / "train", tone_corpus / "valid", trained / "tokenizer.model", exp_dir)
    trainer = Trainer(config, *paths, device="cpu", console=Console(quiet=True))
    trainer.resume(restart=False)
    return trainer


def run_until(update: int, config: Config, tone_corpus: Path, trained: Path, exp_dir: Path) -> None:
    """Run from the start, and save and leave after `update`: in mid-epoch, between validations."""
    trainer = begin(config, tone_corpus, trained, exp_dir)
    for plans, batches in trainer.iter_updates():
        trainer.update(plans, batches)
        if trainer.progress.update == update:
            break
    trainer.save()


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
    for name in ("train_loss", "train_ctc_loss", "train_attention_loss"):
        losses = [line[name] for line in metrics if name in line]
        assert losses[-1] < 0.8 * losses[0], name
    for name in ("valid_ctc_loss", "valid_attention_loss"):
        middle, end = [line[name] for line in metrics if name in line]
        assert end < middle, name
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
    run_until(5, config, tone_corpus, trained, tmp_path / "parts")
    run(config, tone_corpus, trained, tmp_path / "parts")
    whole, parts = (load_file(tmp_path / name / "resume.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_the_running_average_is_what_is_validated_kept_and_resumed(tiny_config, tone_corpus, trained, tmp_path):
    config = change(tiny_config, max_updates=9, valid_every_updates=3, average_decay=0.9, micro_batch_seconds=3.0)
    run(config, tone_corpus, trained, tmp_path / "whole")
    run_until(5, config, tone_corpus, trained, tmp_path / "parts")
    run(config, tone_corpus, trained, tmp_path / "parts")
    whole, parts = (load_file(tmp_path / name / "resume.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    kept = load_checkpoint(tmp_path / "whole" / "checkpoints" / "update-0000009.safetensors").weights
    averages = {name: tensor for name, tensor in whole.items() if name.startswith("average.")}
    assert len(averages) == len(kept)
    assert all(torch.equal(tensor, kept[name.removeprefix("average.")]) for name, tensor in averages.items())
    assert not torch.equal(whole["model.ctc.project.weight"], whole["average.ctc.project.weight"])

    # The run itself goes the way that it would go without.
    run(change(config, average_decay=0.0), tone_corpus, trained, tmp_path / "plain")
    plain = load_file(tmp_path / "plain" / "resume.safetensors")
    assert plain.keys() == whole.keys() - averages.keys()
    assert all(torch.equal(tensor, whole[name]) for name, tensor in plain.items())


def test_all_components_and_switches_for_little_data_go_on_where_they_stopped(
    tiny_config, tone_corpus, trained, tmp_path
):
    changes = {
        "position": {"mode": "loss", "probe_every_updates": 2, "probe_threshold": 0.0},
        "rotation": {"planes": "butterfly", "orthogonal": "cayley"},
        "loss": {"consistency_weight": 0.2, "intermediate_weight": 0.3},
        "encoder": {"layer_drop": 0.4, "qk_norm": True, "bias": "dynamic", "local_heads": 1, "pooled_share": 0.5},
        "augment": {"nonspeech_share": 0.3},
        "decoder": {"num_blocks": 1, "num_heads": 2},
        "unspoken": {"text": str(tone_corpus / "valid")},
    }
    sections = {name: getattr(tiny_config, name).model_copy(update=update) for name, update in changes.items()}
    settings = {"max_updates": 8, "valid_every_updates": 4, "log_every_updates": 1, "micro_batch_seconds": 3.0}
    config = change(tiny_config.model_copy(update=sections), **settings)
    run(config, tone_corpus, trained, tmp_path / "whole")
    run_until(3, config, tone_corpus, trained, tmp_path / "parts")
    run(config, tone_corpus, trained, tmp_path / "parts")
    whole, parts = (load_file(tmp_path / name / "resume.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    lines = [line for line in read_metrics(tmp_path / "parts" / "metrics.jsonl") if "train_loss" in line]
    assert len(lines) == 8
    names = ("train_consistency_loss", "train_intermediate_loss", "train_unspoken_loss")
    assert all(line[name] > 0 for line in lines for name in names)


def test_other_settings_are_refused_unless_restarted(tiny_config, tone_corpus, trained, tmp_path):
    config = change(tiny_config, max_updates=2, valid_every_updates=2)
    run(config, tone_corpus, trained, tmp_path)
    other = change(config, batch_seconds=4.0)
    with pytest.raises(UserError, match=r"train\.batch_seconds was 8\.0, is 4\.0"):
        run(other, tone_corpus, trained, tmp_path)
    run(other, tone_corpus, trained, tmp_path, restart=True)


def test_a_restarted_run_keeps_nothing_of_the_one_before(tiny_config, tone_corpus, trained, tmp_path):
    run(change(tiny_config, max_updates=4, valid_every_updates=2), tone_corpus, trained, tmp_path)
    run(change(tiny_config, max_updates=3, valid_every_updates=3), tone_corpus, trained, tmp_path, restart=True)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["update-0000003.safetensors"]


def test_a_second_training_in_the_folder_is_refused(tiny_config, tone_corpus, trained, tmp_path):
    with one_at_a_time(tmp_path, "training in"), pytest.raises(UserError, match=r"another training in .* is under way"):
        run(tiny_config, tone_corpus, trained, tmp_path, restart=True)
    assert list(tmp_path.iterdir()) == []


def test_bad_updates_are_counted_over_an_interruption(trainer, tiny_config, tone_corpus, trained, tmp_path):
    plans, (batch,) = next(trainer.iter_updates())
    batch.waveforms[0, :4000] = float("nan")
    for _ in range(9):
        trainer.update(plans, [batch])
    trainer.save()
    resumed = begin(tiny_config, tone_corpus, trained, tmp_path)
    with pytest.raises(UserError, match="10 updates in a row"):
        resumed.update(plans, [batch])


def test_other_training_data_is_refused(tiny_config, tone_corpus, trained, tmp_path):
    config = change(tiny_config, max_updates=2, valid_every_updates=2)
    run(config, tone_corpus, trained, tmp_path / "exp")
    write_datadir(tmp_path / "train", read_datadir(tone_corpus / "train")[1:])
    (tmp_path / "valid").symlink_to(tone_corpus / "valid")
    with pytest.raises(UserError, match="other training data"):
        run(config, tmp_path, trained, tmp_path / "exp")


@pytest.fixture
def trainer(tiny_config, tone_corpus, trained, tmp_path):
    """A run at its first update."""
    return begin(tiny_config, tone_corpus, trained, tmp_path)


def test_losses_that_are_not_finite_are_skipped_and_kept_then_refused(trainer, tmp_path, caplog):
    plans, (batch,) = next(trainer.iter_updates())
    batch.waveforms[0, :4000] = float("nan")
    before = trainer.model.state_dict()["ctc.project.weight"].clone()
    for _ in range(9):
        trainer.update(plans, [batch])
    assert torch.equal(trainer.model.state_dict()["ctc.project.weight"], before)
    with pytest.raises(UserError, match=batch.ids[0]):
        trainer.update(plans, [batch])
    assert "first in the output of fbank" in caplog.text
    saved = sorted((tmp_path / "bad_batches").iterdir())
    assert len(saved) == 10
    assert torch.equal(load_file(saved[0])["tokens"], batch.tokens)


def test_of_many_parts_the_one_to_blame_is_kept_and_computed_again(tiny_config, tone_corpus, trained, tmp_path, caplog):
    trainer = begin(change(tiny_config, micro_batch_seconds=2.0), tone_corpus, trained, tmp_path)
    plans, batches = next(trainer.iter_updates())
    assert len(batches) > 2
    batches[1].waveforms[0, :4000] = float("nan")
    trainer.update(plans, batches)
    assert [path.name for path in (tmp_path / "bad_batches").iterdir()] == ["update-0000001-1.safetensors"]
    assert caplog.text.count("first in the output of fbank") == 1
    assert batches[1].ids[0] in caplog.text
    assert batches[0].ids[0] not in caplog.text


def test_the_trial_of_the_worst_batch_leaves_no_trace(trainer):
    trainer.update(*next(trainer.iter_updates()))  # so that the optimizer has moments
    weights = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    moments = [value.clone() for state in trainer.optimizer.state.values() for value in state.values()]
    random = torch.get_rng_state()
    trainer.try_worst_batch()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in trainer.model.state_dict().items())
    others = [value for state in trainer.optimizer.state.values() for value in state.values()]
    assert all(map(torch.equal, moments, others))
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


def test_a_run_that_will_not_fit_ends_before_it_begins(trainer, monkeypatch):
    def fill(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")

    monkeypatch.setattr(trainer.model, "loss", fill)
    with pytest.raises(UserError, match=r"out of memory .* --set train\.micro_batch_seconds=4"):
        trainer.run()
    assert trainer.progress.update == 0


def test_a_dry_run_leaves_nothing_behind(tiny_config, tone_corpus, trained, tmp_path, capsys):
    before = {path: path.read_bytes() for path in tone_corpus.rglob("*") if path.is_file()}
    train(
        tiny_config,
        tone_corpus / "train",
        tone_corpus / "valid",
        trained / "tokenizer.model",
        tmp_path / "exp",
        dry_run=True,
        console=Console(width=200),
    )
    shown = capsys.readouterr().out
    assert "dry run: " in shown
    assert "s until the first update" in shown
    assert not (tmp_path / "exp").exists()
    assert {path: path.read_bytes() for path in tone_corpus.rglob("*") if path.is_file()} == before


def test_training_goes_on_from_a_model(tiny_config, tone_corpus, trained, tmp_path):
    model = trained / "model.safetensors"
    # So small a rate that what validates well is what was taken over.
    config = change(tiny_config, max_updates=2, valid_every_updates=2, learning_rate=1e-9)
    run(config, tone_corpus, trained, tmp_path / "a", init_from=model, tokenizer_path=None)
    first = load_checkpoint(next((tmp_path / "a" / "checkpoints").iterdir()))
    link = {"model": "model.safetensors", "sha256": sha256_of(model), "step": load_checkpoint(model).step}
    assert first.notes["init_from"] == [link]
    assert first.notes["valid_wer"] < 20
    average = average_checkpoints(tmp_path / "a", tmp_path / "a.safetensors")
    assert average.notes["init_from"] == [link]
    run(config, tone_corpus, trained, tmp_path / "b", init_from=tmp_path / "a.safetensors")
    second = load_checkpoint(next((tmp_path / "b" / "checkpoints").iterdir()))
    assert [entry["model"] for entry in second.notes["init_from"]] == ["model.safetensors", "a.safetensors"]

    # A run that goes on keeps its chain, and takes no other origin.
    run(config, tone_corpus, trained, tmp_path / "a", init_from=model)
    with pytest.raises(UserError, match=r"began from model\.safetensors, not from .*a\.safetensors"):
        run(config, tone_corpus, trained, tmp_path / "a", init_from=tmp_path / "a.safetensors")


def test_a_damaged_state_gives_way_to_the_one_before(tiny_config, tone_corpus, trained, tmp_path):
    config = change(tiny_config, max_updates=4, valid_every_updates=2)
    run(config, tone_corpus, trained, tmp_path)
    state = tmp_path / "resume.safetensors"
    whole = load(state.read_bytes())
    state.write_bytes(state.read_bytes()[:-100])
    run(config, tone_corpus, trained, tmp_path)
    again = load_file(state)
    assert all(torch.equal(whole[name], again[name]) for name in whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_saves_and_says_how_to_go_on(number, tiny_config, tone_corpus, trained, tmp_path):
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
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not read_metrics(metrics):
        time.sleep(0.2)
    process.send_signal(number)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "the same command goes on from there" in errors
    assert "Traceback" not in errors
    assert (tmp_path / "exp" / "resume.safetensors").exists()


def test_diagnostics_are_kept_beside_the_same_run(tiny_config, tone_corpus, trained, tmp_path):
    config = change(tiny_config, max_updates=4, valid_every_updates=4, log_every_updates=2)
    run(config, tone_corpus, trained, tmp_path / "plain")
    run(config, tone_corpus, trained, tmp_path / "watched", diagnostics=True)
    plain, watched = (load_file(tmp_path / name / "resume.safetensors") for name in ("plain", "watched"))
    assert all(torch.equal(plain[name], watched[name]) for name in plain)
    lines = read_metrics(tmp_path / "watched" / "diagnostics.jsonl")
    assert [line["update"] for line in lines] == [2, 4]
    for name in ("encoder.subsampling.project", "ctc.project", "encoder.blocks.1.attention"):
        assert lines[0]["modules"].get(name, {}).keys() >= {"activation_rms", "gradient_rms", "step_ratio"}, name
    assert (tmp_path / "watched" / "diagnostics.png").read_bytes().startswith(b"\x89PNG")
    assert not list((tmp_path / "plain").glob("diagnostics*"))


@pytest.mark.parametrize("num_blocks", [0, 1])
def test_nonspeech_is_learned_from_even_alone(tiny_config, tone_corpus, trained, tmp_path, num_blocks):
    decoder = tiny_config.decoder.model_copy(update={"num_blocks": num_blocks, "num_heads": 2, "feedforward_width": 64})
    augment = tiny_config.augment.model_copy(update={"nonspeech_share": 1.0})
    config = tiny_config.model_copy(update={"augment": augment, "decoder": decoder})
    run(change(config, max_updates=10, valid_every_updates=10, log_every_updates=1), tone_corpus, trained, tmp_path)
    losses = [line["train_loss"] for line in read_metrics(tmp_path / "metrics.jsonl") if "train_loss" in line]
    assert losses[-1] < losses[0]
    assert not (tmp_path / "bad_batches").exists()
