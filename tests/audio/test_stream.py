import io
import logging
import shutil
import subprocess
import time
import tracemalloc

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.audio import decode, source
from audioroto.audio.load import AUDIO_SUFFIXES, load_audio
from audioroto.audio.stream import iter_blocks
from audioroto.errors import AudioError


def _write(path, rate, num_channels=1, seconds=3.0):
    samples = 0.1 * np.random.default_rng(0).standard_normal((round(rate * seconds), num_channels))
    options = {"format": "OGG", "subtype": "OPUS"} if path.suffix == ".opus" else {}
    soundfile.write(path, samples.astype(np.float32), rate, **options)
    return path


@pytest.mark.parametrize("suffix", AUDIO_SUFFIXES)
@pytest.mark.parametrize("num_channels", [1, 2, 3])
@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_blocks_put_together_are_the_whole(tmp_path, suffix, num_channels, rate):
    if suffix == ".mp3" and num_channels == 3:
        pytest.skip("MP3 has two channels at most")
    path = _write(tmp_path / f"a{suffix}", rate, num_channels)
    expected, _ = load_audio(path)
    for audio in (path, path.read_bytes(), io.BytesIO(path.read_bytes())):
        np.testing.assert_array_equal(np.concatenate(list(iter_blocks(audio, block_seconds=0.7))), expected)


@settings(max_examples=30)
@given(rate=st.integers(1000, 100_000), to_rate=st.integers(2000, 48_000), block_seconds=st.floats(0.001, 4.0))
def test_any_rate_and_any_block(tmp_path_factory, rate, to_rate, block_seconds):
    path = _write(tmp_path_factory.getbasetemp() / "any.wav", rate, seconds=1.5)
    blocks = list(iter_blocks(path, to_rate, block_seconds=block_seconds))
    assert {len(block) for block in blocks[:-1]} <= {max(1, round(block_seconds * to_rate))}
    assert 0 < len(blocks[-1]) <= max(1, round(block_seconds * to_rate))
    np.testing.assert_allclose(np.concatenate(blocks), load_audio(path, to_rate)[0], atol=1e-6)


@pytest.mark.parametrize("suffix", [*AUDIO_SUFFIXES, ".mka"])
def test_memory_does_not_grow_with_the_length(tmp_path, suffix):
    if suffix == ".mka" and shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")

    def measure(seconds):
        wanted = tmp_path / f"{seconds}{suffix}"
        written = wanted if suffix in AUDIO_SUFFIXES else wanted.with_suffix(".wav")
        with soundfile.SoundFile(
            written, "w", 8000, 1, format="OGG" if suffix == ".opus" else None,
            subtype="OPUS" if suffix == ".opus" else None,
        ) as file:  # fmt: skip
            second = 0.1 * np.random.default_rng(0).standard_normal(8000)
            for _ in range(seconds):
                file.write(second)
        if written != wanted:
            subprocess.run(["ffmpeg", "-loglevel", "error", "-i", written, "-c:a", "pcm_s16le", wanted], check=True)
        tracemalloc.start()
        num_samples = sum(len(block) for block in iter_blocks(wanted, 16000, block_seconds=1.0))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert num_samples == pytest.approx(seconds * 16000, abs=2000)
        return peak

    assert measure(150) < 1.2 * measure(30)  # the samples of the first are 10 MB


def test_a_large_stream_goes_to_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "_LARGEST_IN_MEMORY", 1000)
    path = _write(tmp_path / "a.flac", 16000)
    with open(path, "rb") as file:
        np.testing.assert_array_equal(np.concatenate(list(iter_blocks(file))), load_audio(path)[0])


def test_what_is_wrong_is_said_when_reading_gets_there(tmp_path, caplog):
    with pytest.raises(AudioError, match="does not exist"):
        next(iter_blocks(tmp_path / "missing.wav"))
    samples = 0.1 * np.random.default_rng(0).standard_normal(16000 * 30)
    samples[-5:] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    blocks = iter_blocks(tmp_path / "a.wav", block_seconds=1.0)
    next(blocks)
    with pytest.raises(AudioError, match="not finite"):
        list(blocks)
    content = _write(tmp_path / "b.wav", 16000).read_bytes()
    blocks = iter_blocks(content[: len(content) // 2], block_seconds=1.0)
    assert sum(map(len, blocks)) == pytest.approx(24000, abs=100)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_who_stops_early_leaves_no_process_behind(tmp_path, monkeypatch):
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    path = tmp_path / "a.mka"
    noise = ["-f", "lavfi", "-i", "sine=sample_rate=48000:duration=300", "-c:a", "pcm_s16le"]
    subprocess.run(["ffmpeg", "-loglevel", "error", *noise, path], check=True)
    started = []

    class Popen(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(decode.subprocess, "Popen", Popen)
    blocks = iter_blocks(path)
    assert len(next(blocks)) == 160_000
    blocks.close()
    (process,) = started
    assert process.returncode is not None


def test_a_slow_reader_does_not_run_out_of_time(tmp_path, monkeypatch):
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    path = tmp_path / "a.mka"
    noise = ["-f", "lavfi", "-i", "sine=sample_rate=48000:duration=100", "-c:a", "pcm_s16le"]
    subprocess.run(["ffmpeg", "-loglevel", "error", *noise, path], check=True)
    monkeypatch.setattr(decode, "FFMPEG_TIMEOUT_SECONDS", 5.0)
    num_samples = 0
    for block in iter_blocks(path):
        num_samples += len(block)
        time.sleep(0.6)
    assert num_samples == 1_600_000
