"""What all tests share."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from audioroto.config import Config

# Two shared cores can be slow at any moment: no example fails for the time it took.
settings.register_profile("audioroto", deadline=None, print_blob=True)
settings.load_profile("audioroto")


@pytest.fixture(scope="session", autouse=True)
def _leave_the_allocator() -> Iterator[None]:
    """Keeps verbs that run in the tests' own process from changing how it frees memory, which other tests measure."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("audioroto.model.allocator.keep_freed_memory", lambda: False)
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def speech_dir() -> Path:
    """The folder of real speech that AUDIOROTO_SPEECH names; the test is skipped where there is none."""
    folder = os.environ.get("AUDIOROTO_SPEECH")
    if not folder:
        pytest.skip("AUDIOROTO_SPEECH names no folder of real speech")
    return Path(folder)


TONES = {"LOW": 400.0, "MID": 900.0, "HIGH": 1800.0}  # a language of three words, each a tone


@pytest.fixture(scope="session")
def tone_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data directories train (48 utterances, 6 speakers) and valid (8 of 2 others) whose words are tones."""
    import numpy as np
    import soundfile

    from audioroto.corpus.datadir import Utterance, write_datadir

    folder = tmp_path_factory.mktemp("tones")
    generator = np.random.default_rng(0)
    for split, speakers, num_each in (("train", "abcdef", 8), ("valid", "gh", 4)):
        utterances = []
        for speaker in speakers:
            for number in range(num_each):
                words = generator.choice(list(TONES), generator.integers(1, 5)).tolist()
                time = np.arange(2400) / 16000
                tones = [np.r_[np.sin(2 * np.pi * TONES[word] * time), np.zeros(1200)] for word in words]
                samples = 0.3 * np.r_[np.zeros(800), *tones]
                samples += 0.003 * generator.standard_normal(len(samples))
                path = folder / "audio" / f"{speaker}-{number}.wav"
                path.parent.mkdir(exist_ok=True)
                soundfile.write(path, samples.astype(np.float32), 16000)
                utterances.append(Utterance(path.stem, speaker, path, len(samples) / 16000, " ".join(words)))
        write_datadir(folder / split, utterances)
    return folder


@pytest.fixture(scope="session")
def tiny_config() -> "Config":
    """A configuration whose training takes seconds."""
    from audioroto.config import load_config

    return load_config(
        [],
        [
            "text.units=char",
            "encoder.subsampling=4",
            "encoder.subsampling_channels=4",
            "encoder.width=32",
            "encoder.num_blocks=2",
            "encoder.num_heads=2",
            "encoder.feedforward_width=64",
            "encoder.kernel_size=5",
            "augment.volume_decibels=3.0",
            "train.max_updates=120",
            "train.batch_seconds=8.0",
            "train.learning_rate=1e-2",
            "train.warmup_updates=10",
            "train.valid_every_updates=40",
            "train.log_every_updates=5",
            "train.keep_checkpoints=2",
            "train.num_workers=0",
            "train.precision=float32",
        ],
    )


@pytest.fixture(scope="session")
def trained(tone_corpus: Path, tiny_config: "Config", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The experiment folder of a finished run on the tones, with tokenizer.model and the averaged model.safetensors."""
    from rich.console import Console

    from audioroto.corpus.datadir import read_datadir
    from audioroto.text.tokenizer import train_tokenizer
    from audioroto.train.average import average_checkpoints
    from audioroto.train.trainer import train

    exp_dir = tmp_path_factory.mktemp("exp")
    texts = [utterance.text or "" for utterance in read_datadir(tone_corpus / "train")]
    train_tokenizer(texts, "char", 40).save(exp_dir / "tokenizer.model")
    console = Console(file=(exp_dir / "train.log").open("w"))
    train(
        tiny_config, tone_corpus / "train", tone_corpus / "valid", exp_dir / "tokenizer.model", exp_dir, console=console
    )
    console.file.close()
    average_checkpoints(exp_dir, exp_dir / "model.safetensors")
    return exp_dir


@pytest.fixture(scope="session")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The averaged model of `trained` as ONNX; the test is skipped where the extra `onnx` is not installed."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from audioroto.export.file import export_model

    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    export_model(trained / "model.safetensors", path)
    return path
