from audioroto.config import load_config
from audioroto.model.asr import build_model, count_parameters
from audioroto.model.describe import list_components, summarize_modules


def test_parts_have_shapes_and_add_up(tiny_config):
    model = build_model(tiny_config, 20)
    parts = {part.name: part for part in summarize_modules(model, seconds=1.0)}
    assert parts["encoder"].shape_in == "1 × 98 × 80"
    assert parts["encoder"].shape_out == "1 × 25 × 32"
    assert parts["ctc"].shape_out == "1 × 25 × 20"
    assert parts["encoder.blocks.0"].times == 2
    assert parts["encoder.blocks.0.attention"].times == 1
    assert "encoder.blocks.1" not in parts
    assert parts["encoder"].parameters + parts["ctc"].parameters == count_parameters(model)
    assert model.training, "describing leaves the model as it was"


def test_the_decoder_is_called_too():
    config = load_config(
        [], ["encoder.num_blocks=1", "encoder.width=64", "encoder.num_heads=1", "decoder.num_blocks=1"]
    )
    parts = {part.name: part for part in summarize_modules(build_model(config, 20), seconds=1.0)}
    assert parts["decoder"].shape_out.endswith("× 20")
    assert parts["decoder.blocks.0.to_frames"].shape_in != "–"


def test_components_are_on_when_configured():
    def on(*overrides: str) -> set[str]:
        return {name for name, is_on, _ in list_components(load_config([], overrides)) if is_on}

    plain = on()
    assert plain == {"rotary positions", "global heads", "convolution"}
    assert on("rotation.planes=butterfly") - plain == {"combined rotation"}
    assert on("position.mode=learned") - plain == {"base that moves"}
    assert on("encoder.bias=buckets", "encoder.qk_norm=true") - plain == {
        "relative bias",
        "query and key normalisation",
    }
    assert plain - on("encoder.local_heads=4") == {"global heads"}
    assert on("encoder.coupling=convolution") == {"convolution"}
    assert on("decoder.num_blocks=2") - plain == {"decoder with learned sinusoids"}
    assert on("encoder.checkpoint_blocks=true") - plain == {"activation checkpointing of blocks"}
