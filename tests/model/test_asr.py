import pytest
import torch

from audioroto.audio.segment import STEP_SECONDS
from audioroto.config import Config
from audioroto.model.asr import build_model, count_parameters
from audioroto.model.ctc import ctc_loss


def test_the_same_seed_gives_the_same_weights_and_spares_the_random_state(tiny_config):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = build_model(tiny_config, 10)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)
    second = build_model(tiny_config, 10)
    for left, right in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(left, right)
    assert count_parameters(first) == sum(p.numel() for p in second.parameters())


def test_padding_samples_change_nothing(tiny_config):
    torch.manual_seed(0)
    model = build_model(tiny_config, 10).eval()
    waveforms = 0.1 * torch.randn(2, 9000)
    lengths = torch.tensor([9000, 5210])
    log_probs, frame_lengths = model(waveforms, lengths)
    alone, alone_lengths = model(waveforms[1:, :5210], lengths[1:])
    assert frame_lengths[1] == alone_lengths[0] == alone.shape[1]
    assert (log_probs[1, : alone.shape[1]] - alone[0]).abs().max() < 1e-4


@pytest.mark.parametrize("factor", [4, 8])
def test_local_heads_hear_the_same_wherever_a_recording_is_cut(tiny_config, factor):
    settings = {"subsampling": factor, "local_heads": 2, "window_frames": 4}
    config = tiny_config.model_copy(update={"encoder": tiny_config.encoder.model_copy(update=settings)})
    model = build_model(config, 10).eval()
    torch.manual_seed(0)
    waveform = 0.1 * torch.randn(1, round(16000 * (20 * STEP_SECONDS + 1.23)))
    begin = round(16000 * 7 * STEP_SECONDS)  # where a segment may begin
    log_probs, _ = model(waveform, torch.tensor([waveform.shape[1]]))
    rest, _ = model(waveform[:, begin:], torch.tensor([waveform.shape[1] - begin]))
    whole = log_probs[:, -rest.shape[1] :]
    reach = 2 * (4 + 2) + 2  # frames: of two blocks with kernels of five, and of the front end
    assert (rest - whole)[:, :reach].abs().max() > 1e-3
    assert (rest - whole)[:, reach:].abs().max() < 1e-4


def test_a_waveform_shorter_than_a_window_has_no_frames(tiny_config):
    log_probs, lengths = build_model(tiny_config, 10).eval()(torch.zeros(1, 100), torch.tensor([100]))
    assert lengths.tolist() == [0]
    assert torch.isfinite(log_probs).all()


@pytest.fixture(scope="module")
def joint_config(tiny_config) -> Config:
    return with_decoder(tiny_config)


def with_decoder(config: Config) -> Config:
    decoder = config.decoder.model_copy(update={"num_blocks": 2, "num_heads": 2, "feedforward_width": 64})
    return config.model_copy(update={"decoder": decoder})


@pytest.mark.parametrize("num_blocks", [0, 2])
def test_every_parameter_gets_a_gradient(tiny_config, joint_config, num_blocks):
    torch.manual_seed(0)
    model = build_model(joint_config if num_blocks else tiny_config, 10)
    tokens = torch.tensor([[3, 4, 3], [5, 6, 0]])
    losses = model.loss(
        0.1 * torch.randn(2, 16000), torch.tensor([16000, 12000]), tokens, torch.tensor([3, 2]), augment_seeds=[1, 2]
    )
    losses.total.backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent


def test_regularization_reaches_dropout_and_spec_augment(tiny_config):
    torch.manual_seed(0)
    model = build_model(tiny_config, 10)
    waveforms, lengths = 0.1 * torch.randn(1, 16000), torch.tensor([16000])
    model.set_regularization(0.0)
    quiet = model.encode(waveforms, lengths, augment_seeds=[1])[0]
    plain = model.eval().encode(waveforms, lengths)[0]
    torch.testing.assert_close(quiet, plain)
    model.train().set_regularization(1.0)
    assert not torch.allclose(model.encode(waveforms, lengths, augment_seeds=[1])[0], plain)


def test_ctc_alone_is_untouched_by_the_decoder(tiny_config, joint_config):
    """No decoder, no trace of it: the same weights to begin with, and a loss that is CTC's to the bit."""
    torch.manual_seed(0)
    alone, joint = build_model(tiny_config, 10).eval(), build_model(joint_config, 10).eval()
    names = set(joint.state_dict()) - set(alone.state_dict())
    assert names == {name for name in joint.state_dict() if name.startswith("decoder.")} != set()
    assert all(torch.equal(tensor, joint.state_dict()[name]) for name, tensor in alone.state_dict().items())
    waveforms, lengths = 0.1 * torch.randn(2, 16000), torch.tensor([16000, 12000])
    tokens, token_lengths = torch.tensor([[3, 4, 3], [5, 6, 0]]), torch.tensor([3, 2])
    losses = alone.loss(waveforms, lengths, tokens, token_lengths)
    assert torch.equal(losses.total, ctc_loss(*alone(waveforms, lengths), tokens, token_lengths))
    assert losses.attention is None


def test_the_joint_loss_is_the_weighted_sum_and_adds_up_over_batches(joint_config):
    torch.manual_seed(0)
    model = build_model(joint_config, 10).eval()
    waveforms, lengths = 0.1 * torch.randn(2, 16000), torch.tensor([16000, 12000])
    tokens, token_lengths = torch.tensor([[3, 4, 3], [5, 6, 0]]), torch.tensor([3, 2])
    both = model.loss(waveforms, lengths, tokens, token_lengths)
    torch.testing.assert_close(both.total, 0.3 * both.ctc + 0.7 * both.attention)
    each = [model.loss(waveforms[i, None], lengths[i, None], tokens[i, None], token_lengths[i, None]) for i in (0, 1)]
    for part in ("total", "ctc", "attention"):
        torch.testing.assert_close(getattr(both, part), sum(getattr(one, part) for one in each))


@pytest.mark.parametrize("num_blocks", [0, 2])
@pytest.mark.parametrize("token_lengths", [[0, 0], [3, 0]])
def test_nothing_to_be_said_is_a_target_like_others(tiny_config, joint_config, num_blocks, token_lengths):
    """A noise costs what its blanks cost, and the decoder's immediate end; also where all of the batch is noise."""
    torch.manual_seed(0)
    model = build_model(joint_config if num_blocks else tiny_config, 10).eval()
    waveforms, lengths = 0.1 * torch.randn(2, 16000), torch.tensor([16000, 12000])
    tokens = torch.tensor([[3, 4, 3], [0, 0, 0]])[:, : max(token_lengths)]
    losses = model.loss(waveforms, lengths, tokens, torch.tensor(token_lengths))
    alone = model.loss(waveforms[1:, :12000], lengths[1:], tokens[1:, :0], torch.tensor([0]))
    log_probs, _ = model(waveforms[1:, :12000], lengths[1:])
    torch.testing.assert_close(alone.ctc, -log_probs[0, :, 0].sum())
    losses.total.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    without = model.loss(waveforms[:1], lengths[:1], tokens[:1], torch.tensor(token_lengths[:1]))
    torch.testing.assert_close(losses.total, without.total + alone.total)
