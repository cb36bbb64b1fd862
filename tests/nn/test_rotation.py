import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from audioroto.nn.rotation import (
    CombinedRotation,
    Rotation,
    apply_rotary,
    fold_into_projection,
    givens_rounds,
    random_rotation,
    rotary_angles,
    rotary_angles_at,
    rotary_frequencies,
    rotary_positional_embedding,
)


def random_tensor(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def unit_vectors(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return nn.functional.normalize(random_tensor(*shape, seed=seed, dtype=dtype), dim=-1)


def scores(queries: Tensor, keys: Tensor, start: int = 0, frequencies: Tensor | None = None) -> Tensor:
    """Scores (…, T, T) of queries and keys (…, T, K) at positions start, start + 1, …"""
    frequencies = rotary_frequencies(queries.shape[-1]) if frequencies is None else frequencies
    rotary = rotary_angles(queries.shape[-2], frequencies, start)
    return apply_rotary(queries, *rotary) @ apply_rotary(keys, *rotary).mT


def randomize(rotation: nn.Module, scale: float = 1.0) -> nn.Module:
    """The module with random parameters, as if trained."""
    with torch.no_grad():
        for number, parameter in enumerate(rotation.parameters()):
            parameter.copy_(scale * random_tensor(*parameter.shape, seed=number + 1))
    return rotation


# --- rotary positions


@pytest.mark.parametrize(("dim", "base"), [(2, 10000.0), (64, 10000.0), (10, 37.0)])
def test_the_public_function_is_its_numpy_one_liner(dim, base):
    positions = np.array([0, 1, 2, 77, 5000, 100_000])
    angles = positions[:, None] * np.exp(np.linspace(0, -1, dim // 2) * np.log(base))
    expected = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(len(positions), dim)
    found = rotary_positional_embedding(torch.from_numpy(positions), dim, base)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-7)
    single = rotary_positional_embedding(77, dim, base)
    assert single.shape == (1, dim)
    assert torch.equal(single[0], found[3])


def test_standard_frequencies_are_the_papers():
    expected = [10000.0 ** (-2 * pair / 64) for pair in range(32)]
    np.testing.assert_allclose(rotary_frequencies(64).numpy(), expected, rtol=1e-12)


def test_endpoint_frequencies_end_at_one_over_the_base():
    frequencies = rotary_frequencies(64, base=500.0, spacing="endpoint")
    assert frequencies[0] == 1
    assert frequencies[-1].item() == pytest.approx(1 / 500, rel=1e-14)
    np.testing.assert_allclose((frequencies[1:] / frequencies[:-1]).numpy(), 500 ** (-1 / 31), rtol=1e-12)


def test_odd_widths_are_refused():
    for function in (rotary_frequencies, lambda width: rotary_positional_embedding(3, width)):
        with pytest.raises(ValueError, match="even"):
            function(63)


@pytest.mark.parametrize("spacing", ["standard", "endpoint"])
def test_norms_are_kept_and_position_zero_is_the_identity(spacing):
    heads = unit_vectors(2, 3, 50, 64)
    turned = apply_rotary(heads, *rotary_angles(50, rotary_frequencies(64, spacing=spacing)))
    torch.testing.assert_close(turned.norm(dim=-1), heads.norm(dim=-1))
    torch.testing.assert_close(turned[:, :, 0], heads[:, :, 0], rtol=0, atol=0)
    assert (turned[:, :, 1] - heads[:, :, 1]).abs().max() > 0.1


@pytest.mark.parametrize("shift", [1, 7, 1000, 100_000])
def test_scores_depend_on_distance_alone(shift):
    queries, keys = unit_vectors(20, 64), unit_vectors(20, 64, seed=1)
    assert (scores(queries, keys, shift) - scores(queries, keys)).abs().max() < 1e-5


def test_float32_angles_would_break_that():
    angles = (torch.arange(100_000, 100_020).float()[:, None] * rotary_frequencies(64).float()).double()
    exact = rotary_angles(20, rotary_frequencies(64), 100_000)[0]
    assert (angles.cos() - exact).abs().max() > 1e-4


def test_bfloat16_autocast_leaves_angles_alone():
    with torch.autocast("cpu", torch.bfloat16):
        inside = rotary_angles(20, rotary_frequencies(64), 100_000)
    for found, expected in zip(inside, rotary_angles(20, rotary_frequencies(64), 100_000), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("spacing", ["standard", "endpoint"])
def test_mean_score_of_equal_vectors_falls_off_with_distance(spacing):
    vectors = unit_vectors(20, 1, 64).expand(-1, 1025, -1)
    falling = scores(vectors, vectors, frequencies=rotary_frequencies(64, spacing=spacing))[:, 0].mean(0)
    bands = [
        falling[near:far].mean().item() for near, far in [(0, 1), (1, 8), (8, 32), (32, 128), (128, 512), (512, 1025)]
    ]
    assert bands[0] == pytest.approx(1, abs=1e-5)
    assert bands == sorted(bands, reverse=True)
    assert bands[-1] < 0.4


def test_step_by_step_equals_the_full_pass():
    queries, keys = unit_vectors(1, 1, 30, 64), unit_vectors(1, 1, 30, 64, seed=1)
    frequencies = rotary_frequencies(64)
    full = scores(queries, keys)
    cache = torch.zeros(1, 1, 0, 64)
    for position in range(30):
        rotary = rotary_angles(1, frequencies, offset=position)
        step = slice(position, position + 1)
        cache = torch.cat((cache, apply_rotary(keys[:, :, step], *rotary)), dim=2)
        row = apply_rotary(queries[:, :, step], *rotary) @ cache.mT
        torch.testing.assert_close(row, full[:, :, step, : position + 1], rtol=0, atol=1e-6)


def test_turns_are_those_of_plane_rotations():
    heads, angle = random_tensor(1, 1, 1, 2), 0.7
    turned = apply_rotary(heads, torch.tensor([[math.cos(angle)]]), torch.tensor([[math.sin(angle)]]))
    plane = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    torch.testing.assert_close(turned, heads @ plane)


def test_gradient_reaches_queries_and_keys():
    queries, keys = (unit_vectors(2, 5, 8, seed=seed).transpose(0, 1).requires_grad_() for seed in (0, 1))
    weights = random_tensor(5, 2, 2)
    gradients = torch.autograd.grad((scores(queries, keys) * weights).sum(), (queries, keys))
    rotary = rotary_angles(2, rotary_frequencies(8))
    back = apply_rotary(weights @ apply_rotary(keys, *rotary), rotary[0], -rotary[1])
    torch.testing.assert_close(gradients[0], back)
    back = apply_rotary(weights.mT @ apply_rotary(queries, *rotary), rotary[0], -rotary[1])
    torch.testing.assert_close(gradients[1], back)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_layout_in_memory_and_dtype_do_not_matter(dtype):
    """Heads as attention cuts them out of a projection, and layouts in which a pair is no complex number."""
    rotary = rotary_angles(7, rotary_frequencies(8))
    projected = random_tensor(2, 7, 3 * 16, dtype=dtype)
    heads = projected[..., 16:32].unflatten(-1, (2, 8)).transpose(1, 2)
    odd_start = random_tensor(1 + heads.numel(), dtype=dtype)[1:].view(heads.shape)
    channels_first = random_tensor(2, 2, 8, 7, dtype=dtype).mT
    for layout in (heads, odd_start, channels_first):
        turned = apply_rotary(layout, *rotary)
        assert turned.dtype == dtype
        torch.testing.assert_close(turned, apply_rotary(layout.clone(memory_format=torch.contiguous_format), *rotary))
        exact = apply_rotary(layout.double(), *rotary)
        tolerance = {torch.bfloat16: 0.02, torch.float32: 1e-6, torch.float64: 0.0}[dtype]
        assert (turned.double() - exact).abs().max() <= tolerance


def test_positions_between_frames_and_of_each_utterance():
    frequencies = torch.stack((rotary_frequencies(8), rotary_frequencies(8, base=100.0)))  # (H, K/2)
    positions = torch.tensor([[0.0, 1.5, 3.0], [0.5, 2.5, 4.5]])  # (B, T)
    cosine, sine = rotary_angles_at(positions[:, None], frequencies)
    assert cosine.shape == sine.shape == (2, 2, 3, 4)
    for utterance in range(2):
        for head in range(2):
            angles = positions[utterance, :, None].double() * frequencies[head]
            torch.testing.assert_close(cosine[utterance, head], angles.cos().float())
            torch.testing.assert_close(sine[utterance, head], angles.sin().float())
    assert rotary_angles_at(positions[:, None], frequencies[0])[0].shape == (2, 1, 3, 4)
    assert rotary_angles(5, frequencies)[0].shape == (2, 5, 4)


def test_gradient_reaches_frequencies_of_each_head():
    frequencies = torch.stack((rotary_frequencies(4), rotary_frequencies(4, base=100.0))).requires_grad_()
    heads = random_tensor(1, 2, 6, 4, dtype=torch.float64)

    def loss(frequencies: Tensor) -> Tensor:
        return (apply_rotary(heads, *rotary_angles(6, frequencies)) * heads.flip(-1)).sum()

    (gradient,) = torch.autograd.grad(loss(frequencies), frequencies)
    step = 1e-3  # sines are float32
    for index in np.ndindex(2, 2):
        shifted = [frequencies.detach().clone() for _ in range(2)]
        shifted[0][index] += step
        shifted[1][index] -= step
        numeric = (loss(shifted[0]) - loss(shifted[1])) / (2 * step)
        assert gradient[index].item() == pytest.approx(numeric.item(), rel=1e-2, abs=1e-2)
    assert gradient.abs().min() > 0


# --- the learned rotation


@pytest.mark.parametrize(("planes", "num_rounds"), [("butterfly", 6), ("tournament", 63)])
def test_rounds_are_disjoint_planes_of_two_channels(planes, num_rounds):
    rounds = givens_rounds(64, planes)
    channels = torch.arange(64)
    assert rounds.shape == (num_rounds, 64)
    assert (rounds != channels).all()
    assert torch.equal(rounds.gather(1, rounds), channels.expand_as(rounds))


def test_tournament_has_every_plane_once_and_butterfly_links_every_channel():
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
def test_fast_rounds_equal_the_naive_product(planes, num_rounds):
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


def test_exponential_and_cayley_are_their_formulas():
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
def test_large_parameters_are_rotations_too(orthogonal):
    combined = randomize(CombinedRotation(2, 3, 64, orthogonal=orthogonal), 0.5)
    assert largest_error(combined().detach()) < 1e-5


def test_random_rotations_have_determinant_plus_one():
    torch.manual_seed(0)
    torch.testing.assert_close(torch.linalg.det(random_rotation(5, (64,))), torch.ones(64))


@pytest.mark.parametrize(("planes", "orthogonal"), VARIANTS)
def test_gradients_match_finite_differences(planes, orthogonal):
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


def test_zero_angles_and_no_rotation_are_plain_rotary_bit_for_bit():
    combined = CombinedRotation(2, 3, 16)
    combined.rotation.start.copy_(torch.eye(16).expand_as(combined.rotation.start))
    matrices = combined().detach()
    queries, keys = random_tensor(1, 3, 9, 16), random_tensor(1, 3, 9, 16, seed=1)
    for layer in range(2):
        assert torch.equal(queries @ matrices[layer], queries)
        assert torch.equal(scores(queries @ matrices[layer], keys @ matrices[layer]), scores(queries, keys))


def test_givens_alone_begin_as_plain_rotary():
    assert torch.equal(Rotation(16, orthogonal="none").matrix(), torch.eye(16))


@pytest.mark.parametrize(("share", "distinct"), [("none", 6), ("heads", 2), ("layers", 3)])
def test_sharing_ties_heads_or_layers(share, distinct):
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


def test_layers_and_heads_are_composed_as_if_each_were_alone():
    combined = randomize(CombinedRotation(2, 3, 8))
    angles = combined.rotation.angles.detach().view(2, 3, -1)
    skew = combined.rotation.skew.detach().view(2, 3, -1)
    single = Rotation(8)
    for layer, head in np.ndindex(2, 3):
        single.start.copy_(combined.rotation.start[layer, head])
        single.load_state_dict({"angles": angles[layer, head], "skew": skew[layer, head]}, strict=False)
        torch.testing.assert_close(combined()[layer, head], single.matrix(), rtol=0, atol=1e-6)


def test_the_state_dict_holds_the_whole_rotation():
    torch.manual_seed(1)
    trained = randomize(CombinedRotation(1, 2, 8))
    other = CombinedRotation(1, 2, 8)
    other.load_state_dict(trained.state_dict())
    assert torch.equal(other(), trained())


def test_public_rotation_turns_any_tensor():
    rotation = randomize(Rotation(16))
    inputs = random_tensor(2, 3, 5, 16)
    turned = rotation(inputs)
    torch.testing.assert_close(turned, inputs @ rotation.matrix())
    torch.testing.assert_close(turned.norm(dim=-1), inputs.norm(dim=-1))
    torch.testing.assert_close(rotation(inputs[0, 0, 0]), turned[0, 0, 0])
    assert rotation.matrix().shape == (16, 16)


# --- the learned rotation and rotary together


def trained_matrix(dim: int, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return randomize(Rotation(dim)).matrix().detach().double()


def test_after_rotary_the_same_rotation_cancels_and_has_no_gradient():
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


def test_before_rotary_it_stays_relative_and_changes_scores():
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


def test_folded_equals_unfolded():
    combined = randomize(CombinedRotation(2, 4, 16))
    folded = combined.fold()
    assert torch.equal(folded(), combined())
    assert not list(folded.parameters())
    weight, frames = random_tensor(64, 24), random_tensor(5, 24, seed=1)
    heads = (frames @ weight.T).unflatten(-1, (4, 16)).transpose(0, 1)  # (H, T, K)
    expected = heads @ combined()[1]
    found = (frames @ fold_into_projection(weight, folded()[1]).T).unflatten(-1, (4, 16)).transpose(0, 1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_gain_between_projection_and_rotation_is_more_than_a_reparametrisation():
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
