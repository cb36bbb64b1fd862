import pytest
import torch
from torch import nn

from audioroto.train.running_average import RunningAverage


@pytest.fixture
def model():
    model = nn.BatchNorm1d(3)  # with a counter that is no floating-point number
    nn.init.zeros_(model.weight)
    return model


def test_it_follows_the_weights_at_first_closely_then_with_its_decay(model):
    average = RunningAverage(model, 0.5)
    expected = 0.0
    for update in range(1, 20):
        nn.init.constant_(model.weight, float(update))
        average.step(update)
        keep = min(0.5, (1 + update) / (10 + update))
        expected = keep * expected + (1 - keep) * update
        torch.testing.assert_close(average.tensors["weight"], torch.full((3,), expected))
    assert set(average.tensors) == {"weight", "bias", "running_mean", "running_var"}
    average.reset()
    assert torch.equal(average.tensors["weight"], model.weight)


def test_the_models_own_weights_come_back_whatever_happens(model):
    average = RunningAverage(model, 0.999)
    nn.init.constant_(model.weight, 0.1)
    average.step(1)
    with pytest.raises(KeyboardInterrupt), average.applied():
        stop_at(average.tensors["weight"], model)
    assert torch.equal(model.weight, torch.full((3,), 0.1))


def stop_at(expected: torch.Tensor, model: nn.Module) -> None:
    assert torch.equal(model.weight, expected)
    raise KeyboardInterrupt


def test_without_decay_there_is_none(model):
    average = RunningAverage(model, 0.0)
    average.step(1)
    average.reset()
    with average.applied():
        assert not model.weight.any()
    assert average.tensors == {}
