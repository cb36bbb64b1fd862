"""The learned rotation and rotary together."""

import pytest
import torch
from torch import Tensor, nn

from audioroto.nn.rotation import (
    CombinedRotation,
    Rotation,
    apply_rotary,
    fold_into_projection,
    rotary_angles,
    rotary_frequencies,
)


@pytest.fixture
def trained_matrix(randomize):
    """A rotation in float64, as if trained."""

    def make(dim: int) -> Tensor:
        torch.manual_seed(0)
        return randomize(Rotation(dim)).matrix().detach().double()

    return make


def test_zero_angles_and_no_rotation_are_plain_rotary_bit_for_bit(random_tensor, scores):
    combined = CombinedRotation(2, 3, 16)
    combined.rotation.start.copy_(torch.eye(16).expand_as(combined.rotation.start))
    matrices = combined().detach()
    queries, keys = random_tensor(1, 3, 9, 16), random_tensor(1, 3, 9, 16, seed=1)
    for layer in range(2):
        assert torch.equal(queries @ matrices[layer], queries)
        assert torch.equal(scores(queries @ matrices[layer], keys @ matrices[layer]), scores(queries, keys))


def test_after_rotary_the_same_rotation_cancels_and_has_no_gradient(random_tensor, unit_vectors, randomize):
    queries, keys = unit_vectors(20, 64, dtype=torch.float64), unit_vectors(20, 64, seed=1, dtype=torch.float64)
    rotary = rotary_angles(20, rotary_frequencies(64))
    turned = [apply_rotary(heads, *rotary) for heads in (queries, keys)]
    rotation = randomize(Rotation(64)).double()
    rotation.start.copy_(torch.linalg.qr(rotation.start)[0])  # orthogonal in float64, not only in float32
    after = (turned[0] @ rotation.matrix()) @ (turned[1] @ rotation.matrix()).mT
    assert (after - turned[0] @ turned[1].mT).abs().max() < 1e-14
    (after * random_tensor(20, 20, seed=2, dtype=torch.float64)).sum().backward()
    for parameter in rotation.parameters():
        assert parameter.grad.abs().max() < 1e-13


def test_before_rotary_it_stays_relative_and_changes_scores(unit_vectors, scores, trained_matrix):
    matrix = trained_matrix(64).float()
    queries, keys = unit_vectors(20, 64) @ matrix, unit_vectors(20, 64, seed=1) @ matrix
    assert (scores(queries, keys, 100_000) - scores(queries, keys)).abs().max() < 1e-5
    assert (scores(queries, keys) - scores(queries @ matrix.T, keys @ matrix.T)).abs().max() > 0.05


def test_position_dependent_overlapping_planes_are_relative_only_when_summed():
    """Why the learned rotation does not depend on position: overlapping planes multiplied have no relative form."""
    first, second = torch.zeros(2, 3, 3, dtype=torch.float64)
    first[0, 1], first[1, 0], second[1, 2], second[2, 1] = 0.9, -0.9, 0.5, -0.5

    def multiplied(position: int) -> Tensor:
        return torch.linalg.matrix_exp(position * first) @ torch.linalg.matrix_exp(position * second)

    def summed(position: int) -> Tensor:
        return torch.linalg.matrix_exp(position * (first + second))

    def error(matrix) -> float:
        return max((matrix(3 + m) @ matrix(m).T - matrix(3) @ matrix(0).T).abs().max().item() for m in range(20))

    assert error(multiplied) > 1
    assert error(summed) < 1e-12


def test_folded_equals_unfolded(random_tensor, randomize):
    combined = randomize(CombinedRotation(2, 4, 16))
    folded = combined.fold()
    assert torch.equal(folded(), combined())
    assert not list(folded.parameters())
    weight, frames = random_tensor(64, 24), random_tensor(5, 24, seed=1)
    heads = (frames @ weight.T).unflatten(-1, (4, 16)).transpose(0, 1)  # (H, T, K)
    expected = heads @ combined()[1]
    found = (frames @ fold_into_projection(weight, folded()[1]).T).unflatten(-1, (4, 16)).transpose(0, 1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_gain_between_projection_and_rotation_is_more_than_a_reparametrisation(random_tensor, trained_matrix):
    """Gains of a query/key normalisation stand in the way: no weight gives for all inputs what gain, then P, gives."""
    matrix = trained_matrix(16)
    gain = torch.linspace(0.5, 2, 16, dtype=torch.float64)
    weight, frames = random_tensor(16, 24, dtype=torch.float64), random_tensor(100, 24, seed=1, dtype=torch.float64)
    projected = frames @ weight.T
    wanted = nn.functional.rms_norm(projected, (16,)) * gain @ matrix
    folded = fold_into_projection(weight, matrix[None])
    refolded = nn.functional.rms_norm(frames @ folded.T, (16,)) * gain
    assert (wanted - refolded).abs().max() > 0.1
    best = torch.linalg.lstsq(frames, wanted).solution
    assert (frames @ best - wanted).abs().max() > 0.1
