"""What is exported says what the original says, whatever the model is made of, however long the utterances are."""

from functools import partial

import numpy as np
import pytest
import torch

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from audioroto.config import load_config  # noqa: E402 – needs onnx
from audioroto.export.file import make_onnx  # noqa: E402
from audioroto.model.asr import AsrModel, build_model  # noqa: E402

TINY = [
    "encoder.subsampling_channels=4",
    "encoder.width=32",
    "encoder.num_blocks=2",
    "encoder.num_heads=4",
    "encoder.feedforward_width=64",
    "encoder.kernel_size=5",
]
ROTATION = ["rotation.planes=butterfly", "rotation.orthogonal=cayley"]
CONFIGURATIONS = {
    "plain": [],
    "subsampling 4, 8 kHz": ["encoder.subsampling=4", "features.sample_rate=8000", "features.num_mels=40"],
    "rotation folded into the projection": [*ROTATION, "rotation.values=true"],
    "rotation behind a normalisation": [*ROTATION, "rotation.values=true", "encoder.qk_norm=true"],
    "learned sinusoids": ["position.kind=sinusoid"],
    "normalisation": ["encoder.qk_norm=true", "position.kind=none"],
    "local and pooled heads": [
        *ROTATION,
        "encoder.local_heads=2",
        "encoder.window_frames=4",
        "encoder.global_keys=10",
        "encoder.bias=dynamic",
        "encoder.subsampling=4",
    ],
    "parallel": [
        "encoder.coupling=parallel",
        "encoder.local_heads=1",
        "encoder.window_frames=3",
        "encoder.global_keys=7",
        "encoder.bias=buckets",
        "position.mode=learned_frequencies",
    ],
    "local heads alone": ["encoder.local_heads=4", "encoder.window_frames=4", "encoder.bias=dynamic"],
    "attention alone": ["encoder.coupling=attention", "position.spacing=endpoint", "position.base=100.0"],
    "convolution alone": ["encoder.coupling=convolution"],
    "Transformer-XL": ["position.kind=transformer_xl", *ROTATION],
    "Transformer-XL under a band": [
        "position.kind=transformer_xl",
        "encoder.local_heads=2",
        "encoder.window_frames=3",
        "encoder.bias=buckets",
    ],
}
SECONDS = (4.0, 2.53, 0.4, 0.06, 0.01, 0.0)


def make_lively_model(overrides: list[str]) -> AsrModel:
    """A model whose every weight matters: what a fresh one has at zero or near it is moved far from there."""
    model = build_model(load_config([], TINY + overrides), vocab_size=20).eval()
    generator = torch.Generator().manual_seed(0)
    if model.encoder.positions is not None:  # most frames lie beyond the table
        model.encoder.positions.table = torch.nn.Parameter(model.encoder.positions.table[:10])
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("scale"):
                parameter.fill_(1.0)
            else:
                parameter.mul_(1.5 if parameter.ndim > 1 else 1.0)
                parameter.add_((0.1 if parameter.ndim > 1 else 0.3) * torch.randn(parameter.shape, generator=generator))
        model.ctc.project.weight.mul_(4)
        model.normalization.mean.fill_(-10.0)
        model.normalization.inverse_std.fill_(0.4)
    return model


def make_speech(sample_rate: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise of changing loudness, (B, S), and its lengths (B,)."""
    lengths = torch.tensor([round(seconds * sample_rate) for seconds in SECONDS])
    generator = torch.Generator().manual_seed(1)
    waveforms = 0.3 * torch.randn(len(lengths), int(lengths.max()), generator=generator)
    waveforms *= 10 ** (2 * torch.sin(torch.arange(waveforms.shape[1]) / 700) - 2)
    return waveforms * (torch.arange(waveforms.shape[1]) < lengths[:, None]), lengths


@pytest.mark.parametrize("overrides", [pytest.param(value, id=name) for name, value in CONFIGURATIONS.items()])
def test_log_probabilities_are_those_of_the_original(overrides):
    model = make_lively_model(overrides)
    waveforms, lengths = make_speech(model.fbank.sample_rate)
    with torch.inference_mode():
        log_probs, frame_lengths = model(waveforms, lengths)
        own_log_probs = [model(waveforms[[row], :length], lengths[[row]])[0] for row, length in enumerate(lengths)]
    assert log_probs[0, : frame_lengths[0]].std(dim=0).mean() > 0.1  # over frames: a model that hears something

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    run = partial(
        onnxruntime.InferenceSession(
            make_onnx(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
        ).run,
        None,
    )
    together, together_lengths = run({"waveforms": waveforms.numpy(), "lengths": lengths.numpy()})
    np.testing.assert_array_equal(together_lengths, frame_lengths)
    assert np.isfinite(together).all()
    for row, length in enumerate(lengths.tolist()):
        num_frames = int(frame_lengths[row])
        expected = log_probs[row, :num_frames].numpy()
        np.testing.assert_allclose(together[row, :num_frames], expected, atol=1e-4, rtol=0)
        alone, (own_frames,) = run({"waveforms": waveforms[[row], :length].numpy(), "lengths": lengths[[row]].numpy()})
        assert own_frames == num_frames
        np.testing.assert_allclose(alone[0, :num_frames], own_log_probs[row][0, :num_frames], atol=1e-4, rtol=0)


def test_the_decoder_stays_behind():
    with_decoder = make_onnx(build_model(load_config([], [*TINY, "decoder.num_blocks=1"]), 20))
    without = make_onnx(build_model(load_config([], TINY), 20))
    assert len(with_decoder.SerializeToString()) == len(without.SerializeToString())
