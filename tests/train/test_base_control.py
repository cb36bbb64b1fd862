import copy
import math
import statistics
import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from audioroto.nn.frequency import RotaryBase
from audioroto.nn.rotation import apply_rotary
from audioroto.train.base_control import BaseController


class Model(nn.Module):
    """Queries and keys that have to score as others under base 200 do; with dropout, as a model has it.

    Distances are short, or a wrong base could match by chance at many of them.
    """

    def __init__(self, base: float = 1000.0, seed: int = 0, mode: str = "loss") -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.rotary_base = RotaryBase(32, base=base, mode=mode)
        self.target_base = RotaryBase(32, base=200.0)
        self.heads = nn.Parameter(torch.randn(2, 16, 1, 32))
        self.target_heads = nn.Buffer(torch.randn(2, 16, 1, 32))
        self.dropout = nn.Dropout(0.1)

    def loss(self, num_frames: int = 8) -> Tensor:
        found = curve(self.dropout(self.heads), self.rotary_base(num_frames))
        return (found - curve(self.target_heads, self.target_base(num_frames))).square().mean()


def curve(heads: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Scores of query heads[0] with key heads[1] at every distance."""
    keys = heads[1].expand(-1, len(rotary[0]), -1)
    return apply_rotary(keys, *rotary) @ heads[0].mT


def control(model: Model, **options) -> BaseController:
    settings = {"factor": 1.3, "every_updates": 2, "threshold": 1e-3, "bounds": (10.0, 1e6)}
    return BaseController(model, model.rotary_base, **(settings | options))


def train(model: Model, controller: BaseController, updates: range, optimizer: torch.optim.Optimizer) -> list[float]:
    """Updates keyed by their number, as the trainer's are; the base after each."""
    bases = []
    for update in updates:
        torch.manual_seed(update)
        num_frames = 7 + update % 3
        optimizer.zero_grad()
        model.loss(num_frames).backward()
        optimizer.step()
        controller.step(update + 1, lambda frames=num_frames: model.loss(frames).item())
        bases.append(model.rotary_base.base)
    return bases


@pytest.mark.parametrize("start", [20.0, 2000.0])
def test_the_best_base_is_found_from_either_side_while_the_model_learns(start):
    model = Model(base=start)
    with torch.no_grad():
        model.heads.copy_(model.target_heads + 0.1 * torch.randn_like(model.heads))
    controller = control(model)
    bases = train(model, controller, range(120), torch.optim.Adam([model.heads], lr=1e-3))
    assert abs(math.log(bases[-1] / 200)) <= math.log(1.3)


def walk(controller: BaseController, seed: int, noise: float = 0.0, batch_noise: float = 0.0, mirror: int = 1) -> float:
    """Log base, from its start, after 200 probes of a noisy falling loss that has nothing to do with the base.

    `noise` is that of every answer, `batch_noise` that of the batch, the same in its three answers; `mirror` = −1 swaps
    the answers for the lower and the higher base.
    """
    generator = torch.Generator().manual_seed(seed)
    start = math.log(controller.rotary_base.base)
    for update in range(200):
        level = math.exp(-update / 100) * (1 + batch_noise * torch.randn((), generator=generator).item())
        answers = (level * (1 + noise * torch.randn(3, generator=generator))).tolist()[::mirror]
        controller.step(update, iter(answers).__next__)
    return math.log(controller.rotary_base.base) - start


def free_control() -> BaseController:
    return control(Model(base=10000.0), every_updates=1, bounds=(1e-30, 1e30))


def test_no_drift_on_a_loss_that_falls_independently_of_the_base():
    """Noise of the batch is that of all three answers and moves nothing; noise of each moves the base, but nowhere."""
    assert all(walk(free_control(), seed, batch_noise=0.1) == 0 for seed in range(20))
    moved = [walk(free_control(), seed, noise=0.01) for seed in range(20)]
    assert statistics.stdev(moved) > 1
    assert abs(statistics.mean(moved)) < statistics.stdev(moved) / math.sqrt(20)
    mirrored = [walk(free_control(), seed, noise=0.01, mirror=-1) for seed in range(20)]
    assert mirrored == pytest.approx([-distance for distance in moved], abs=1e-9)


def test_probes_are_paired_without_gradient_and_dropout_and_leave_no_trace():
    model = Model()
    controller = control(model, factor=2.0, threshold=math.inf)
    seen = []

    def evaluate() -> float:
        loss = model.loss()
        seen.append((model.rotary_base.base, model.training, loss.requires_grad, loss.item()))
        return loss.item()

    state, random_state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    controller.step(2, evaluate)
    assert [base for base, *_ in seen] == pytest.approx([500, 1000, 2000])
    assert all(not training and not needs_gradient for _, training, needs_gradient, _ in seen)
    assert len({loss for *_, loss in seen}) == 3
    assert model.training
    assert model.heads.grad is None
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_probes_only_when_due_and_only_in_training():
    model = Model()
    controller = control(model, every_updates=3)
    calls = []

    def evaluate() -> float:
        calls.append(model.rotary_base.base)
        return model.rotary_base.base  # the lower the base the better

    for update in range(1, 7):
        controller.step(update, evaluate)
    assert len(calls) == 6
    assert model.rotary_base.base == pytest.approx(1000 / 1.3**2)
    model.eval()
    controller.step(9, evaluate)
    assert len(calls) == 6
    assert not model.training


@pytest.mark.parametrize(("gain", "moves"), [(0.9e-2, False), (1.1e-2, True)])
@pytest.mark.parametrize("direction", [-1, 1])
def test_moves_to_the_lower_loss_beyond_the_threshold(gain, moves, direction):
    model = Model()
    controller = control(model, threshold=1e-2)

    def evaluate() -> float:
        return 5.0 * (1 - gain * direction * math.log(model.rotary_base.base / 1000) / math.log(1.3))

    controller.step(2, evaluate)
    assert model.rotary_base.base == pytest.approx(1000 * 1.3**direction if moves else 1000)


@pytest.mark.parametrize("direction", [-1, 1])
def test_stays_within_bounds(direction):
    model = Model()
    controller = control(model, every_updates=1, bounds=(400.0, 3000.0), threshold=0.0)
    for update in range(20):
        controller.step(update, lambda: 100.0 - direction * math.log(model.rotary_base.base))
    assert model.rotary_base.base == pytest.approx(3000 if direction > 0 else 400)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_moves_nothing(value):
    model = Model()
    answers = iter([0.1, 1.0, value])
    control(model).step(2, lambda: next(answers))
    assert model.rotary_base.base == pytest.approx(1000, rel=1e-12)


def test_a_probe_that_fails_leaves_base_and_mode_as_they_were():
    model = Model()

    def evaluate() -> float:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        control(model).step(2, evaluate)
    assert model.rotary_base.base == pytest.approx(1000, rel=1e-12)
    assert model.training


def test_a_resumed_run_equals_an_uninterrupted_one():
    def begin() -> tuple[Model, torch.optim.Optimizer]:
        model = Model()
        return model, torch.optim.Adam([model.heads], lr=0.02)

    model, optimizer = begin()
    uninterrupted = train(model, control(model), range(30), optimizer)
    first, first_optimizer = begin()
    bases = train(first, control(first), range(17), first_optimizer)
    second, second_optimizer = begin()
    second.load_state_dict(first.state_dict())
    second_optimizer.load_state_dict(first_optimizer.state_dict())
    bases += train(second, control(second), range(17, 30), second_optimizer)
    assert bases == uninterrupted
    assert len(set(bases)) > 3
    assert torch.equal(second.heads, model.heads)


def test_ranks_agree_when_their_losses_are_reduced():
    """Two processes whose own batches pull apart: the mean of their losses decides, for both."""
    waiting = threading.Barrier(2)
    losses: dict[int, list[float]] = {}

    def reduce_of(rank: int) -> Callable[[list[float]], list[float]]:
        def reduce(own: list[float]) -> list[float]:
            losses[rank] = own
            waiting.wait(timeout=10)
            return [statistics.mean(pair) for pair in zip(losses[0], losses[1], strict=True)]

        return reduce

    models = [Model(), Model()]

    def run(rank: int, slope: float) -> None:
        model = models[rank]
        control(model, reduce=reduce_of(rank)).step(2, lambda: 10 + slope * math.log(model.rotary_base.base))

    threads = [threading.Thread(target=run, args=arguments) for arguments in ((0, 3.0), (1, -1.0))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [model.rotary_base.base for model in models] == pytest.approx([1000 / 1.3] * 2)


@pytest.mark.parametrize("mode", ["fixed", "learned", "learned_frequencies"])
def test_only_a_base_that_follows_the_loss_is_controlled(mode):
    with pytest.raises(ValueError, match=mode):
        control(Model(mode=mode))
