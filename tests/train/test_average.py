import pytest
import torch

from audioroto.errors import UserError
from audioroto.model.checkpoint import load_checkpoint
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


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no checkpoint"):
        average_checkpoints(tmp_path, tmp_path / "model.safetensors")
