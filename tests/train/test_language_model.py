import json
import os
import signal

import pytest
import torch
from rich.console import Console

from audioroto.config import Train
from audioroto.corpus.unspoken import UnspokenText
from audioroto.errors import UserError
from audioroto.model.language_model import Shape, load_language_model
from audioroto.text.tokenizer import train_tokenizer
from audioroto.train import language_model as module
from audioroto.train.language_model import train_language_model

SENTENCES = ["AB A", "B AB", "A A B", "BAB AB", "B"]
TOKENIZER = train_tokenizer(SENTENCES, "char", 10)
SHAPE = Shape(width=16, num_blocks=1, num_heads=2, feedforward_width=32)


def run(folder, max_updates=40, **changes):
    settings = Train(
        **{
            "max_updates": max_updates,
            "learning_rate": 2e-2,
            "warmup_updates": 4,
            "valid_every_updates": 10,
            "save_every_updates": 10,
            "log_every_updates": 5,
            **changes,
        }
    )
    text = UnspokenText(TOKENIZER.encode_all(SENTENCES), 20)
    return train_language_model(
        text, SENTENCES, TOKENIZER, folder, SHAPE, settings, 40, console=Console(stderr=True, quiet=True)
    )


def read_metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_it_learns_its_text_by_heart(tmp_path):
    model = load_language_model(run(tmp_path), TOKENIZER)
    perplexities = [line["valid_perplexity"] for line in read_metrics(tmp_path) if "valid_perplexity" in line]
    assert len(perplexities) == 4
    assert 1.71 < perplexities[-1] < 0.7 * perplexities[0]  # of five sentences of fifteen words with their ends
    (known, unknown) = ([TOKENIZER.encode(text)] for text in ("BAB AB", "AAB BB"))
    with torch.no_grad():
        scores = [model.score(torch.tensor(text), torch.tensor([len(text[0])])).item() for text in (known, unknown)]
    assert scores[0] > scores[1] + 2


def test_a_stopped_run_goes_on_as_if_never_stopped(tmp_path, monkeypatch):
    whole = run(tmp_path / "whole")
    draw, calls = UnspokenText.draw, []

    def draw_and_stop(self, *given):
        calls.append(given)
        if len(calls) == 23:
            os.kill(os.getpid(), signal.SIGTERM)
        return draw(self, *given)

    monkeypatch.setattr(UnspokenText, "draw", draw_and_stop)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "lm.safetensors").exists()
    again = run(tmp_path / "stopped")
    assert len(calls) == 40
    found, expected = (load_language_model(path, TOKENIZER).state_dict() for path in (again, whole))
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    timeless = [
        [{key: value for key, value in line.items() if key != "wall_seconds"} for line in read_metrics(tmp_path / name)]
        for name in ("stopped", "whole")
    ]
    assert [line for line in timeless[0] if "valid_perplexity" in line] == [
        line for line in timeless[1] if "valid_perplexity" in line
    ]


def test_a_state_of_another_run_or_a_damaged_one_is_refused(tmp_path):
    run(tmp_path, 4)
    for changes in ({"max_updates": 5}, {"seed": 7}, {"learning_rate": 1e-3}):
        with pytest.raises(UserError, match="other settings"):
            run(tmp_path, **{"max_updates": 4, **changes})
    state = tmp_path / "resume.safetensors"
    state.write_bytes(state.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="damaged"):
        run(tmp_path, 4)


def test_a_gradient_that_is_not_finite_stops_the_run_before_it_does_harm(tmp_path, monkeypatch):
    run(tmp_path, 20)
    before = (tmp_path / "resume.safetensors").read_bytes()
    monkeypatch.setattr(module.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(float("nan")))
    with pytest.raises(UserError, match="not finite; give a lower --learning-rate"):
        run(tmp_path / "other", 20)
    assert not (tmp_path / "other" / "lm.safetensors").exists()
    assert (tmp_path / "resume.safetensors").read_bytes() == before
