import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.audio.load import load_audio
from audioroto.features.fbank import Fbank, frame_lengths

SPEECH = os.environ.get("AUDIOROTO_SPEECH")


def _kaldi(waveform: torch.Tensor, sample_rate: int, num_mels: int) -> torch.Tensor:
    from torchaudio.compliance.kaldi import fbank

    return fbank(waveform[None], num_mel_bins=num_mels, sample_frequency=float(sample_rate), dither=0.0)


def _features(waveform: torch.Tensor, sample_rate: int = 16000, num_mels: int = 80) -> torch.Tensor:
    features, lengths = Fbank(sample_rate, num_mels)(waveform[None], torch.tensor([len(waveform)]))
    assert lengths.tolist() == [features.shape[1]]
    return features[0]


def _assert_close(ours: torch.Tensor, reference: torch.Tensor) -> None:
    assert ours.shape == reference.shape
    assert ours.dtype == torch.float32
    # Values are logarithms: near 0 a relative error means nothing, so they are compared as numbers of at least 1.
    assert ((ours - reference).abs() / reference.abs().clamp_min(1.0)).max() < 1e-3


def _waveform(kind: str, sample_rate: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    times = torch.arange(2 * sample_rate) / sample_rate
    noise = torch.randn(len(times), generator=generator)
    return {
        "noise": 0.1 * noise,
        "quiet noise": 1e-4 * noise,
        "tones": 0.3 * torch.sin(2 * torch.pi * 440 * times)
        + 0.1 * torch.sin(2 * torch.pi * 1234.5 * times)
        + 1e-3 * noise,
        "offset": 0.5 + 0.01 * noise,
        "silence": torch.zeros(len(times)),
    }[kind]


@pytest.mark.parametrize("kind", ["noise", "quiet noise", "tones", "offset", "silence"])
@pytest.mark.parametrize(("sample_rate", "num_mels"), [(16000, 80), (8000, 40), (16000, 40), (22050, 80)])
def test_equal_to_kaldi(kind, sample_rate, num_mels):
    waveform = _waveform(kind, sample_rate)
    _assert_close(_features(waveform, sample_rate, num_mels), _kaldi(waveform, sample_rate, num_mels))


@pytest.mark.skipif(not SPEECH, reason="AUDIOROTO_SPEECH is not set")
@pytest.mark.parametrize(("sample_rate", "num_mels"), [(16000, 80), (8000, 40)])
def test_equal_to_kaldi_on_speech(sample_rate, num_mels):
    paths = sorted(Path(SPEECH, "an4").rglob("*.opus"))[::200]
    assert paths
    for path in paths:
        waveform = torch.from_numpy(load_audio(path, sample_rate)[0])
        _assert_close(_features(waveform, sample_rate, num_mels), _kaldi(waveform, sample_rate, num_mels))


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 12000), min_size=1, max_size=5), st.sampled_from([8000, 16000]), st.integers(0, 100))
def test_alone_as_in_a_padded_batch(waveform_lengths, sample_rate, seed):
    fbank = Fbank(sample_rate, 40)
    lengths = torch.tensor(waveform_lengths)
    waveforms = torch.randn(len(lengths), 13000, generator=torch.Generator().manual_seed(seed))  # also at padding
    features, batch_lengths = fbank(waveforms, lengths)
    for row, length in enumerate(waveform_lengths):
        alone, alone_lengths = fbank(waveforms[row : row + 1, :length], lengths[row : row + 1])
        num_frames = int(batch_lengths[row])
        assert alone_lengths.tolist() == [num_frames] == [alone.shape[1]]
        torch.testing.assert_close(features[row, :num_frames], alone[0], rtol=1e-6, atol=1e-6)
        assert not features[row, num_frames:].any()


def test_frame_lengths_count_whole_windows():
    lengths = torch.tensor([0, 1, 399, 400, 559, 560, 16000])
    assert frame_lengths(lengths, 16000).tolist() == [0, 0, 0, 1, 1, 2, 98]
    assert frame_lengths(lengths, 16000).dtype == torch.int64
    assert Fbank()(torch.zeros(2, 399), torch.tensor([399, 12]))[0].shape == (2, 0, 80)


def test_float32_under_autocast_and_from_half_precision():
    waveform = _waveform("noise", 16000)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = _features(waveform)
    torch.testing.assert_close(features, _features(waveform), rtol=0, atol=0)
    assert _features(waveform.bfloat16()).dtype == torch.float32


def test_nothing_to_save_or_train():
    assert not Fbank().state_dict()
    assert not list(Fbank().parameters())


def test_gradients_reach_the_waveform():
    waveform = _waveform("noise", 16000).requires_grad_()
    _features(waveform).sum().backward()
    assert waveform.grad is not None
    assert np.isfinite(waveform.grad.numpy()).all()
    assert waveform.grad.abs().sum() > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_same_on_the_gpu():
    waveform = _waveform("noise", 16000)
    features, _ = Fbank().cuda()(waveform[None].cuda(), torch.tensor([len(waveform)]).cuda())
    _assert_close(features[0].cpu(), _features(waveform))
