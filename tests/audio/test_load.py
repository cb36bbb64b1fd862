import io
import logging
import os
import shutil
import struct
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audioroto.audio import decode
from audioroto.audio.load import AUDIO_SUFFIXES, audio_seconds, load_audio
from audioroto.errors import AudioError

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
# How far a decoded chirp, of 0.28, may be from what was written: nothing, but for codecs that lose something.
ROOT_MEAN_SQUARE_ERROR = {".wav": 1e-4, ".flac": 1e-4, ".ogg": 0.02, ".opus": 0.04, ".mp3": 0.02}


def _chirp(rate: int, seconds: float = 6.0) -> np.ndarray:
    """A tone that climbs, so that every stretch of it is different: (S,) float32."""
    times = np.arange(round(rate * seconds)) / rate
    return (0.4 * np.sin(2 * np.pi * (200 + 60 * times) * times)).astype(np.float32)


def _write(path: Path, samples: np.ndarray, rate: int = 16000, **options: str) -> Path:
    if path.suffix == ".opus":
        options = {"format": "OGG", "subtype": "OPUS"}
    soundfile.write(path, samples, rate, **options)
    return path


def _cut(path: Path, share: float = 0.5) -> Path:
    """A copy of the file without its end."""
    content = path.read_bytes()
    cut = path.with_stem(path.stem + "-cut")
    cut.write_bytes(content[: int(len(content) * share)])
    return cut


def _ffmpeg(*arguments: object) -> bytes:
    command = ["ffmpeg", "-y", "-nostdin", "-loglevel", "error", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


@pytest.mark.parametrize("suffix", AUDIO_SUFFIXES)
@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_every_format_comes_back_at_the_wanted_rate(tmp_path, suffix, rate, caplog):
    path = _write(tmp_path / f"a{suffix}", _chirp(rate), rate)
    samples, loaded_rate = load_audio(path)
    assert (samples.dtype, samples.shape, loaded_rate) == (np.float32, (96000,), 16000)
    error = samples[1000:-1000] - _chirp(16000)[1000:-1000]
    assert np.sqrt(np.mean(error**2)) < ROOT_MEAN_SQUARE_ERROR[suffix]
    assert audio_seconds(path) == pytest.approx(6.0, abs=1e-3)
    assert not caplog.records


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "IMA_ADPCM"])
def test_every_sample_format(tmp_path, subtype):
    samples, _ = load_audio(_write(tmp_path / "a.wav", _chirp(16000), subtype=subtype))
    assert np.sqrt(np.mean((samples[:96000] - _chirp(16000)) ** 2)) < 0.01


@pytest.mark.parametrize(("rate", "num_channels"), [(192000, 1), (44100, 2), (16000, 32), (4000, 5)])
def test_odd_rates_and_many_channels_are_averaged(tmp_path, rate, num_channels):
    gains = np.linspace(0.5, 1.5, num_channels) if num_channels > 1 else np.ones(1)
    path = _write(tmp_path / "a.wav", _chirp(rate)[:, None] * gains, rate)
    samples, native_rate = load_audio(path, rate=None)
    assert native_rate == rate
    np.testing.assert_allclose(samples, _chirp(rate), atol=1e-4)
    assert abs(len(load_audio(path)[0]) - 96000) <= 4


@pytest.mark.parametrize("name", ["with space.wav", "größe 音.flac", "line\nbreak.wav", "-dash.wav", "a.mp3.wav", "x"])
def test_odd_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    _write(tmp_path / "a.wav", _chirp(16000)).rename(name)
    assert len(load_audio(name)[0]) == 96000
    Path(name).write_bytes(b"")
    with pytest.raises(AudioError) as error:
        load_audio(name)
    assert "\n" not in str(error.value)
    assert repr(name)[1:-1] in str(error.value)


def test_a_name_that_is_not_unicode(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav")
    os.rename(_write(tmp_path / "a.wav", _chirp(16000)), path)
    assert len(load_audio(path)[0]) == 96000
    os.truncate(path, 0)
    with pytest.raises(AudioError) as error:
        load_audio(path)
    str(error.value).encode("utf-8")  # can be printed


@pytest.mark.parametrize("suffix", AUDIO_SUFFIXES)
def test_bytes_and_open_files_give_the_same_as_the_path(tmp_path, suffix):
    path = _write(tmp_path / f"a{suffix}", _chirp(48000), 48000)
    expected, _ = load_audio(path)
    np.testing.assert_array_equal(load_audio(path.read_bytes())[0], expected)
    np.testing.assert_array_equal(load_audio(io.BytesIO(path.read_bytes()))[0], expected)
    with open(path, "rb") as file:
        np.testing.assert_array_equal(load_audio(file)[0], expected)


def test_samples_beyond_one_are_not_clipped(tmp_path):
    samples, _ = load_audio(_write(tmp_path / "a.wav", 3 * _chirp(16000), subtype="FLOAT"))
    np.testing.assert_array_equal(samples, 3 * _chirp(16000))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Suffix → (path, all of its samples), long enough for several decoded blocks."""
    folder = tmp_path_factory.mktemp("whole")
    noise = 0.1 * np.random.default_rng(0).standard_normal(48000 * 6).astype(np.float32)
    paths = {suffix: _write(folder / f"a{suffix}", _chirp(48000) + noise, 48000) for suffix in AUDIO_SUFFIXES}
    return {suffix: (path, load_audio(path, rate=None)[0]) for suffix, path in paths.items()}


@pytest.mark.parametrize("suffix", AUDIO_SUFFIXES)
def test_decoding_in_blocks_gives_what_one_read_gives(whole, suffix):
    path, samples = whole[suffix]
    np.testing.assert_array_equal(samples, soundfile.read(path, dtype="float32")[0])


@pytest.mark.parametrize("suffix", AUDIO_SUFFIXES)
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.floats(0.0, 5.9), seconds=st.floats(0.01, 7.0))
def test_a_span_is_a_slice_of_the_whole(whole, suffix, start, seconds):
    path, samples = whole[suffix]
    span, rate = load_audio(path, rate=None, start_seconds=start, end_seconds=start + seconds)
    np.testing.assert_array_equal(span, samples[round(start * rate) : round((start + seconds) * rate)])


@pytest.mark.parametrize(
    ("start", "end"),
    [(1.0, 1.0), (2.0, 1.0), (-1.0, 1.0), (float("nan"), None), (6.0, None), (1e300, None), (7.0, 9.0)],
)
@pytest.mark.parametrize("suffix", [".wav", ".opus"])
def test_an_empty_span_is_refused(tmp_path, suffix, start, end):
    path = _write(tmp_path / f"a{suffix}", _chirp(16000))
    with pytest.raises(AudioError, match="span") as error:
        load_audio(path, start_seconds=start, end_seconds=end)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("suffix", AUDIO_SUFFIXES)
def test_what_decodes_of_a_truncated_file_is_used_with_a_warning(tmp_path, suffix, caplog):
    noise = 0.1 * np.random.default_rng(0).standard_normal(96000).astype(np.float32)
    whole = _write(tmp_path / f"a{suffix}", _chirp(16000) + noise)
    path = _cut(whole)
    samples, _ = load_audio(path)
    num_samples = len(samples)
    assert 0.25 * 96000 < num_samples < 0.6 * 96000
    np.testing.assert_allclose(samples[:-1200], load_audio(whole)[0][: num_samples - 1200], atol=1e-3)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert str(path) in caplog.text


def test_a_span_before_the_break_needs_no_warning(tmp_path, caplog):
    path = _cut(_write(tmp_path / "a.flac", _chirp(16000)))
    assert len(load_audio(path, end_seconds=1.0)[0]) == 16000
    assert not caplog.records
    with pytest.raises(AudioError, match=r"5\.0"):
        load_audio(path, start_seconds=5.0)


def test_a_count_of_samples_that_cannot_be_true_allocates_nothing(tmp_path, caplog):
    content = bytearray(_write(tmp_path / "a.flac", _chirp(16000)).read_bytes())
    content[21] |= 0x0F  # STREAMINFO's 36 bits of samples
    content[22:26] = b"\xff" * 4
    path = tmp_path / "b.flac"
    path.write_bytes(content)
    assert len(load_audio(path)[0]) == 96000
    assert "promises" in caplog.text
    assert audio_seconds(path) == pytest.approx(6.0)


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF - 36])
def test_a_wav_written_to_a_pipe_promises_nothing(tmp_path, length, caplog):
    content = bytearray(_write(tmp_path / "a.wav", _chirp(16000)).read_bytes())
    assert content[36:40] == b"data"
    content[40:44] = struct.pack("<I", length)
    assert len(load_audio(bytes(content))[0]) == 96000
    assert not caplog.records


@needs_ffmpeg
def test_flac_written_to_a_pipe_ends_without_a_warning(tmp_path, caplog):
    path = tmp_path / "b.flac"
    path.write_bytes(_ffmpeg("-i", _write(tmp_path / "a.wav", _chirp(16000)), "-f", "flac", "-"))
    np.testing.assert_allclose(load_audio(path)[0], _chirp(16000), atol=1e-4)
    assert audio_seconds(path) == pytest.approx(6.0)
    assert not caplog.records


@needs_ffmpeg
@pytest.mark.parametrize("comment", ["", "x" * 70_000], ids=["plain", "large tag"])
def test_an_mp3_of_variable_bit_rate_that_does_not_state_its_length_is_read_to_its_end(tmp_path, comment):
    noise = np.random.default_rng(0).standard_normal(44100 * 20).astype(np.float32)
    samples = noise * np.linspace(0.3, 0.0, len(noise), dtype=np.float32)  # bit rates from high to low
    path = tmp_path / "b.mp3"
    wav = _write(tmp_path / "a.wav", samples, 44100)
    _ffmpeg("-i", wav, "-q:a", "6", "-write_xing", "0", "-metadata", f"comment={comment}", path)
    for source in (path, path.read_bytes()):
        assert len(load_audio(source)[0]) / 16000 == pytest.approx(20.0, abs=0.1)
    assert audio_seconds(path) == pytest.approx(20.0, abs=0.1)
    assert len(load_audio(path, start_seconds=18.0, end_seconds=19.0)[0]) == pytest.approx(16000, abs=1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("num_channels", [1, 2])
def test_samples_that_are_not_finite_are_refused(tmp_path, value, num_channels):
    samples = np.stack([_chirp(16000)] * num_channels, axis=1)
    samples[5000:5100] = value
    path = _write(tmp_path / "a.wav", samples, subtype="FLOAT")
    with pytest.raises(AudioError, match="not finite") as error:
        load_audio(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\0" * 5000, b"fLaC" + b"\xff" * 5000, b"text\n" * 300])
@pytest.mark.parametrize("with_ffmpeg", [False, pytest.param(True, marks=needs_ffmpeg)])
def test_what_is_not_audio_is_refused(tmp_path, monkeypatch, content, with_ffmpeg):
    if not with_ffmpeg:
        monkeypatch.setattr(decode.shutil, "which", lambda _program: None)
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    for source, name in ((path, str(path)), (io.BytesIO(content), "<stream>")):
        with pytest.raises(AudioError) as error:
            load_audio(source)
        assert str(error.value).startswith(f"{name}: ")
        assert "\n" not in str(error.value)
        assert " object at 0x" not in str(error.value)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_a_header_without_samples_is_refused(tmp_path, suffix):
    path = _write(tmp_path / f"a{suffix}", np.zeros(0, np.float32))
    for read in (load_audio, audio_seconds):
        with pytest.raises(AudioError, match=r"a\.\w+: "):
            read(path)


def test_missing_files_folders_and_devices_are_refused(tmp_path):
    with pytest.raises(AudioError, match="does not exist"):
        load_audio(tmp_path / "missing.wav")
    with pytest.raises(AudioError, match="is a folder"):
        load_audio(tmp_path)
    with pytest.raises(AudioError, match="cannot be read"):
        load_audio("null\0byte.wav")
    with pytest.raises(AudioError, match="empty"):
        load_audio("/dev/zero")


def test_a_rate_that_would_fill_the_memory_is_refused(tmp_path):
    content = bytearray(_write(tmp_path / "a.wav", _chirp(16000)).read_bytes())
    content[24:28] = struct.pack("<I", 1)
    with pytest.raises(AudioError, match="1 samples per second"):
        load_audio(bytes(content))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(suffix=st.sampled_from([".wav", ".flac", ".ogg", ".opus"]), seed=st.integers(0, 2**32 - 1))
def test_damaged_files_give_samples_or_one_clear_error(whole, monkeypatch, suffix, seed):
    monkeypatch.setattr(decode.shutil, "which", lambda _program: None)
    random = np.random.default_rng(seed)
    content = np.frombuffer(whole[suffix][0].read_bytes()[:60_000], np.uint8).copy()
    places = random.integers(0, random.choice([100, len(content)]), random.integers(1, 20))
    content[places] = random.integers(0, 256, len(places))
    with suppress(AudioError):  # and no other
        samples, _ = load_audio(content.tobytes())
        assert samples.size
        assert np.isfinite(samples).all()


@pytest.fixture
def m4a(tmp_path):
    path = tmp_path / "other container.m4a"
    _ffmpeg("-i", _write(tmp_path / "a.wav", np.stack([_chirp(44100)] * 2, axis=1), 44100), path)
    return path


@needs_ffmpeg
def test_other_containers_go_through_ffmpeg(m4a, caplog):
    samples, rate = load_audio(m4a, rate=None)
    assert rate == 44100
    np.testing.assert_allclose(samples[2000:260000], _chirp(44100)[2000:260000], atol=0.05)
    np.testing.assert_array_equal(load_audio(m4a.read_bytes(), rate=None)[0], samples)
    span, _ = load_audio(m4a, rate=None, start_seconds=1.0, end_seconds=2.0)
    np.testing.assert_array_equal(span, samples[44100:88200])
    assert audio_seconds(m4a) == pytest.approx(6.0, abs=0.1)
    assert not caplog.records


@needs_ffmpeg
def test_a_span_at_the_start_of_a_long_container_is_no_failure(tmp_path, caplog):
    path = tmp_path / "a.mka"
    _ffmpeg("-f", "lavfi", "-i", "sine=sample_rate=48000:duration=120", "-c:a", "pcm_s16le", path)
    assert len(load_audio(path, end_seconds=0.5)[0]) == 8000
    assert not caplog.records


@needs_ffmpeg
def test_a_truncated_container_is_used_with_a_warning(tmp_path, caplog):
    path = tmp_path / "a.webm"
    _ffmpeg("-i", _write(tmp_path / "a.wav", _chirp(16000)), "-c:a", "libopus", path)
    samples, _ = load_audio(_cut(path))
    assert 0 < len(samples) < 80000
    assert "ffmpeg says" in caplog.text


def test_without_ffmpeg_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(decode.shutil, "which", lambda _program: None)
    path = tmp_path / "a.m4a"
    path.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(3000))
    with pytest.raises(AudioError, match=r"a\.m4a: .*install ffmpeg"):
        load_audio(path)


def test_an_ffmpeg_that_hangs_is_stopped(tmp_path, monkeypatch):
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nwhile :; do :; done\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(decode, "FFMPEG_TIMEOUT_SECONDS", 0.3)
    path = tmp_path / "a.m4a"
    path.write_bytes(bytes(3000))
    started = time.monotonic()
    with pytest.raises(AudioError, match="ffmpeg was stopped"):
        load_audio(path)
    assert time.monotonic() - started < 10.0
