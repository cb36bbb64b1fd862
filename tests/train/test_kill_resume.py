"""A run that is killed again and again ends as one that nobody has disturbed, bit for bit.

AUDIOROTO_KILLS says how often it is killed; a few times by default.
"""

import json
import multiprocessing
import os
import random
import time

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from audioroto.cli.train import train
from audioroto.config import save_config
from audioroto.train.metrics import read_metrics

NUM_KILLS = int(os.environ.get("AUDIOROTO_KILLS", "3"))


def start(tone_corpus, trained, exp_dir):
    """A training process of its own: forked from one that has imported torch and not used it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["audioroto.train.trainer"])
    options = {
        "train_dir": tone_corpus / "train",
        "valid_dir": tone_corpus / "valid",
        "tokenizer": trained / "tokenizer.model",
        "exp_dir": exp_dir,
        "config": [exp_dir.with_suffix(".toml")],
        "device": "cpu",
    }
    process = context.Process(target=train, kwargs=options)
    process.start()
    return process


def kill_at_random(process, metrics_path, draw):
    """Kill the process some updates after the last one that is known, or while it sets out; whether it lived yet."""
    lines = read_metrics(metrics_path)
    until = (lines[-1]["update"] if lines else 0) + draw.randint(1, 4)
    deadline = time.monotonic() + (draw.uniform(0, 2) if draw.random() < 0.2 else 600)
    while process.is_alive() and time.monotonic() < deadline:
        lines = read_metrics(metrics_path)
        if lines and lines[-1]["update"] >= until:
            break
        time.sleep(0.002)
    time.sleep(draw.uniform(0, 0.05))
    alive = process.is_alive()
    process.kill()
    process.join()
    return alive


def test_killed_again_and_again_it_ends_the_same(tiny_config, tone_corpus, trained, tmp_path):
    settings = {
        "max_updates": max(12, 3 * NUM_KILLS),
        "micro_batch_seconds": 4.0,
        "valid_every_updates": 5,
        "save_every_updates": 2,
        "log_every_updates": 1,
        "average_decay": 0.9,
    }
    config = tiny_config.model_copy(
        update={
            "train": tiny_config.train.model_copy(update=settings),
            "augment": tiny_config.augment.model_copy(update={"noise_share": 0.5, "reverberation_share": 0.5}),
        }
    )
    exp_dirs = whole, parts = tmp_path / "whole", tmp_path / "parts"
    for exp_dir in exp_dirs:
        save_config(config, exp_dir.with_suffix(".toml"))
    process = start(tone_corpus, trained, whole)
    process.join()
    assert process.exitcode == 0

    draw = random.Random(0)
    kills = sum(
        kill_at_random(start(tone_corpus, trained, parts), parts / "metrics.jsonl", draw) for _ in range(NUM_KILLS)
    )
    process = start(tone_corpus, trained, parts)
    process.join()
    assert process.exitcode == 0
    assert kills >= min(2, NUM_KILLS)
    print(f"{kills} kills survived")

    for first, second in zip(*([strip_times(line) for line in metrics(folder)] for folder in exp_dirs), strict=True):
        assert first == second
    names = [sorted(path.relative_to(folder) for path in folder.rglob("*")) for folder in exp_dirs]
    assert names[0] == names[1]
    for name in names[0]:
        if name.suffix == ".safetensors" and "previous" not in name.name:
            one, other = load_file(whole / name), load_file(parts / name)
            assert one.keys() == other.keys()
            assert all(torch.equal(one[key], other[key]) for key in one), name
    assert progress(whole) == progress(parts)


def metrics(folder):
    return read_metrics(folder / "metrics.jsonl")


def strip_times(line):
    return {key: value for key, value in line.items() if key != "wall_seconds"}


def progress(folder):
    with safe_open(folder / "resume.safetensors", framework="pt") as file:
        return strip_times(json.loads(file.metadata()["progress"]))
