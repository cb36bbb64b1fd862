from dataclasses import replace

import pytest
import torch

from audioroto.errors import UserError
from audioroto.model.checkpoint import load_checkpoint, save_checkpoint
from audioroto.train.average import average_checkpoints


def test_the_best_are_averaged(trained, tmp_path):
    parts = [load_checkpoint(path) for path in sorted((trained / "checkpoints").iterdir())]
    averaged = average_checkpoints(trained, tmp_path / "two.safetensors")
    assert averaged.notes["averaged_updates"] == [part.step for part in parts]
    name = "ctc.project.weight"
    torch.testing.assert_close(averaged.weights[name], (parts[0].weights[name] + parts[1].weights[name]) / 2)
    best = min(parts, key=lambda part: (part.notes["valid_wer"], part.notes["valid_loss"]))
    single = average_checkpoints(trained, tmp_path / "one.safetensors", num_best=1)
    assert torch.equal(single.weights[name], best.weights[name])


def test_half_precision_is_half_the_size_and_computes_in_single(trained, tmp_path):
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    average_checkpoints(trained, whole)
    average_checkpoints(trained, half, half=True)
    assert half.stat().st_size < 0.7 * whole.stat().st_size
    first, second = (load_checkpoint(path).build().state_dict() for path in (whole, half))
    for name, tensor in first.items():
        assert second[name].dtype == tensor.dtype
        torch.testing.assert_close(second[name], tensor, rtol=1e-3, atol=1e-6)


def test_a_share_of_the_model_before_is_mixed_in(trained, tmp_path):
    name, out = "ctc.project.weight", tmp_path / "mixed.safetensors"
    own = average_checkpoints(trained, tmp_path / "own.safetensors").weights[name]
    before = load_checkpoint(trained / "model.safetensors")
    before = replace(before, weights={key: tensor + 1 for key, tensor in before.weights.items()})
    save_checkpoint(tmp_path / "before.safetensors", before)
    mixed = average_checkpoints(
        trained, out, mix_with=tmp_path / "before.safetensors", mix_share=0.25, overrides=["encoder.local_heads=1"]
    )
    torch.testing.assert_close(mixed.weights[name], 0.75 * own + 0.25 * before.weights[name])
    read = load_checkpoint(out)
    assert (read.notes["mixed_with"]["share"], read.config.encoder.local_heads) == (0.25, 1)
    with pytest.raises(UserError, match=r"encoder\.width=64: weights were trained for 32"):
        average_checkpoints(trained, out, overrides=["encoder.width=64"])


def test_another_model_is_not_mixed_in(trained, tmp_path):
    with pytest.raises(UserError, match="another architecture"):
        average_checkpoints(trained, tmp_path / "mixed.safetensors", mix_with="english-small")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no checkpoint"):
        average_checkpoints(tmp_path, tmp_path / "model.safetensors")
