import json

import pytest
import torch

from audioroto.bench.step import BatchShape, bench_step, make_batch, make_step, read_variants
from audioroto.errors import UserError
from audioroto.model.asr import build_model, count_parameters

SHAPE = BatchShape(num_utterances=2, min_seconds=0.5, max_seconds=1.0)
CPU = torch.device("cpu")


def test_batches_hold_what_their_shape_says(tiny_config):
    waveforms, lengths, tokens, token_lengths = make_batch(tiny_config, SHAPE, CPU)
    assert lengths.tolist() == [16000, 8000]
    assert waveforms[1, 8000:].abs().max() == 0
    assert waveforms[1, :8000].abs().max() > 0
    assert tokens.shape == (2, 3)
    assert token_lengths.tolist() == [3, 2]


def test_every_step_does_the_same(tiny_config):
    quiet = tiny_config.model_copy(update={"encoder": tiny_config.encoder.model_copy(update={"dropout": 0.0})})
    step = make_step(quiet, SHAPE, CPU)
    assert step() == step()


def test_variants_are_measured_beside_each_other(tiny_config, tmp_path, capsys):
    rotated = tiny_config.model_copy(
        update={"rotation": tiny_config.rotation.model_copy(update={"planes": "butterfly"})}
    )
    costs = bench_step(["plain", "rotated"], [tiny_config, rotated], SHAPE, tmp_path, "cpu", num_rounds=2)
    assert [cost.name for cost in costs] == ["plain", "rotated"]
    assert costs[0].ratio == 1.0
    assert (
        costs[1].parameters
        > costs[0].parameters
        == count_parameters(build_model(tiny_config, tiny_config.text.vocab_size))
    )
    assert all(cost.memory_bytes > 0 and cost.audio_seconds_per_second > 0 for cost in costs)
    assert len(json.loads((tmp_path / "figures.json").read_text())["steps"]) == 2
    assert "B: rotated" in capsys.readouterr().out


def test_variants_add_to_what_is_configured():
    names, configs = read_variants([], ["encoder.num_blocks=3"], ["encoder.bias=dynamic encoder.local_heads=2"])
    assert names == ["configured", "encoder.bias=dynamic encoder.local_heads=2"]
    assert [config.encoder.num_blocks for config in configs] == [3, 3]
    assert [config.encoder.local_heads for config in configs] == [0, 2]
    with pytest.raises(UserError, match="nearest"):
        read_variants([], [], ["encoder.baias=dynamic"])


@pytest.mark.parametrize(
    ("text", "message"), [("text.units='x", "No closing quotation"), ("unspoken.text=x", "leave it")]
)
def test_variants_that_cannot_be_measured_are_refused(text, message):
    with pytest.raises(UserError, match=message):
        read_variants([], ["decoder.num_blocks=1"], [text])
