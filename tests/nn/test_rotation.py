import numpy as np
import pytest
import torch

from audioroto.nn.rotation import apply_rotary, rotary_angles, rotary_frequencies


def unit_vectors(*shape: int) -> torch.Tensor:
    vectors = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return vectors / vectors.norm(dim=-1, keepdim=True)


def test_frequencies_are_the_papers():
    expected = [10000.0 ** (-2 * pair / 64) for pair in range(32)]
    np.testing.assert_allclose(rotary_frequencies(64).numpy(), expected, rtol=1e-12)


def test_odd_head_width_is_refused():
    with pytest.raises(ValueError, match="even"):
        rotary_frequencies(63)


def test_norms_are_kept_and_position_zero_is_the_identity():
    heads = unit_vectors(2, 3, 50, 64)
    turned = apply_rotary(heads, *rotary_angles(50, rotary_frequencies(64)))
    torch.testing.assert_close(turned.norm(dim=-1), heads.norm(dim=-1))
    torch.testing.assert_close(turned[:, :, 0], heads[:, :, 0], rtol=0, atol=0)


@pytest.mark.parametrize("shift", [1, 7, 1000, 100_000])
def test_scores_depend_on_distance_alone(shift):
    cosine, sine = rotary_angles(shift + 20, rotary_frequencies(64))
    queries, keys = unit_vectors(1, 1, 20, 64), unit_vectors(1, 1, 20, 64).flip(-1)

    def scores(start: int) -> torch.Tensor:
        span = slice(start, start + 20)
        turned = [apply_rotary(heads, cosine[span], sine[span]) for heads in (queries, keys)]
        return turned[0] @ turned[1].transpose(-1, -2)

    assert (scores(shift) - scores(0)).abs().max() < 1e-5
