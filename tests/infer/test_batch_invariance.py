"""The same text at any batch size and any number of threads, in float32."""

import itertools
import os
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import audioroto
from audioroto.audio.load import load_audio
from audioroto.config import load_config
from audioroto.corpus.datadir import read_datadir
from audioroto.corpus.loader import pad_waveforms
from audioroto.corpus.prepare.librispeech import prepare_librispeech
from audioroto.model.asr import build_model
from audioroto.model.checkpoint import Checkpoint, save_checkpoint
from audioroto.nn.masks import valid_frames
from audioroto.text.tokenizer import train_tokenizer

TINY = [
    "encoder.subsampling=4",
    "encoder.subsampling_channels=4",
    "encoder.width=32",
    "encoder.num_blocks=2",
    "encoder.num_heads=4",
    "encoder.feedforward_width=64",
    "encoder.kernel_size=5",
]
ROTATION = ["rotation.planes=butterfly", "rotation.orthogonal=cayley", "encoder.qk_norm=true"]
POOLED = ["encoder.local_heads=2", "encoder.window_frames=4", "encoder.global_keys=12"]
MODELS = {
    "plain": [],
    "rotation and bias": [*ROTATION, "rotation.values=true", "encoder.bias=dynamic"],
    "local and pooled": [*POOLED, "encoder.bias=buckets"],
    "local alone": ["encoder.local_heads=4", "encoder.window_frames=5", "position.kind=none"],
    "parallel, all on": [*ROTATION, *POOLED, "encoder.bias=dynamic", "encoder.coupling=parallel"],
    "transformer_xl": ["position.kind=transformer_xl", "encoder.local_heads=1", "encoder.window_frames=4"],
    "learned frequencies": ["position.mode=learned_frequencies", "encoder.subsampling=8"],
}


@pytest.fixture
def threads() -> Iterator[None]:
    """Puts the number of torch's threads back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def make_waveforms(num_waveforms: int) -> list[np.ndarray]:
    """Bursts of noise of all colours, 0.1 to 3 s."""
    generator = np.random.default_rng(0)
    waveforms = []
    for seconds in generator.uniform(0.1, 3.0, num_waveforms):
        noise = generator.standard_normal(round(16000 * seconds))
        filtered = np.convolve(noise, generator.standard_normal(32), mode="same")
        bursts = np.repeat(generator.uniform(0.0, 1.0, len(noise) // 1600 + 1), 1600)[: len(noise)]
        waveforms.append((0.02 * filtered * bursts).astype(np.float32))
    return waveforms


def assert_same_texts(recognizer, waveforms, settings):
    """The same texts at all `settings` (batch size, number of threads); returns them."""
    order = np.argsort([len(waveform) for waveform in waveforms], kind="stable")[::-1]
    texts = {}
    for batch_size, num_threads in settings:
        torch.set_num_threads(num_threads)
        found = texts[batch_size, num_threads] = [""] * len(waveforms)
        for first in range(0, len(order), batch_size):
            batch = order[first : first + batch_size].tolist()
            for index, transcript in zip(batch, recognizer.recognize([waveforms[i] for i in batch]), strict=True):
                found[index] = transcript.text
    expected = texts[settings[0]]
    assert [setting for setting, found in texts.items() if found != expected] == []
    return expected


@pytest.mark.parametrize("overrides", MODELS.values(), ids=MODELS.keys())
@pytest.mark.usefixtures("threads")
def test_random_models(overrides, tmp_path):
    config = load_config([], [*TINY, *overrides])
    tokenizer = train_tokenizer(["THE QUICK BROWN FOX JUMPS OVER A LAZY DOG"] * 3, "char", 40)
    model = build_model(config, tokenizer.vocab_size).eval()
    waveforms = make_waveforms(16)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for parameter in model.parameters():  # what starts at zero would hide what it does
            if not parameter.any():
                parameter.normal_(0.0, 0.3)
        model.normalization.mean.fill_(-7.0)
        model.normalization.inverse_std.fill_(0.3)
        # No token is the likeliest everywhere.
        frames, lengths = model.encode(
            pad_waveforms(waveforms), torch.tensor([len(waveform) for waveform in waveforms])
        )
        project = model.ctc.project
        project.weight *= 10.0
        project.bias.copy_(-project.weight @ frames[valid_frames(lengths, frames.shape[1])].mean(dim=0))
    weights = model.state_dict()
    save_checkpoint(tmp_path / "model.safetensors", Checkpoint(weights, config, tokenizer, 0, {}, {}))
    recognizer = audioroto.load_model(tmp_path / "model.safetensors")
    # Two threads once only: on a busy machine they wait for one another longer than they compute.
    texts = assert_same_texts(recognizer, waveforms, [(1, 1), (4, 1), (16, 1), (16, 2)])
    assert len(set(texts)) > 8


@pytest.mark.usefixtures("threads")
def test_a_real_model(speech_dir, tmp_path):
    """The model that AUDIOROTO_MODEL names on 20 utterances of test-clean; with AUDIOROTO_LONG=1 on all."""
    if not os.environ.get("AUDIOROTO_MODEL"):
        pytest.skip("AUDIOROTO_MODEL names no model")
    prepare_librispeech(speech_dir / "LibriSpeech", tmp_path, ["test-clean"])
    utterances = read_datadir(tmp_path / "test-clean")
    if not os.environ.get("AUDIOROTO_LONG"):
        utterances = utterances[:: len(utterances) // 20][:20]
    recognizer = audioroto.load_model(os.environ["AUDIOROTO_MODEL"])
    waveforms = [load_audio(utterance.path, recognizer.sample_rate)[0] for utterance in utterances]
    assert_same_texts(recognizer, waveforms, list(itertools.product((1, 4, 16), (1, 2))))
