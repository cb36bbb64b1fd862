"""Any audio file, or its bytes, to blocks of mono samples at the wanted rate, in bounded memory.

soundfile reads most files; other containers go through ffmpeg where it is installed. What decodes is used, with a
warning where the file promises more; what cannot be used is one AudioError that names the file and the next step.
"""

import io
import logging
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import soundfile

from audioroto.audio.resample import Resampler
from audioroto.audio.source import AudioSource, open_source
from audioroto.errors import AudioError

FFMPEG_TIMEOUT_SECONDS = 900.0  # of waiting for it, all waits together
RATES = range(1_000, 1_000_001)  # a header that states another rate is broken, or means to fill the memory

_BLOCK_VALUES = 2**17  # samples of all channels decoded at a time
# Coded sample by sample, or frame by frame without a memory: here a seek lands exactly where decoding from the start
# would. Opus, MP3 and the adaptive codecs remember what came before, so their spans are decoded from the start.
_EXACT_SEEK_SUBTYPES = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
_UNKNOWN_FRAMES = 2**50  # or more: libsndfile's count for a stream of unknown length, or a header's nonsense
_UNKNOWN_BYTES = 0x7FFF0000  # what programs that write WAV to a pipe put where the length belongs, or more
# What ffmpeg may take a file for. Not among them: playlists, which name other files to be read in their place.
_FFMPEG_FORMATS = (
    "aac ac3 aiff amr amrnb amrwb ape asf au avi caf dts eac3 flac flv gsm loas matroska mlp mov mp3 mpc mpc8 mpeg "
    "mpegts nistsphere ogg rm sox tak truehd tta voc w64 wav wv xwma"
)
_LARGEST_SAMPLE = 1e30  # beyond all measure, and resampling must not overflow

_logger = logging.getLogger(__name__)


def iter_decoded(
    source: AudioSource, rate: int | None, *, start_seconds: float = 0.0, end_seconds: float | None = None
) -> Iterator[tuple[np.ndarray, int]]:
    """Blocks (S,) float32 of a file's path, its bytes or an open binary file, each with its rate in hertz.

    Blocks are as long as decoder and resampler make them, never empty, and there is one at least. Arguments and errors
    are those of `load_audio`; an error comes when reading gets to what is wrong, which may be after many blocks.
    """
    with open_source(source) as (name, material):
        if not (start_seconds >= 0.0 and (end_seconds is None or end_seconds > start_seconds)):
            raise AudioError(
                f"{name}: the span from {start_seconds} s to {end_seconds} s is empty; "
                "give a start of 0 or later and an end after it"
            )
        reading = _Reading(name, start_seconds, end_seconds)
        num_given = 0
        for block in _resample(_decode(material, reading), reading, rate):
            if block.size:
                num_given += len(block)
                yield block, rate or reading.rate
    if not num_given:
        seconds = reading.num_frames / reading.rate
        if reading.num_frames and (start_seconds or end_seconds is not None):
            raise AudioError(
                f"{name}: nothing between {start_seconds} s and {end_seconds or seconds} s, the audio decodes to "
                f"{seconds:.3f} s; correct the span"
            )
        reason = f" ({reading.problem})" if reading.problem else ""
        raise AudioError(f"{name}: holds no audio samples{reason}; replace the file or leave it out")
    if reading.problem:
        _logger.warning(
            "%s: %s; using the %.2f s that decode", name, reading.problem, num_given / (rate or reading.rate)
        )


def stated_seconds(path: str | os.PathLike[str]) -> float | None:
    """The duration that an audio file's header states, if it can be true; None where only decoding can tell.

    Raises AudioError for a file that cannot be read.
    """
    with (
        open_source(path) as (_, material),
        suppress(soundfile.SoundFileError, TypeError),
        _open_soundfile(material) as sound,
    ):
        seconds = sound.frames / sound.samplerate
        # No codec spends less than a byte on a second, not even on silence: a header that says so is wrong.
        size = len(material) if isinstance(material, bytes) else os.path.getsize(material)
        if 0 < seconds < size and sound.samplerate in RATES:
            return seconds
    return None


@dataclass
class _Reading:
    """The span of a recording that is wanted, and what has been seen of the recording."""

    name: str
    start_seconds: float
    end_seconds: float | None
    rate: int = 1
    num_frames: int = 0  # decoded, from the beginning of the audio
    at_end: bool = False  # the decoder gave no more
    problem: str | None = None  # why there may be less than the file promises


class _SoundFile(soundfile.SoundFile):
    """Read from front to back.

    Note: soundfile seeks after every read of a file that says it can be sought, and an MP3 decoder that was sought is
    wrong for the next tenth of a second.
    """

    def seekable(self) -> bool:
        return False

    @property
    def seeks_exactly(self) -> bool:
        return super().seekable() and self.subtype.startswith(_EXACT_SEEK_SUBTYPES)


def _resample(blocks: Iterator[np.ndarray], reading: _Reading, rate: int | None) -> Iterator[np.ndarray]:
    resampler: Resampler | None = None
    for block in blocks:
        if block.size and not np.abs(block).max() < _LARGEST_SAMPLE:
            raise AudioError(
                f"{reading.name}: holds samples that are not finite (NaN or infinite); make it again from its source"
            )
        resampler = resampler or Resampler(reading.rate, rate or reading.rate)
        yield resampler.resample(block)
    if resampler:
        yield resampler.finish()


def _decode(material: str | bytes, reading: _Reading) -> Iterator[np.ndarray]:
    try:
        sound = _open_soundfile(material)
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: soundfile wants to be told about .raw files
        # Note: libsndfile's errors as text repeat what was opened, of a stream the address of a Python object.
        reason = error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
        yield from _decode_with_ffmpeg(material, reading, _last_line(reason))
        return
    with sound:
        yield from _read_blocks(sound, reading)


def _open_soundfile(material: str | bytes) -> _SoundFile:
    sound = _SoundFile(io.BytesIO(material) if isinstance(material, bytes) else os.fsencode(material))
    # Note: of an MP3 that does not state its length, libsndfile guesses it from the first frame's bit rate and reads no
    # further, which loses most of a file of variable bit rate. From a pipe it reads to the end.
    if sound.format == "MP3" and (stream := _lengthless_mp3(material)):
        with suppress(soundfile.SoundFileError):
            piped = _SoundFile(_pipe_from(stream))
            sound.close()
            return piped
    return sound


def _lengthless_mp3(material: str | bytes) -> BinaryIO | None:
    """The stream at the first audio frame of an MP3 without a Xing, Info or VBRI header; None where there is one."""
    stream: BinaryIO = io.BytesIO(material) if isinstance(material, bytes) else open(material, "rb")  # noqa: SIM115
    tag = stream.read(10)
    first_frame = 0
    if tag[:3] == b"ID3":  # its size is four bytes of seven bits
        first_frame = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(tag[6:10], (21, 14, 7, 0), strict=True))
    stream.seek(first_frame)
    if any(header in stream.read(2048) for header in (b"Xing", b"Info", b"VBRI")):
        stream.close()
        return None
    stream.seek(first_frame)
    return stream


def _pipe_from(stream: BinaryIO) -> int:
    """The reading end of a pipe into which a thread copies the stream."""
    reading, writing = os.pipe()

    def copy() -> None:
        with suppress(BrokenPipeError), stream, open(writing, "wb") as pipe:  # broken: the reader has had enough
            shutil.copyfileobj(stream, pipe)

    threading.Thread(target=copy, daemon=True).start()
    return reading


def _read_blocks(
    sound: _SoundFile, reading: _Reading, waiting: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[np.ndarray]:
    """The wanted samples, a block at a time; `waiting` is entered around every read."""
    rate = reading.rate = sound.samplerate
    if rate not in RATES:
        raise AudioError(
            f"{reading.name}: states {rate} samples per second; correct its header or convert it to FLAC or WAV"
        )
    start = round(min(reading.start_seconds * rate, _UNKNOWN_FRAMES))
    stop = _UNKNOWN_FRAMES if reading.end_seconds is None else round(min(reading.end_seconds * rate, _UNKNOWN_FRAMES))
    if start and sound.seeks_exactly:
        try:
            reading.num_frames = sound.seek(min(start, sound.frames))
        except soundfile.SoundFileError as error:
            raise AudioError(
                f"{reading.name}: nothing decodes at {reading.start_seconds} s ({_last_line(str(error))}); "
                "correct the span or replace the file"
            ) from None
    block_frames = max(1, min(_BLOCK_VALUES // sound.channels, stop - reading.num_frames))
    block = np.empty((block_frames, sound.channels), np.float32)
    while reading.num_frames < stop and not reading.at_end:
        position = reading.num_frames
        block.fill(np.nan)
        try:
            with waiting():
                num_frames = sound.buffer_read_into(block, "float32")
            reading.at_end = num_frames == 0
        except soundfile.LibsndfileError as error:
            # How many frames came before the error is not said: those that are no longer NaN.
            num_frames = int(np.count_nonzero(~np.isnan(block[:, 0])))
            seconds = (position + num_frames) / rate
            if position + num_frames < stop:
                reading.problem = f"decoding breaks off at {seconds:.2f} s ({_last_line(str(error))})"
            reading.at_end = True
        reading.num_frames += num_frames
        with np.errstate(invalid="ignore", over="ignore"):  # infinite samples are refused by the caller
            wanted = block[max(start - position, 0) : min(num_frames, stop - position)]
            kept = wanted[:, 0].copy() if wanted.shape[1] == 1 else wanted.mean(axis=1)
        yield kept
    if reading.at_end:
        reading.problem = _shortfall(sound, reading.num_frames) or reading.problem


def _shortfall(sound: soundfile.SoundFile, num_frames: int) -> str | None:
    """What says that a file whose `num_frames` frames were all decoded was longer once, if anything does."""
    if num_frames < sound.frames < _UNKNOWN_FRAMES:
        return f"its header promises {sound.frames / sound.samplerate:.2f} s"
    log = sound.extra_info  # libsndfile cuts the promise of a WAV header to the file's size, and tells only here
    chunk = re.search(r"^(?:data|SSND) *: (\d+) \(should be (\d+)\)", log, re.MULTILINE)
    if chunk and int(chunk[2]) < int(chunk[1]) < _UNKNOWN_BYTES:
        return f"its header promises {num_frames * int(chunk[1]) / int(chunk[2]) / sound.samplerate:.2f} s"
    if "Last page lacks an end-of-stream bit" in log:
        return "the end of its Ogg stream is missing"
    return None


def _decode_with_ffmpeg(material: str | bytes, reading: _Reading, reason: str) -> Iterator[np.ndarray]:
    name, program = reading.name, shutil.which("ffmpeg")
    if program is None:
        raise AudioError(
            f"{name}: soundfile cannot read it ({reason}); install ffmpeg for other containers, "
            "or convert the file to FLAC or WAV"
        )
    with ExitStack() as stack:
        if isinstance(material, bytes):  # to a file, because MP4 cannot be read from a pipe
            content = stack.enter_context(tempfile.NamedTemporaryFile())
            content.write(material)
            content.flush()
            material = content.name
        errors = stack.enter_context(tempfile.TemporaryFile())
        # Sun's .au is the plainest format that carries rate and channels through a pipe. Nothing but this file is
        # opened, whatever addresses are named in it.
        arguments = [program, "-nostdin", "-hide_banner", "-loglevel", "error", "-protocol_whitelist", "file"]
        arguments += ["-format_whitelist", _FFMPEG_FORMATS.replace(" ", ",")]
        arguments += ["-i", f"file:{material}", "-map", "0:a:0", "-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        assert process.stdout is not None
        patience = _Patience(process, FFMPEG_TIMEOUT_SECONDS)
        sound = None
        try:
            with suppress(soundfile.SoundFileError):
                with patience.waiting():
                    sound = _SoundFile(process.stdout.fileno(), closefd=False)
                with sound:
                    yield from _read_blocks(sound, reading, patience.waiting)
        finally:
            process.stdout.close()  # ffmpeg stops here if only a span was wanted
            with patience.waiting():
                status = process.wait()
        errors.seek(0)
        complaint = _last_line(errors.read().decode(errors="replace")).removeprefix(f"file:{material}: ")
    if status == -signal.SIGKILL:
        raise AudioError(
            f"{name}: ffmpeg was stopped, after {FFMPEG_TIMEOUT_SECONDS:.0f} s at the latest; "
            "convert the file to FLAC or WAV"
        )
    if sound is None:
        raise AudioError(
            f"{name}: neither soundfile nor ffmpeg can read it ({complaint or reason}); "
            "check that it is audio, or convert it to FLAC or WAV"
        )
    reading.problem = f"ffmpeg says: {complaint or 'failed'}" if reading.at_end and (status or complaint) else None


class _Patience:
    """Kills a process that keeps its reader waiting for more than `seconds`, all waits together.

    What the reader does between its waits does not count: a long file may be read slowly.
    """

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.process = process
        self.seconds = seconds

    @contextmanager
    def waiting(self) -> Iterator[None]:
        timer = threading.Timer(max(0.0, self.seconds), self.process.kill)
        started = time.monotonic()
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self.seconds -= time.monotonic() - started


def _last_line(text: str) -> str:
    """The last line of a message, without what a terminal could take amiss and the dots that would end a sentence."""
    lines = "".join(c if c.isprintable() or c == "\n" else " " for c in text).strip().splitlines()
    return lines[-1].strip().rstrip(".") if lines else ""
