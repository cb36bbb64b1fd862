import pytest
import torch
from rich.console import Console

from audioroto.train.state import Progress
from audioroto.train.trainer import Trainer
from audioroto.train.utilization import Utilization, count_flops, measure_product_rate, measure_utilization


def test_flops_are_those_of_forward_and_backward():
    """A linear layer's backward is two products of the size of its forward's."""
    layer, inputs = torch.nn.Linear(8, 4, bias=False), torch.randn(3, 8, requires_grad=True)
    assert count_flops(lambda: layer(inputs).sum().backward()) == 3 * 2 * 3 * 8 * 4
    queries = torch.randn(1, 2, 5, 4)
    attention = torch.nn.functional.scaled_dot_product_attention
    assert count_flops(lambda: attention(queries, queries, queries)) == 2 * 2 * 2 * 5 * 5 * 4


def test_the_share_is_of_what_has_passed_since_the_last_look():
    utilization = Utilization(
        flops_per_audio_second=3.0, device_flops_per_second=100.0, audio_seconds=10.0, wall_seconds=1.0
    )
    assert utilization.since_last(Progress(audio_seconds=60.0, wall_seconds=4.0)) == pytest.approx(50 * 3 / 3 / 100)
    assert utilization.since_last(Progress(audio_seconds=70.0, wall_seconds=5.0)) == pytest.approx(10 * 3 / 1 / 100)


def test_counting_leaves_the_run_as_it_was(tiny_config, tone_corpus, trained, tmp_path):
    given = (tone_corpus / "train", tone_corpus / "valid", trained / "tokenizer.model", tmp_path / "exp")
    trainer = Trainer(tiny_config, *given, device="cpu", console=Console(quiet=True))
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    state = torch.get_rng_state()
    found = measure_utilization(trainer.updater, trainer.train_set, trainer.progress)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in trainer.model.state_dict().items())
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    num_weights = sum(p.numel() for p in trainer.model.encoder.blocks.parameters())
    frames_per_second = 100 / tiny_config.encoder.subsampling
    assert found.flops_per_audio_second > 0.8 * 6 * num_weights * frames_per_second  # 2 forward and 4 backward
    assert measure_product_rate(torch.device("cpu"), torch.float32) > 1e8
