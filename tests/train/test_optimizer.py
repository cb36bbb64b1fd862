import pytest
import torch
from torch import nn

from audioroto.config import Train
from audioroto.train.optimizer import learning_rate, make_optimizer


def test_warm_up_then_cosine_to_the_final_share():
    settings = Train(max_updates=100, warmup_updates=10, learning_rate=1.0, final_learning_rate_share=0.1)
    rates = [learning_rate(update, settings) for update in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == pytest.approx(1.0)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0.1)


def test_only_matrices_decay():
    optimizer = make_optimizer(nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)), 0.5)
    decay = {group["weight_decay"]: [p.ndim for p in group["params"]] for group in optimizer.param_groups}
    assert decay == {0.5: [2], 0.0: [1, 1, 1]}
    assert isinstance(optimizer, torch.optim.AdamW)
