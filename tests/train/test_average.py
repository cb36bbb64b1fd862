from dataclasses import replace

import pytest
import torch

from audioroto.errors import UserError
from audioroto.files import sha256_of
from audioroto.model.asr import build_model
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


@pytest.fixture
def continued(trained, tmp_path):
    """An experiment folder of a run that began from its `before.safetensors`."""
    folder = tmp_path / "continued"
    (folder / "checkpoints").mkdir(parents=True)
    before = load_checkpoint(trained / "model.safetensors")
    before = replace(before, weights={key: tensor + 1 for key, tensor in before.weights.items()})
    save_checkpoint(folder / "before.safetensors", before)
    chain = [{"model": "before.safetensors", "sha256": sha256_of(folder / "before.safetensors"), "step": before.step}]
    for path in (trained / "checkpoints").iterdir():
        part = load_checkpoint(path)
        save_checkpoint(folder / "checkpoints" / path.name, replace(part, notes=part.notes | {"init_from": chain}))
    return folder


def test_a_share_of_the_model_before_is_mixed_in(continued, tmp_path):
    name, out = "ctc.project.weight", tmp_path / "mixed.safetensors"
    own = average_checkpoints(continued, tmp_path / "own.safetensors").weights[name]
    before = load_checkpoint(continued / "before.safetensors")
    mixed = average_checkpoints(
        continued, out, mix_with=[(continued / "before.safetensors", 0.25)], overrides=["encoder.local_heads=1"]
    )
    torch.testing.assert_close(mixed.weights[name], 0.75 * own + 0.25 * before.weights[name])
    read = load_checkpoint(out)
    assert ([link["share"] for link in read.notes["mixed_with"]], read.config.encoder.local_heads) == ([0.25], 1)
    whole = average_checkpoints(
        continued, tmp_path / "whole", mix_with=[(continued / "before.safetensors", 0.0)]
    ).weights
    own = load_checkpoint(tmp_path / "own.safetensors").weights
    assert all(torch.equal(whole[key], tensor) and whole[key].dtype == tensor.dtype for key, tensor in own.items())
    with pytest.raises(UserError, match=r"encoder\.width=64: weights were trained for 32"):
        average_checkpoints(continued, out, overrides=["encoder.width=64"])


def test_another_model_is_not_mixed_in(trained, tmp_path):
    with pytest.raises(UserError, match="another architecture"):
        average_checkpoints(trained, tmp_path / "mixed.safetensors", mix_with=[("english-small", 0.5)])


def test_a_model_that_training_did_not_begin_from_is_not_mixed_in(trained, tmp_path):
    with pytest.raises(UserError, match="not what training began from"):
        average_checkpoints(trained, tmp_path / "mixed.safetensors", mix_with=[(trained / "model.safetensors", 0.5)])


def test_another_run_that_began_there_too_is_mixed_in(continued, tmp_path):
    name, sibling = "ctc.project.weight", tmp_path / "sibling.safetensors"
    own = load_checkpoint(max((continued / "checkpoints").iterdir()))
    save_checkpoint(sibling, replace(own, weights={key: tensor + 2 for key, tensor in own.weights.items()}))
    before = continued / "before.safetensors"
    mean = average_checkpoints(continued, tmp_path / "own.safetensors").weights[name]
    mixed = average_checkpoints(continued, tmp_path / "mixed.safetensors", mix_with=[(sibling, 0.5), (before, 0.2)])
    both = (mean + load_checkpoint(sibling).weights[name]) / 2
    torch.testing.assert_close(mixed.weights[name], 0.8 * both + 0.2 * load_checkpoint(before).weights[name])
    assert [link["share"] for link in mixed.notes["mixed_with"]] == [0.5, 0.2]


def test_checkpoints_of_two_runs_are_not_averaged(continued, tmp_path):
    first = min((continued / "checkpoints").iterdir())
    part = load_checkpoint(first)
    train = part.config.train.model_copy(update={"seed": 7})
    save_checkpoint(first, replace(part, config=part.config.model_copy(update={"train": train})))
    with pytest.raises(UserError, match="of runs with other settings"):
        average_checkpoints(continued, tmp_path / "model.safetensors")


def test_a_rotation_is_one_in_half_precision_too(trained, tiny_config, tmp_path):
    part = load_checkpoint(min((trained / "checkpoints").iterdir()))
    rotation = tiny_config.rotation.model_copy(update={"planes": "butterfly", "orthogonal": "cayley"})
    config = part.config.model_copy(update={"rotation": rotation})
    model = build_model(config, part.tokenizer.vocab_size)
    (tmp_path / "checkpoints").mkdir()
    save_checkpoint(
        tmp_path / "checkpoints" / "update-0000001.safetensors",
        replace(part, config=config, weights=model.state_dict()),
    )
    average_checkpoints(tmp_path, tmp_path / "half.safetensors", half=True)
    with torch.no_grad():
        matrices = load_checkpoint(tmp_path / "half.safetensors").build().encoder.rotation()
    identity = torch.eye(matrices.shape[-1]).expand_as(matrices)
    torch.testing.assert_close(matrices @ matrices.mT, identity, rtol=0, atol=1e-5)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no checkpoint"):
        average_checkpoints(tmp_path, tmp_path / "model.safetensors")
