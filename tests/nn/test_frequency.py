import math

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from audioroto.nn.frequency import RotaryBase
from audioroto.nn.rotation import apply_rotary, rotary_angles, rotary_frequencies

MODES = ["fixed", "loss", "learned", "learned_frequencies"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("spacing", ["standard", "endpoint"])
def test_every_mode_begins_at_the_given_base(mode, spacing):
    rotary_base = RotaryBase(16, num_heads=3, base=500.0, spacing=spacing, mode=mode)
    expected = rotary_frequencies(16, 500.0, spacing)
    shape = (3, 8) if mode == "learned_frequencies" else (8,)
    assert rotary_base.frequencies().shape == shape
    torch.testing.assert_close(rotary_base.frequencies(), expected.expand(shape), rtol=1e-6, atol=0)
    assert rotary_base.base == pytest.approx(500, rel=1e-6)


@pytest.mark.parametrize("mode", ["fixed", "loss"])
def test_without_learning_it_is_plain_rotary_bit_for_bit(mode):
    rotary_base = RotaryBase(16, mode=mode)
    assert not list(rotary_base.parameters())
    for found, expected in zip(rotary_base(9, 4), rotary_angles(9, rotary_frequencies(16), 4), strict=True):
        assert torch.equal(found, expected)


class Scores(nn.Module):
    """A stand-in for one layer of attention: scores of fixed queries and keys, under a shared base."""

    def __init__(self, rotary_base: RotaryBase, seed: int) -> None:
        super().__init__()
        self.rotary_base = rotary_base
        generator = torch.Generator().manual_seed(seed)
        self.heads = nn.Parameter(torch.randn(3, 12, 16, generator=generator))

    def forward(self, rotary: tuple[Tensor, Tensor] | None = None) -> Tensor:
        cosine, sine = rotary or self.rotary_base(12)
        turned = apply_rotary(self.heads, cosine, sine)
        return (turned @ turned.mT).square().sum()


def test_every_module_sees_a_new_base_at_the_next_forward():
    rotary_base = RotaryBase(16, mode="loss")
    modules = [Scores(rotary_base, seed) for seed in (0, 1)]
    before = [module().item() for module in modules]
    rotary_base.base = 100.0
    others = [Scores(RotaryBase(16, base=100.0), seed) for seed in (0, 1)]
    for module, other, old in zip(modules, others, before, strict=True):
        assert module().item() == other().item() != old


@pytest.mark.parametrize("mode", ["fixed", "learned", "learned_frequencies"])
def test_only_mode_loss_is_set_from_outside(mode):
    with pytest.raises(ValueError, match=mode):
        RotaryBase(16, mode=mode).base = 100.0


@pytest.mark.parametrize("mode", MODES)
def test_state_dict_holds_what_changes(mode):
    changed = RotaryBase(16, num_heads=2, mode=mode)
    with torch.no_grad():
        for tensor in changed.state_dict(keep_vars=True).values():
            tensor.mul_(0.7)
    other = RotaryBase(16, num_heads=2, mode=mode)
    other.load_state_dict(changed.state_dict())
    assert torch.equal(other.frequencies(), changed.frequencies())
    assert other.base == changed.base == pytest.approx(10000**0.7, rel=1e-5)


@pytest.mark.parametrize("mode", ["learned", "learned_frequencies"])
def test_parameters_are_no_matrices_which_the_optimizer_would_decay(mode):
    (parameter,) = RotaryBase(16, num_heads=2, mode=mode).parameters()
    assert parameter.ndim < 2


@pytest.mark.parametrize("mode", ["learned", "learned_frequencies"])
def test_gradients_match_finite_differences(mode):
    rotary_base = RotaryBase(16, num_heads=3, base=50.0, mode=mode)
    layer = Scores(rotary_base, 0)
    (parameter,) = rotary_base.parameters()
    (gradient,) = torch.autograd.grad(layer(), parameter)
    flat = parameter.data.view(-1)
    for index in range(len(flat)):
        values = []
        for step in (1e-2, -2e-2):
            flat[index] += step
            values.append(layer().item())
        flat[index] += 1e-2
        scale = gradient.abs().max().item()
        assert gradient.view(-1)[index].item() == pytest.approx((values[0] - values[1]) / 2e-2, abs=0.01 * scale)
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("mode", ["learned", "learned_frequencies"])
@pytest.mark.parametrize("shared", [True, False])
def test_gradients_are_equal_with_activation_checkpointing(mode, shared):
    """`shared`: angles made once for all layers, outside the checkpoint, as in the encoder; or by each layer inside."""
    rotary_base = RotaryBase(16, num_heads=3, mode=mode)
    layers = [Scores(rotary_base, seed) for seed in (0, 1)]
    (parameter,) = rotary_base.parameters()

    def loss(checkpointed: bool) -> Tensor:
        rotary = rotary_base(12) if shared else None
        if checkpointed:
            return sum(checkpoint(layer, rotary, use_reentrant=False) for layer in layers)
        return sum(layer(rotary) for layer in layers)

    plain, checkpointed = (torch.autograd.grad(loss(flag), parameter)[0] for flag in (False, True))
    assert torch.equal(plain, checkpointed)
    assert plain.abs().max() > 0


def score_curve(rotary_base: RotaryBase) -> Tensor:
    """Scores of fixed queries with fixed keys, at distances 0 to 7: too near for a wrong base to match by chance."""
    queries, keys = torch.randn(2, 64, 1, 32, generator=torch.Generator().manual_seed(0))
    turned = apply_rotary(keys.expand(-1, 8, -1), *rotary_base(8))
    return turned @ queries.mT


@pytest.mark.parametrize("start", [30.0, 1000.0])
@pytest.mark.parametrize("mode", ["learned", "learned_frequencies"])
def test_learning_finds_the_best_base_from_either_side(mode, start):
    """The best base is known: the scores to be matched were made with base 200."""
    target = score_curve(RotaryBase(32, base=200.0))
    rotary_base = RotaryBase(32, base=start, mode=mode)
    optimizer = torch.optim.Adam(rotary_base.parameters(), lr=0.02)
    for _ in range(400):
        optimizer.zero_grad()
        (score_curve(rotary_base) - target).square().mean().backward()
        optimizer.step()
    assert abs(math.log(rotary_base.base / 200)) < 0.1


def test_a_learned_base_stays_on_a_loss_that_falls_by_itself():
    rotary_base = RotaryBase(32, mode="learned")
    weight = nn.Parameter(torch.ones(()))
    optimizer = torch.optim.Adam([*rotary_base.parameters(), weight], lr=0.02)
    for _ in range(50):
        optimizer.zero_grad()
        (weight.square() + 0 * score_curve(rotary_base).sum()).backward()
        optimizer.step()
    assert weight < 0.5
    assert rotary_base.base == pytest.approx(10000, rel=1e-6)


def test_pairs_that_turn_within_400_frames():
    """What moving the base is about: at base 10 000, half of the pairs never complete a turn in an utterance."""
    for base, expected in ((10000.0, 15), (100.0, 29)):
        assert int((RotaryBase(64, base=base).frequencies() * 400 >= 2 * math.pi).sum()) == expected
