"""Vectors, and modules as if trained, for the tests of rotations."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from audioroto.nn.rotation import apply_rotary, rotary_angles, rotary_frequencies


@pytest.fixture(scope="session")
def random_tensor() -> Callable[..., Tensor]:
    def make(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)

    return make


@pytest.fixture(scope="session")
def unit_vectors(random_tensor: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def make(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
        return nn.functional.normalize(random_tensor(*shape, seed=seed, dtype=dtype), dim=-1)

    return make


@pytest.fixture(scope="session")
def scores() -> Callable[..., Tensor]:
    """Scores (…, T, T) of queries and keys (…, T, K) at positions start, start + 1, …"""

    def compute(queries: Tensor, keys: Tensor, start: int = 0, frequencies: Tensor | None = None) -> Tensor:
        frequencies = rotary_frequencies(queries.shape[-1]) if frequencies is None else frequencies
        rotary = rotary_angles(queries.shape[-2], frequencies, start)
        return apply_rotary(queries, *rotary) @ apply_rotary(keys, *rotary).mT

    return compute


@pytest.fixture(scope="session")
def randomize(random_tensor: Callable[..., Tensor]) -> Callable[..., nn.Module]:
    """Gives a module random parameters, as if it were trained."""

    def fill(module: nn.Module, scale: float = 1.0) -> nn.Module:
        with torch.no_grad():
            for number, parameter in enumerate(module.parameters()):
                parameter.copy_(scale * random_tensor(*parameter.shape, seed=number + 1))
        return module

    return fill
