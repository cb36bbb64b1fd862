"""Damaged and odd files through the way that `transcribe` goes: a text or one line, never a traceback, never a hang.

AUDIOROTO_FUZZ=N takes N mutations instead of 500.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from audioroto.audio import decode
from audioroto.config import Config
from audioroto.errors import AudioError
from audioroto.infer.folder import OutputFolder, transcribe_to_folder
from audioroto.infer.inputs import find_audio
from audioroto.infer.recognizer import Recognizer
from audioroto.model.memory import PeakMemory
from audioroto.text.tokenizer import train_tokenizer

NUM_MUTATIONS = int(os.environ.get("AUDIOROTO_FUZZ", "500"))
WITH_FFMPEG_EVERY = 25  # a process each
LIMIT_SECONDS = 60.0  # of one file; none takes one, but the machine may be busy
LIMIT_BYTES = 400 * 2**20
NAMES = [
    "with space",
    "it's",
    '"quoted"',
    "line\nbreak",
    "tab\tand\rreturn",
    "größe 音 🎙",
    "-dash",
    "%s{0}$HOME",
    "*[a]?",
]


def fake_engine() -> SimpleNamespace:
    """An engine that says nothing but blanks, a frame every 40 ms."""
    tokenizer = train_tokenizer(["AB A", "BA"], "char", 10)

    def encode(waveforms: list[np.ndarray]) -> SimpleNamespace:
        blanks = [np.zeros((len(waveform) // 640, tokenizer.vocab_size), np.float32) for waveform in waveforms]
        return SimpleNamespace(log_probs=blanks)

    return SimpleNamespace(encode=encode, tokenizer=tokenizer, config=Config(), frame_seconds=0.04, decoder=None)


def make_valid(folder: Path) -> list[Path]:
    """Small files of all kinds: formats, sample formats, rates, channels, NaN."""
    folder.mkdir()
    random = np.random.default_rng(0)

    def make(name: str, rate: int = 16000, channels: int = 1, seconds: float = 0.3, **options: str) -> Path:
        noise = 0.1 * random.standard_normal((round(rate * seconds), channels)).astype(np.float32)
        soundfile.write(folder / name, noise, rate, **options)
        return folder / name

    files = [make(f"a{suffix}") for suffix in (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".au", ".caf", ".w64")]
    files.append(make("a.opus", format="OGG", subtype="OPUS"))
    files += [make("eight.wav", subtype="PCM_U8"), make("float.wav", subtype="FLOAT"), make("ulaw.wav", subtype="ULAW")]
    files += [make("fast.wav", rate=192000), make("wide.wav", channels=32), make("adpcm.wav", subtype="IMA_ADPCM")]
    soundfile.write(folder / "nan.wav", np.full(4000, np.nan, np.float32), 16000, subtype="FLOAT")
    return [*files, folder / "nan.wav"]


def mutate(content: bytes, random: np.random.Generator) -> bytes:
    """The content cut, with bits flipped (mostly in its header), bytes lost, doubled or replaced, or all of it gone."""
    damaged = np.frombuffer(content, np.uint8).copy()
    kind = random.integers(6)
    if kind == 0:
        return content[: random.integers(len(content))]
    if kind == 1:
        places = random.integers(0, min(120, len(damaged)), random.integers(1, 12))
        damaged[places] ^= (1 << random.integers(0, 8, len(places))).astype(np.uint8)
    elif kind == 2:
        places = random.integers(0, len(damaged), random.integers(1, 60))
        damaged[places] = random.integers(0, 256, len(places))
    elif kind == 3:
        start, stop = sorted(random.integers(0, len(damaged), 2))
        return content[:start] + content[stop:]
    elif kind == 4:
        start = int(random.integers(0, min(200, len(damaged))))
        damaged[start : start + 4] = random.choice([0, 255, 127])
    elif random.random() < 0.3:
        return bytes(random.choice([0, 1, 44, 4096]))
    return damaged.tobytes()


@contextmanager
def limit_seconds(seconds: float) -> Iterator[None]:
    """Raise AssertionError, which nothing on the way catches, when the block takes longer."""

    def stop(*_: object) -> None:
        raise AssertionError(f"over {seconds} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_mutations_give_a_text_or_one_line(tmp_path, monkeypatch):
    recognizer = Recognizer(fake_engine())
    valid = make_valid(tmp_path / "valid")
    contents = {path: path.read_bytes() for path in valid}
    suffixes = [path.suffix for path in valid]
    folder = OutputFolder(tmp_path / "out", ["txt"], "model", {})
    random = np.random.default_rng(6)
    which = shutil.which
    memory = PeakMemory(torch.device("cpu"))
    num_read = num_refused = 0
    for number in range(NUM_MUTATIONS):
        origin = valid[random.integers(len(valid))]
        suffix = random.choice(suffixes) if random.random() < 0.2 else origin.suffix
        path = tmp_path / "in" / f"{NAMES[number % len(NAMES)]}{number}{suffix}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(mutate(contents[origin], random))
        with_ffmpeg = number % WITH_FFMPEG_EVERY == 0
        monkeypatch.setattr(decode.shutil, "which", which if with_ffmpeg else lambda _program: None)
        with limit_seconds(LIMIT_SECONDS):
            run = transcribe_to_folder(recognizer.transcribe, find_audio([path]), folder)
        for failure in run.failures:
            assert failure.isprintable(), "one line that a terminal can show"
            assert (str(path) if str(path).isprintable() else repr(str(path))) in failure
        num_refused += len(run.failures)
        num_read += run.num_transcribed
        path.unlink()
    assert num_read + num_refused == NUM_MUTATIONS
    assert min(num_read, num_refused) > NUM_MUTATIONS // 10
    assert memory.bytes() < LIMIT_BYTES


def test_valid_oddities_are_read(tmp_path):
    recognizer = Recognizer(fake_engine())
    for path in make_valid(tmp_path / "valid"):
        if path.stem == "nan":
            with pytest.raises(AudioError, match="not finite"):
                recognizer.transcribe(path)
        else:
            assert recognizer.transcribe(path).seconds == pytest.approx(0.3, abs=0.08)


def test_the_command_line_names_each_bad_file_in_one_line(trained, tmp_path):
    folder = tmp_path / "in"
    make_valid(folder)
    contents = {path: path.read_bytes() for path in folder.iterdir()}
    random = np.random.default_rng(7)
    for number, content in enumerate(contents.values()):
        (folder / f"{NAMES[number % len(NAMES)]}{number}.wav").write_bytes(mutate(content, random))
    (folder / os.fsdecode(b"caf\xe9.wav")).write_bytes(b"")
    command = [sys.executable, "-m", "audioroto", "transcribe", folder, "--model", trained / "model.safetensors"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=600)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    failed = [line for line in done.stderr.decode().splitlines() if line.startswith("audioroto: ")]
    assert all("in/" in line for line in failed)
    assert sum("caf\\udce9.wav" in line for line in failed) == 1
    assert len(done.stdout.decode().splitlines()) + len(failed) == 2 * len(contents) + 1
