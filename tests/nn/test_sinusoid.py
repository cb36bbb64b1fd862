import math

import pytest
import torch
from torch import Tensor

from audioroto.nn.rotation import rotary_positional_embedding
from audioroto.nn.sinusoid import SinusoidalEmbedding


def make_embedding(checkpoint: bool = False) -> SinusoidalEmbedding:
    return SinusoidalEmbedding(16, checkpoint, num_positions=20)


def trained(embedding: SinusoidalEmbedding) -> SinusoidalEmbedding:
    """The embedding with a table and a gain as training might leave them."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        embedding.table.add_(torch.randn(embedding.table.shape, generator=generator))
        embedding.gain.fill_(3.0)
    return embedding


def test_begins_as_sinusoids():
    rows = make_embedding()(20)
    torch.testing.assert_close(rows, rotary_positional_embedding(torch.arange(20), 16))


def test_row_norm_equals_the_gain_within_the_table_and_beyond():
    embedding = trained(make_embedding())
    torch.testing.assert_close(embedding(30).norm(dim=-1), torch.full((30,), 3.0))
    torch.testing.assert_close(make_embedding()(30).norm(dim=-1), torch.full((30,), math.sqrt(8)))


def test_beyond_the_table_the_sinusoid_continues():
    rows = trained(make_embedding())(30)
    sinusoids = rotary_positional_embedding(torch.arange(20, 30), 16)
    torch.testing.assert_close(rows[20:], 3.0 * sinusoids / math.sqrt(8))
    assert (rows[:20] - 3.0 * rotary_positional_embedding(torch.arange(20), 16) / math.sqrt(8)).abs().max() > 0.5


@pytest.mark.parametrize("checkpoint", [True, False])
def test_any_stretch_is_that_of_the_whole(checkpoint):
    embedding = trained(make_embedding(checkpoint))
    whole = embedding(40)
    for offset in range(30):
        for num_rows in (0, 1, 7):
            torch.testing.assert_close(embedding(num_rows, offset), whole[offset : offset + num_rows], rtol=0, atol=0)


def gradients(embedding: SinusoidalEmbedding) -> list[Tensor]:
    weights = torch.randn(30, 16, generator=torch.Generator().manual_seed(1))
    return list(torch.autograd.grad((embedding(30) * weights).sum(), list(embedding.parameters())))


def test_gradients_reach_table_and_gain_and_are_equal_with_activation_checkpointing():
    plain = gradients(trained(make_embedding()))
    checkpointed = gradients(trained(make_embedding(checkpoint=True)))
    assert len(plain) == len(checkpointed) == 2
    for without, with_ in zip(plain, checkpointed, strict=True):
        assert torch.equal(without, with_)
        assert (without != 0).all()


def test_checkpointing_keeps_fewer_activations():
    def kept_elements(checkpoint: bool) -> int:
        sizes: list[int] = []
        embedding = make_embedding(checkpoint)
        own = {parameter.data_ptr() for parameter in embedding.parameters()}

        def keep(tensor: Tensor) -> Tensor:
            sizes.append(tensor.numel() if tensor.data_ptr() not in own else 0)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            embedding(30).sum()
        return sum(sizes)

    assert kept_elements(checkpoint=False) > 0
    assert kept_elements(checkpoint=True) == 0
