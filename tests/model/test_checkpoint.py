from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from audioroto.errors import UserError
from audioroto.model.asr import build_model
from audioroto.model.checkpoint import (
    Checkpoint,
    average_weights,
    describe_environment,
    load_checkpoint,
    save_checkpoint,
)
from audioroto.text.tokenizer import train_tokenizer


@pytest.fixture
def checkpoint(tiny_config):
    tokenizer = train_tokenizer(["LOW MID HIGH"], "char", 40)
    model = build_model(tiny_config, tokenizer.vocab_size)
    return Checkpoint(model.state_dict(), tiny_config, tokenizer, 7, describe_environment(), {"valid_wer": 1.5})


def test_one_file_carries_everything(checkpoint, tmp_path):
    save_checkpoint(tmp_path / "model.safetensors", checkpoint)
    loaded = load_checkpoint(tmp_path / "model.safetensors")
    assert (loaded.config, loaded.step, loaded.notes) == (checkpoint.config, 7, {"valid_wer": 1.5})
    assert loaded.tokenizer.pieces == checkpoint.tokenizer.pieces
    assert loaded.environment["torch"] == torch.__version__
    model = loaded.build()
    assert not model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, checkpoint.weights[name])


def test_a_decoder_travels_with_its_configuration(tiny_config, tmp_path):
    config = tiny_config.model_copy(
        update={"decoder": tiny_config.decoder.model_copy(update={"num_blocks": 1, "feedforward_width": 16})}
    )
    tokenizer = train_tokenizer(["LOW MID HIGH"], "char", 40)
    weights = build_model(config, tokenizer.vocab_size).state_dict()
    weights["decoder.project.bias"] = torch.randn(tokenizer.vocab_size)
    save_checkpoint(tmp_path / "model.safetensors", Checkpoint(weights, config, tokenizer, 1, {}, {}))
    decoder = load_checkpoint(tmp_path / "model.safetensors").build().decoder
    assert len(decoder.blocks) == 1
    assert torch.equal(decoder.project.bias, weights["decoder.project.bias"])


def test_damaged_and_foreign_files_are_refused_by_name(checkpoint, tmp_path):
    whole, cut, foreign = (tmp_path / f"{name}.safetensors" for name in ("whole", "cut", "foreign"))
    save_checkpoint(whole, checkpoint)
    cut.write_bytes(whole.read_bytes()[:-1000])
    save_file({"x": torch.zeros(1)}, foreign)
    for path, message in [(cut, "cut.*damaged"), (foreign, "foreign.*no hash"), (tmp_path / "none", "no model file")]:
        with pytest.raises(UserError, match=message):
            load_checkpoint(path)


@pytest.mark.parametrize("place", [200, -1, -5000])
def test_an_altered_file_is_refused_by_name(place, checkpoint, tmp_path):
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, checkpoint)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{path} is damaged"):
        load_checkpoint(path)


def test_weights_of_another_network_are_refused(checkpoint):
    weights = dict(checkpoint.weights)
    weights["of.another.version"] = weights.pop("ctc.project.weight")
    with pytest.raises(UserError, match="do not fit this version"):
        replace(checkpoint, weights=weights).build()


def test_the_average_is_the_mean(checkpoint):
    zeros = Checkpoint(
        {k: torch.zeros_like(v) for k, v in checkpoint.weights.items()}, *list(vars(checkpoint).values())[1:]
    )
    for name, tensor in average_weights([checkpoint, zeros]).items():
        torch.testing.assert_close(tensor, checkpoint.weights[name] / 2)
        assert tensor.dtype == checkpoint.weights[name].dtype
