"""The learned rotation: planes, orthogonal matrices, their gradients and their cost."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from audioroto.nn.rotation import CombinedRotation, Rotation, givens_rounds, random_rotation


@pytest.mark.parametrize(("planes", "num_rounds"), [("butterfly", 6), ("tournament", 63)])
def test_rounds_are_disjoint_planes_of_two_channels(planes, num_rounds):
    rounds = givens_rounds(64, planes)
    channels = torch.arange(64)
    assert rounds.shape == (num_rounds, 64)
    assert (rounds != channels).all()
    assert torch.equal(rounds.gather(1, rounds), channels.expand_as(rounds))


def test_tournament_has_every_plane_once_and_butterfly_links_every_channel(randomize):
    pairs = {(i, int(j)) for row in givens_rounds(16, "tournament") for i, j in enumerate(row) if i < j}
    assert len(pairs) == 16 * 15 // 2
    mixed = randomize(Rotation(16, planes="butterfly", orthogonal="none")).matrix()
    assert mixed.abs().min() > 0


@pytest.mark.parametrize(
    ("dim", "planes", "num_rounds", "words"),
    [(48, "butterfly", None, "power of two"), (7, "tournament", None, "even"), (8, "butterfly", 4, "3 rounds")],
)
def test_planes_that_do_not_fit_are_refused(dim, planes, num_rounds, words):
    with pytest.raises(ValueError, match=words):
        Rotation(dim, planes=planes, num_rounds=num_rounds)


def test_nothing_to_rotate_with_is_refused():
    with pytest.raises(ValueError, match="needs"):
        Rotation(8, planes="none", orthogonal="none")


def naive_product(rotation: Rotation) -> Tensor:
    """∏ G_k of one rotation, a dense matrix for each plane."""
    dim = rotation.start.shape[-1]
    angles = iter(rotation.angles.detach().double())
    product = torch.eye(dim, dtype=torch.float64)
    for row in rotation.partners.tolist():
        for i, j in enumerate(row):
            if i < j:
                angle = next(angles).item()
                plane = torch.eye(dim, dtype=torch.float64)
                plane[i, i] = plane[j, j] = math.cos(angle)
                plane[i, j], plane[j, i] = math.sin(angle), -math.sin(angle)
                product = product @ plane
    return product


@pytest.mark.parametrize(("planes", "num_rounds"), [("butterfly", None), ("tournament", None), ("tournament", 3)])
def test_fast_rounds_equal_the_naive_product(planes, num_rounds, randomize):
    givens = randomize(Rotation(16, planes=planes, num_rounds=num_rounds, orthogonal="none"))
    torch.testing.assert_close(givens.matrix().double(), naive_product(givens), rtol=0, atol=1e-5)
    both = randomize(Rotation(16, planes=planes, num_rounds=num_rounds))
    orthogonal = randomize(Rotation(16, planes="none"))
    with torch.no_grad():
        orthogonal.start.copy_(both.start)
        orthogonal.skew.copy_(both.skew)
    torch.testing.assert_close(
        both.matrix().double(), naive_product(both) @ orthogonal.matrix().double(), rtol=0, atol=1e-5
    )


def test_exponential_and_cayley_are_their_formulas(randomize):
    identity = torch.eye(6)
    for kind in ("exponential", "cayley"):
        rotation = randomize(Rotation(6, planes="none", orthogonal=kind), 0.3)
        triangle = torch.zeros(6, 6)
        triangle[tuple(torch.triu_indices(6, 6, 1))] = rotation.skew.detach()
        skew = triangle - triangle.T
        if kind == "exponential":
            learned = torch.linalg.matrix_exp(skew)
        else:
            learned = (identity + skew / 2) @ torch.linalg.inv(identity - skew / 2)
        torch.testing.assert_close(rotation.matrix(), rotation.start @ learned, rtol=0, atol=1e-6)


VARIANTS = [
    ("butterfly", "none"),
    ("tournament", "none"),
    ("none", "cayley"),
    ("none", "exponential"),
    ("butterfly", "cayley"),
    ("butterfly", "exponential"),
]


def largest_error(matrices: Tensor) -> float:
    return (matrices @ matrices.mT - torch.eye(matrices.shape[-1])).abs().max().item()


@pytest.mark.parametrize(("planes", "orthogonal"), VARIANTS)
def test_stays_a_rotation_at_init_after_500_steps_and_under_autocast(planes, orthogonal):
    torch.manual_seed(0)
    combined = CombinedRotation(1, 2, 32, planes=planes, orthogonal=orthogonal)
    assert largest_error(combined()) < 1e-5
    target = random_rotation(32, (1, 2))
    optimizer = torch.optim.AdamW(combined.parameters(), lr=0.02)
    before = (combined() - target).square().sum().item()
    for _ in range(500):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            matrices = combined()
        (matrices - target).square().sum().backward()
        optimizer.step()
    with torch.autocast("cpu", torch.bfloat16):
        matrices = combined().detach()
    assert matrices.dtype == torch.float32
    assert (matrices - target).square().sum() < before - 1  # it did move
    assert largest_error(matrices) < 1e-5
    torch.testing.assert_close(torch.linalg.det(matrices.double()).float(), torch.ones(1, 2), rtol=0, atol=1e-4)


@pytest.mark.parametrize("orthogonal", ["cayley", "exponential"])
def test_large_parameters_are_rotations_too(orthogonal, randomize):
    combined = randomize(CombinedRotation(2, 3, 64, orthogonal=orthogonal), 0.5)
    assert largest_error(combined().detach()) < 1e-5


@pytest.mark.parametrize(
    ("planes", "orthogonal"),
    [("tournament", "none"), ("none", "cayley"), ("none", "exponential"), ("tournament", "cayley")],
)
def test_givens_rotations_r_and_both_reach_the_same_rotations(planes, orthogonal):
    torch.manual_seed(0)
    targets = random_rotation(4, (8,))
    rotation = Rotation(4, (8,), planes, None, orthogonal)
    optimizer = torch.optim.LBFGS(rotation.parameters(), max_iter=1000, line_search_fn="strong_wolfe")

    def compute_loss() -> Tensor:
        optimizer.zero_grad()
        loss = (rotation.matrix() - targets).square().sum()
        loss.backward()
        return loss

    optimizer.step(compute_loss)
    assert (rotation.matrix() - targets).abs().max() < 1e-3


def test_random_rotations_have_determinant_plus_one():
    torch.manual_seed(0)
    torch.testing.assert_close(torch.linalg.det(random_rotation(5, (64,))), torch.ones(64))


@pytest.mark.parametrize(("planes", "orthogonal"), VARIANTS)
def test_gradients_match_finite_differences(planes, orthogonal, random_tensor, randomize):
    rotation = randomize(Rotation(8, (2,), planes=planes, orthogonal=orthogonal), 0.3).double()
    target = random_tensor(2, 8, 8, dtype=torch.float64)
    (rotation.matrix() * target).sum().backward()
    for parameter in rotation.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().min() > 0
        for index in range(0, len(parameter), 5):
            values = []
            for step in (1e-6, -2e-6):
                with torch.no_grad():
                    parameter[index] += step
                    values.append((rotation.matrix() * target).sum().item())
            with torch.no_grad():
                parameter[index] += 1e-6
            assert parameter.grad[index].item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5, abs=1e-7)


def test_givens_alone_begin_as_plain_rotary():
    assert torch.equal(Rotation(16, orthogonal="none").matrix(), torch.eye(16))


@pytest.mark.parametrize(("share", "distinct"), [("none", 6), ("heads", 2), ("layers", 3)])
def test_sharing_ties_heads_or_layers(share, distinct, randomize):
    combined = randomize(CombinedRotation(2, 3, 8, share=share))
    matrices = combined()
    assert matrices.shape == (2, 3, 8, 8)
    assert len(matrices.flatten(0, 1).unique(dim=0)) == distinct
    assert sum(parameter.numel() for parameter in combined.parameters()) == distinct * (3 * 4 + 8 * 7 // 2)


def test_parameters_are_vectors_which_the_optimizer_does_not_decay():
    assert all(parameter.ndim == 1 for parameter in CombinedRotation(2, 3, 8).parameters())


class OperationCount(TorchDispatchMode):
    """Counts the tensor operations that run inside."""

    total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.total += 1
        return function(*args, **(kwargs or {}))


def test_composing_takes_no_more_operations_for_more_layers_heads_or_channels():
    def count(num_layers: int, num_heads: int, head_width: int, num_rounds: int) -> int:
        combined = CombinedRotation(num_layers, num_heads, head_width, planes="tournament", num_rounds=num_rounds)
        with OperationCount() as operations:
            combined()
        return operations.total

    assert count(2, 2, 8, 3) == count(6, 4, 8, 3) == count(2, 2, 32, 3) < count(2, 2, 8, 4)


def test_the_matrix_is_composed_once_for_any_number_of_tokens():
    rotation = Rotation(16)

    def count(num_tokens: int) -> int:
        with OperationCount() as operations:
            rotation(torch.zeros(2, num_tokens, 16))
        return operations.total

    assert count(1) == count(1000)


def test_layers_and_heads_are_composed_as_if_each_were_alone(randomize):
    combined = randomize(CombinedRotation(2, 3, 8))
    angles = combined.rotation.angles.detach().view(2, 3, -1)
    skew = combined.rotation.skew.detach().view(2, 3, -1)
    single = Rotation(8)
    for layer, head in np.ndindex(2, 3):
        single.start.copy_(combined.rotation.start[layer, head])
        single.load_state_dict({"angles": angles[layer, head], "skew": skew[layer, head]}, strict=False)
        torch.testing.assert_close(combined()[layer, head], single.matrix(), rtol=0, atol=1e-6)


def test_the_state_dict_holds_the_whole_rotation(randomize):
    torch.manual_seed(1)
    trained = randomize(CombinedRotation(1, 2, 8))
    other = CombinedRotation(1, 2, 8)
    other.load_state_dict(trained.state_dict())
    assert torch.equal(other(), trained())


def test_public_rotation_turns_any_tensor(random_tensor, randomize):
    rotation = randomize(Rotation(16))
    inputs = random_tensor(2, 3, 5, 16)
    turned = rotation(inputs)
    torch.testing.assert_close(turned, inputs @ rotation.matrix())
    torch.testing.assert_close(turned.norm(dim=-1), inputs.norm(dim=-1))
    torch.testing.assert_close(rotation(inputs[0, 0, 0]), turned[0, 0, 0])
    assert rotation.matrix().shape == (16, 16)
