"""Rotary positions."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from audioroto.nn.rotation import (
    apply_rotary,
    rotary_angles,
    rotary_angles_at,
    rotary_frequencies,
    rotary_positional_embedding,
)


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
def test_norms_are_kept_and_position_zero_is_the_identity(spacing, unit_vectors):
    heads = unit_vectors(2, 3, 50, 64)
    turned = apply_rotary(heads, *rotary_angles(50, rotary_frequencies(64, spacing=spacing)))
    torch.testing.assert_close(turned.norm(dim=-1), heads.norm(dim=-1))
    torch.testing.assert_close(turned[:, :, 0], heads[:, :, 0], rtol=0, atol=0)
    assert (turned[:, :, 1] - heads[:, :, 1]).abs().max() > 0.1


@pytest.mark.parametrize("shift", [1, 7, 1000, 100_000])
def test_scores_depend_on_distance_alone(shift, unit_vectors, scores):
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
def test_mean_score_of_equal_vectors_falls_off_with_distance(spacing, unit_vectors, scores):
    vectors = unit_vectors(20, 1, 64).expand(-1, 1025, -1)
    falling = scores(vectors, vectors, frequencies=rotary_frequencies(64, spacing=spacing))[:, 0].mean(0)
    bands = [
        falling[near:far].mean().item() for near, far in [(0, 1), (1, 8), (8, 32), (32, 128), (128, 512), (512, 1025)]
    ]
    assert bands[0] == pytest.approx(1, abs=1e-5)
    assert bands == sorted(bands, reverse=True)
    assert bands[-1] < 0.4


def test_step_by_step_equals_the_full_pass(unit_vectors, scores):
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


def test_turns_are_those_of_plane_rotations(random_tensor):
    heads, angle = random_tensor(1, 1, 1, 2), 0.7
    turned = apply_rotary(heads, torch.tensor([[math.cos(angle)]]), torch.tensor([[math.sin(angle)]]))
    plane = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    torch.testing.assert_close(turned, heads @ plane)


def test_gradient_reaches_queries_and_keys(random_tensor, unit_vectors, scores):
    queries, keys = (unit_vectors(2, 5, 8, seed=seed).transpose(0, 1).requires_grad_() for seed in (0, 1))
    weights = random_tensor(5, 2, 2)
    gradients = torch.autograd.grad((scores(queries, keys) * weights).sum(), (queries, keys))
    rotary = rotary_angles(2, rotary_frequencies(8))
    back = apply_rotary(weights @ apply_rotary(keys, *rotary), rotary[0], -rotary[1])
    torch.testing.assert_close(gradients[0], back)
    back = apply_rotary(weights.mT @ apply_rotary(queries, *rotary), rotary[0], -rotary[1])
    torch.testing.assert_close(gradients[1], back)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_layout_in_memory_and_dtype_do_not_matter(dtype, random_tensor):
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


def test_gradient_reaches_frequencies_of_each_head(random_tensor):
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
