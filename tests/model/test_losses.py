"""What may be added to the CTC loss: a second view of each utterance, and earlier blocks."""

import pytest
import torch

from audioroto.config import Config, load_config
from audioroto.errors import UserError
from audioroto.model.asr import AsrModel, Losses, build_model

SECONDS = [1.0, 0.75]
TOKENS, TOKEN_LENGTHS = torch.tensor([[3, 4, 3], [5, 6, 0]]), torch.tensor([3, 2])
DECODER = {"num_blocks": 1, "num_heads": 2, "feedforward_width": 64}


def make_model(config: Config, decoder: bool = False, **loss: object) -> AsrModel:
    settings = {"loss": config.loss.model_copy(update=loss)}
    if decoder:
        settings["decoder"] = config.decoder.model_copy(update=DECODER)
    return build_model(config.model_copy(update=settings), 10)


def compute(model: AsrModel, rows: slice = slice(None), seeds: tuple[int, ...] | None = (1, 2)) -> Losses:
    lengths = torch.tensor([round(16000 * seconds) for seconds in SECONDS])[rows]
    waveforms = 0.1 * torch.randn(2, 16000, generator=torch.Generator().manual_seed(0))[rows, : int(lengths.max())]
    num_tokens = int(TOKEN_LENGTHS[rows].max())
    chosen = None if seeds is None else list(seeds[rows])
    return model.loss(waveforms, lengths, TOKENS[rows, :num_tokens], TOKEN_LENGTHS[rows], augment_seeds=chosen)


@pytest.mark.parametrize("decoder", [False, True])
def test_switched_off_there_is_no_trace_of_them(tiny_config, decoder):
    plain = compute(make_model(tiny_config, decoder).eval())
    assert plain.intermediate is None
    assert plain.consistency is None
    # Without augmentation there is one view, whatever the weight; earlier blocks are for training alone.
    both = make_model(tiny_config, decoder, consistency_weight=0.2, intermediate_weight=0.3).eval()
    single = compute(make_model(tiny_config, decoder).eval(), seeds=None)
    assert compute(both, seeds=None).consistency is None
    frames, lengths = both.encode(0.1 * torch.randn(2, 16000), torch.tensor([16000, 12000]))
    assert both.compute_losses(frames, lengths, TOKENS, TOKEN_LENGTHS).intermediate is None
    assert torch.equal(compute(both, seeds=None).ctc, single.ctc)


@pytest.mark.parametrize("decoder", [False, True])
def test_two_views_cost_their_mean_and_what_they_differ_by(tiny_config, decoder):
    plain = make_model(tiny_config, decoder).eval()
    model = make_model(tiny_config, decoder, consistency_weight=0.5).eval()
    found = compute(model)
    first, second = compute(plain), compute(plain, seeds=(1 ^ 0x4F1BBCDCBFA53E0B, 2 ^ 0x4F1BBCDCBFA53E0B))
    assert not torch.equal(first.ctc, second.ctc)
    torch.testing.assert_close(found.ctc, (first.ctc + second.ctc) / 2)
    assert found.consistency > 0
    total = found.ctc + 0.5 * found.consistency
    if decoder:
        torch.testing.assert_close(found.attention, (first.attention + second.attention) / 2)
        total = 0.3 * total + 0.7 * found.attention
    torch.testing.assert_close(found.total, total)


@pytest.mark.parametrize("decoder", [False, True])
def test_the_terms_are_sums_over_utterances_whatever_their_company(tiny_config, decoder):
    model = make_model(tiny_config, decoder, consistency_weight=0.2, intermediate_weight=0.3).eval()
    both = compute(model)
    each = [compute(model, slice(row, row + 1)) for row in range(2)]
    for part in ("total", "ctc", "intermediate", "consistency"):
        torch.testing.assert_close(getattr(both, part), sum(getattr(one, part) for one in each), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("decoder", [False, True])
def test_every_parameter_gets_a_finite_gradient(tiny_config, decoder):
    model = make_model(tiny_config, decoder, consistency_weight=0.2, intermediate_weight=0.3)
    torch.manual_seed(0)
    compute(model).total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


def test_the_view_of_an_utterance_follows_from_its_seed_alone(tiny_config):
    model = make_model(tiny_config, consistency_weight=0.2).eval()
    assert torch.equal(compute(model).total, compute(model).total)
    assert not torch.equal(compute(model).consistency, compute(model, seeds=(3, 4)).consistency)


def test_an_earlier_blocks_loss_is_ctc_through_the_same_norm_and_head(tiny_config):
    model = make_model(tiny_config, intermediate_weight=0.3, intermediate_blocks=(1,)).eval()
    found = compute(model)
    with torch.no_grad():
        del model.encoder.blocks[1:]
        assert torch.equal(compute(make_plain(model)).ctc, found.intermediate)
    torch.testing.assert_close(found.total, 0.7 * found.ctc + 0.3 * found.intermediate)


def make_plain(model: AsrModel) -> AsrModel:
    model.loss_settings = model.loss_settings.model_copy(update={"intermediate_weight": 0.0})
    return model


def test_the_middle_block_is_the_default_and_several_are_averaged(tiny_config):
    deep = tiny_config.model_copy(update={"encoder": tiny_config.encoder.model_copy(update={"num_blocks": 4})})
    each = [
        compute(make_model(deep, intermediate_weight=0.3, intermediate_blocks=blocks).eval()).intermediate
        for blocks in ((), (2,), (3,), (2, 3))
    ]
    assert torch.equal(each[0], each[1])
    torch.testing.assert_close(each[3], (each[1] + each[2]) / 2)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["loss.intermediate_weight=0.3", "loss.intermediate_blocks=[10]"],
            "block 10 is not before the last of encoder.num_blocks 10",
        ),
        (["loss.intermediate_weight=0.3", "encoder.num_blocks=1"], "block 1 is not before the last"),
        (["loss.intermediate_blocks=[3, 2]"], "must ascend"),
        (["loss.intermediate_blocks=[0]"], "must ascend from 1"),
    ],
)
def test_blocks_that_are_not_there_are_refused(overrides, message):
    with pytest.raises(UserError, match=message):
        load_config([], overrides)


def test_an_alignment_that_does_not_exist_adds_nothing_in_either_view(tiny_config):
    model = make_model(tiny_config, consistency_weight=0.2).eval()
    crowded = torch.full((1, 60), 3)
    losses = model.loss(0.1 * torch.randn(1, 8000), torch.tensor([8000]), crowded, torch.tensor([60]), [1])
    assert losses.ctc.item() == 0
    assert torch.isfinite(losses.total)
