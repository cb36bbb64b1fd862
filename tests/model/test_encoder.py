import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from audioroto.config import Encoder as EncoderSettings
from audioroto.config import Position, Rotation
from audioroto.model.encoder import Encoder

SMALL = {"subsampling": 4, "subsampling_channels": 4, "width": 32, "num_heads": 4, "feedforward_width": 48}


def make_encoder(position: Position | None = None, rotation: Rotation | None = None, **choices: object) -> Encoder:
    torch.manual_seed(0)
    chosen = EncoderSettings.model_validate(SMALL | {"num_blocks": 2, "kernel_size": 5} | choices)
    return Encoder(20, chosen, position or Position(), rotation or Rotation())


def pad(lengths: list[int]) -> torch.Tensor:
    features = torch.zeros(len(lengths), max(lengths), 20)
    for row, length in zip(features, lengths, strict=True):
        row[:length] = torch.randn(length, 20, generator=torch.Generator().manual_seed(length))
    return features


def wake(encoder: Encoder) -> Encoder:
    """Move every parameter that starts at zero, so that nothing is invisible to a test."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in encoder.parameters():
            if not parameter.any():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return encoder.eval()


ROTATIONS = st.just(Rotation()) | st.builds(
    Rotation,
    planes=st.sampled_from(["butterfly", "tournament"]),
    orthogonal=st.sampled_from(["none", "cayley", "exponential"]),
    share=st.sampled_from(["none", "heads", "layers"]),
)


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 150), min_size=2, max_size=4),
    choices=st.fixed_dictionaries(
        {
            "subsampling": st.sampled_from([4, 8]),
            "kernel_size": st.sampled_from([1, 3, 15]),
            "coupling": st.sampled_from(["sequential", "parallel", "attention", "convolution"]),
            "local_heads": st.integers(0, 4),
            "window_frames": st.sampled_from([1, 3, 8]),
            "global_keys": st.sampled_from([2, 5, 64]),
            "qk_norm": st.booleans(),
            "bias": st.sampled_from(["none", "buckets", "dynamic"]),
        }
    ),
    mode=st.sampled_from(["fixed", "loss", "learned", "learned_frequencies"]),
    spacing=st.sampled_from(["standard", "endpoint"]),
    kind=st.sampled_from(["rotary", "rotary", "sinusoid", "transformer_xl", "none"]),
    rotation=ROTATIONS,
    values=st.booleans(),
)
def test_an_utterance_alone_gives_what_it_gives_padded(lengths, choices, mode, spacing, kind, rotation, values):
    assume(kind == "rotary" or mode == "fixed")
    assume(kind == "rotary" or spacing == "standard")
    assume(rotation.on or not values)
    position = Position(kind=kind, mode=mode, spacing=spacing)
    encoder = wake(make_encoder(position, rotation.model_copy(update={"values": values}), **choices))
    features = pad(lengths)
    with torch.no_grad():
        frames, frame_lengths = encoder(features, torch.tensor(lengths))
        for index, length in enumerate(lengths):
            alone, alone_lengths = encoder(features[index : index + 1, :length], torch.tensor([length]))
            assert alone_lengths.item() == frame_lengths[index].item() == alone.shape[1]
            assert (frames[index, : alone.shape[1]] - alone[0]).abs().max() < 1e-4


@pytest.mark.parametrize("lengths", [[0], [0, 30]])
@pytest.mark.parametrize("choices", [{}, {"local_heads": 2, "window_frames": 2, "global_keys": 3, "bias": "dynamic"}])
def test_an_utterance_without_frames_harms_nobody(lengths, choices):
    encoder = make_encoder(**choices)
    frames, frame_lengths = encoder(torch.zeros(len(lengths), max(lengths), 20), torch.tensor(lengths))
    frames.sum().backward()
    assert frame_lengths[0] == 0
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)


ALL_ON = {
    "position": Position(mode="learned_frequencies"),
    "rotation": Rotation(planes="butterfly", orthogonal="cayley", values=True),
    "qk_norm": True,
    "bias": "dynamic",
    "local_heads": 2,
    "window_frames": 4,
    "global_keys": 8,
    "coupling": "parallel",
}


def test_checkpointed_blocks_have_the_same_gradients():
    features, lengths = pad([90, 70]), torch.tensor([90, 70])
    gradients = []
    for checkpointed in (False, True):
        encoder = make_encoder(**ALL_ON, checkpoint_blocks=checkpointed, dropout=0.3).train()
        torch.manual_seed(3)
        encoder(features, lengths)[0].square().sum().backward()
        gradients.append({name: parameter.grad for name, parameter in encoder.named_parameters()})
    for name, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], expected)


@pytest.mark.parametrize("kind", ["rotary", "sinusoid"])
def test_every_parameter_of_every_component_gets_a_gradient(kind):
    position = ALL_ON["position"] if kind == "rotary" else Position(kind=kind)
    encoder = wake(make_encoder(**ALL_ON | {"position": position})).train()
    encoder(pad([90, 70]), torch.tensor([90, 70]))[0].square().sum().backward()
    silent = [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


@pytest.mark.parametrize("kept", ["attention", "convolution"])
def test_a_branch_that_gives_nothing_is_as_if_it_were_not_there(kept):
    both = wake(make_encoder(coupling="sequential"))
    alone = make_encoder(coupling=kept).eval()
    silent = "convolution" if kept == "attention" else "attention"
    shared = {name: tensor for name, tensor in both.state_dict().items() if f".{silent}." not in name}
    alone.load_state_dict(shared)
    with torch.no_grad():
        for block in both.blocks:
            getattr(block, silent).scale.zero_()
        features, lengths = pad([90, 70]), torch.tensor([90, 70])
        assert torch.equal(both(features, lengths)[0], alone(features, lengths)[0])


def test_learned_sinusoids_tell_each_frame_where_it_is():
    features, lengths = pad([1]).expand(1, 40, -1), torch.tensor([40])  # the same sound all along
    told, untold = (
        make_encoder(Position(kind=kind), coupling="attention")(features, lengths)[0] for kind in ("sinusoid", "none")
    )
    inside = slice(1, 5)  # frames whose surroundings are the same
    assert (untold[0, inside].diff(dim=0)).abs().max() < 1e-4
    assert (told[0, inside].diff(dim=0)).abs().max() > 0.1


def test_checkpointed_sinusoids_have_the_same_gradients():
    features, lengths = pad([90, 70]), torch.tensor([90, 70])
    gradients = []
    for checkpointed in (False, True):
        encoder = make_encoder(Position(kind="sinusoid", checkpoint=checkpointed)).train()
        assert encoder.positions.checkpoint == checkpointed
        torch.manual_seed(3)
        encoder(features, lengths)[0].square().sum().backward()
        gradients.append(encoder.positions.table.grad)
    assert gradients[0].any()
    torch.testing.assert_close(gradients[1], gradients[0])


def test_folding_changes_nothing():
    encoder = wake(make_encoder(**ALL_ON))
    features, lengths = pad([90, 70]), torch.tensor([90, 70])
    before = encoder(features, lengths)[0]
    encoder.fold()
    torch.testing.assert_close(encoder(features, lengths)[0], before)
    assert not any("rotation" in name for name, _ in encoder.named_parameters())


def test_rotations_are_composed_once_a_forward(monkeypatch):
    encoder = make_encoder(rotation=Rotation(planes="butterfly"), num_blocks=3)
    calls = []
    compose = encoder.rotation.rotation.matrix
    monkeypatch.setattr(encoder.rotation.rotation, "matrix", lambda: calls.append(1) or compose())
    encoder(pad([40]), torch.tensor([40]))
    assert calls == [1]


def test_some_training_batches_are_pooled():
    encoder = make_encoder(pooled_share=1.0)
    features, lengths = pad([90]), torch.tensor([90])
    torch.manual_seed(0)
    pooled = encoder.train()(features, lengths)[0]
    plain = encoder.eval()(features, lengths)[0]
    assert not torch.allclose(pooled, plain)
    encoder.pooled_share = 0.0
    encoder.train()
    for block in encoder.blocks:
        for branch in block.children():
            branch.dropout = 0.0
    torch.testing.assert_close(encoder(features, lengths)[0], plain)


def test_layer_drop_passes_by_deeper_blocks_more_often_and_keeps_the_rest_as_it_is():
    encoder = wake(make_encoder(layer_drop=0.8, num_blocks=4, dropout=0.0)).train()
    features, lengths = pad([30]), torch.tensor([30])
    ran = []
    for block in encoder.blocks:
        block.register_forward_hook(lambda *_, block=block: ran[-1].append(block))
    torch.manual_seed(3)
    with torch.no_grad():
        for _ in range(300):
            ran.append([])
            frames, _ = encoder(features, lengths)
    shares = [sum(block in each for each in ran) / 300 for block in encoder.blocks]
    assert all(abs(share - kept) < 0.1 for share, kept in zip(shares, [0.8, 0.6, 0.4, 0.2], strict=True))
    alone = wake(make_encoder(num_blocks=4))
    kept = [list(encoder.blocks).index(block) for block in ran[-1]]
    alone.blocks = torch.nn.ModuleList(alone.blocks[place] for place in kept)
    with torch.no_grad():
        torch.testing.assert_close(frames, alone(features, lengths)[0])


def test_layer_drop_is_for_training_alone_grows_with_its_strength_and_follows_the_seed():
    features, lengths = pad([30, 20]), torch.tensor([30, 20])
    dropping, plain = make_encoder(layer_drop=0.9, dropout=0.0), make_encoder(dropout=0.0)
    with torch.no_grad():
        torch.manual_seed(0)
        state = torch.get_rng_state()
        expected = plain(features, lengths)[0]
        assert torch.equal(torch.get_rng_state(), state)  # off, nothing is drawn
        assert torch.equal(dropping.eval()(features, lengths)[0], expected)
        dropping.train().strength = 0.0
        assert torch.equal(dropping(features, lengths)[0], expected)
        dropping.strength = 1.0
        drawn = []
        for seed in (*range(8), *range(8)):
            torch.manual_seed(seed)
            drawn.append(dropping(features, lengths)[0])
    assert all(map(torch.equal, drawn[:8], drawn[8:]))
    assert not all(torch.equal(each, expected) for each in drawn)


def test_layer_drop_goes_with_recomputed_activations():
    gradients = []
    for checkpoint_blocks in (False, True):
        encoder = make_encoder(layer_drop=0.9, checkpoint_blocks=checkpoint_blocks)
        torch.manual_seed(2)
        encoder(pad([30]), torch.tensor([30]))[0].sum().backward()
        gradients.append([p.grad for p in encoder.parameters()])
    assert any(gradient is None for gradient in gradients[0])
    for ours, theirs in zip(*gradients, strict=True):
        assert (ours is None) == (theirs is None)
        assert ours is None or torch.equal(ours, theirs)
