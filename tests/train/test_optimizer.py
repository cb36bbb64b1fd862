import pytest
import torch
from torch import nn

from audioroto.config import Train
from audioroto.train.optimizer import Muon, learning_rate, make_optimizer, orthogonalize
from audioroto.train.state import MOMENTS


def test_warm_up_then_cosine_to_the_final_share():
    settings = Train(max_updates=100, warmup_updates=10, learning_rate=1.0, final_learning_rate_share=0.1)
    rates = [learning_rate(update, settings) for update in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == pytest.approx(1.0)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0.1)


def test_only_matrices_decay():
    optimizer = make_optimizer(nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)), Train(weight_decay=0.5))
    decay = {group["weight_decay"]: [p.ndim for p in group["params"]] for group in optimizer.param_groups}
    assert decay == {0.5: [2], 0.0: [1, 1, 1]}
    assert isinstance(optimizer, torch.optim.AdamW)


def test_muon_takes_the_matrices_of_the_blocks_alone():
    torch.manual_seed(0)  # five steps do not lift the smallest value of every gradient as far
    model = nn.ModuleDict(
        {"embedding": nn.Embedding(5, 4), "blocks": nn.Sequential(nn.Linear(4, 4)), "out": nn.Linear(4, 5)}
    )
    optimizer = make_optimizer(model, Train(optimizer="muon", weight_decay=0.0))
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    model["out"](model["blocks"](model["embedding"].weight)).square().sum().backward()
    optimizer.step()
    steps = {name: parameter.detach() - before[name] for name, parameter in model.named_parameters()}
    singular = torch.linalg.svdvals(steps.pop("blocks.0.weight")) / (0.1 * 0.2 * 4**0.5)
    assert ((singular > 0.5) & (singular < 1.5)).all()  # orthogonal, but for the coarse iteration, and of AdamW's size
    for step in steps.values():
        torch.testing.assert_close(step.abs(), torch.full_like(step, 0.1), rtol=0.01, atol=0.0)  # AdamW's first step
    assert {key for parameter in model.parameters() for key in optimizer.state[parameter]} == set(MOMENTS)


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (6, 6)])
def test_orthogonalized_keeps_the_singular_vectors(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    values = left.mT @ orthogonalize(matrix) @ right.mT
    within = values.diagonal()
    assert ((within > 0.6) & (within < 1.3)).all()
    assert (values - within.diag()).abs().max() < 0.02  # of bfloat16, where it is fast
    assert torch.equal(orthogonalize(torch.zeros(shape)), torch.zeros(shape))


def test_muon_steps_as_that_of_torch():
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (nn.Parameter(torch.ones(4, 6)) for _ in range(2))
    optimizers = (
        Muon([ours], weight_decay=0.1),
        torch.optim.Muon([theirs], lr=0.0, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(5):
        gradient = torch.randn(4, 6, generator=generator)
        for optimizer, parameter in zip(optimizers, (ours, theirs), strict=True):
            optimizer.param_groups[0]["lr"] = 0.1
            parameter.grad = gradient.clone()
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.01)  # torch's is in bfloat16
