import math

import pytest
import torch
from torch import nn

from audioroto.train.internals import Internals, draw_internals, find_first_not_finite
from audioroto.train.metrics import read_metrics


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3), nn.LogSoftmax(-1))


def compute(model: nn.Module) -> torch.Tensor:
    return -model(torch.linspace(-1, 1, 20).view(5, 4)).mean()


def update(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    compute(model).backward()
    optimizer.step()
    optimizer.zero_grad()


def count_hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def test_a_watched_update_tells_of_every_module_with_parameters(model, tmp_path):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    internals = Internals(model, optimizer, tmp_path / "diagnostics.jsonl", 0)
    before, output = model[0].weight.detach().clone(), model[0](torch.linspace(-1, 1, 20).view(5, 4)).detach()
    bias = model[0].bias.detach().clone()
    update(model, optimizer)  # not watched
    assert not read_metrics(tmp_path / "diagnostics.jsonl")
    model[0].weight.data.copy_(before)
    model[0].bias.data.copy_(bias)
    with internals.watch(1):
        update(model, optimizer)
    assert count_hooks(model) == 0
    update(model, optimizer)
    (line,) = read_metrics(tmp_path / "diagnostics.jsonl")
    assert line["update"] == 1
    assert set(line["modules"]) == {"0", "2"}
    found = line["modules"]["0"]
    assert found["activation_mean"] == pytest.approx(output.mean().item(), rel=1e-3)
    assert found["activation_rms"] == pytest.approx(output.square().mean().sqrt().item(), rel=1e-3)
    assert found["activation_max"] == pytest.approx(output.abs().max().item(), rel=1e-3)
    weights = torch.cat([before.flatten(), bias])
    assert found["weight_rms"] == pytest.approx(weights.square().mean().sqrt().item(), rel=1e-3)
    assert found["step_ratio"] == pytest.approx(0.5 * found["gradient_rms"] / found["weight_rms"], rel=1e-3)


def test_watching_changes_nothing(model, tmp_path):
    weights = []
    for watched in (False, True):
        torch.manual_seed(1)
        for module in (model[0], model[2]):
            module.reset_parameters()
        optimizer = torch.optim.AdamW(model.parameters())
        internals = Internals(model, optimizer, tmp_path / "diagnostics.jsonl", 0)
        for number in range(3):
            if watched:
                with internals.watch(number):
                    update(model, optimizer)
            else:
                update(model, optimizer)
        weights.append([parameter.detach().clone() for parameter in model.parameters()])
    assert all(map(torch.equal, *weights))


def test_a_skipped_update_has_activations_alone(model, tmp_path):
    internals = Internals(model, torch.optim.SGD(model.parameters()), tmp_path / "diagnostics.jsonl", 0)
    with internals.watch(1):
        compute(model)
    modules = read_metrics(tmp_path / "diagnostics.jsonl")[0]["modules"]
    assert set(modules["0"]) == {"activation_mean", "activation_rms", "activation_max"}


def test_the_first_module_to_break_is_named(model):
    assert find_first_not_finite(model, lambda: compute(model)) == "nothing, when computed again"
    with torch.no_grad():
        model[2].weight[0, 0] = math.nan
    assert find_first_not_finite(model, lambda: compute(model)) == "the output of 2"
    with torch.no_grad():
        model[0].bias[0] = math.inf  # earlier; Tanh makes it finite again
    assert find_first_not_finite(model, lambda: compute(model)) == "the output of 0"
    assert count_hooks(model) == 0
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_gradient_that_breaks_is_named_where_it_breaks(model):
    def compute_root() -> torch.Tensor:
        return torch.sqrt(0.0 * model[2](torch.zeros(1, 8))).sum()  # finite, of infinite slope

    assert find_first_not_finite(model, compute_root) == "the gradient of 2.bias"


def test_the_picture_is_one_even_of_nothing_or_of_gaps(tmp_path):
    lines = [{"update": 5, "modules": {"a": {"activation_rms": 0.0}, "b": {}}}, {"update": 10, "modules": {"a": {}}}]
    for number, each in enumerate(([], lines, lines[:1])):
        draw_internals(each, tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").read_bytes().startswith(b"\x89PNG")
