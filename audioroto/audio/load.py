"""Any audio file, or its bytes, to mono float32 at the wanted rate.

soundfile reads most files; other containers go through ffmpeg where it is installed. What decodes is used, with a
warning where the file promises more; what cannot be used is one AudioError that names the file and the next step.
"""

import io
import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import soundfile

from audioroto.audio.resample import resample
from audioroto.errors import AudioError

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
FFMPEG_TIMEOUT_SECONDS = 900.0

_BLOCK_VALUES = 2**17  # samples of all channels decoded at a time
_RATES = range(1_000, 1_000_001)  # a header that states another rate is broken, or means to fill the memory
# Coded sample by sample, or frame by frame without a memory: here a seek lands exactly where decoding from the start
# would. Opus, MP3 and the adaptive codecs remember what came before, so their spans are decoded from the start.
_EXACT_SEEK_SUBTYPES = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
_UNKNOWN_FRAMES = 2**50  # or more: libsndfile's count for a stream of unknown length, or a header's nonsense
_BAD_SEEK = 39  # libsndfile's SFE_BAD_SEEK
_UNKNOWN_BYTES = 0x7FFF0000  # what programs that write WAV to a pipe put where the length belongs, or more

_logger = logging.getLogger(__name__)


def load_audio(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    rate: int | None = 16000,
    *,
    start_seconds: float = 0.0,
    end_seconds: float | None = None,
) -> tuple[np.ndarray, int]:
    """Samples (S,) float32 and their rate, from a file's path, its bytes or an open binary file.

    Channels are averaged, then resampled to `rate`; None keeps the file's own. Only [start_seconds, end_seconds) is
    kept; an end beyond the audio means its end. A long Opus or MP3 file is decoded from its beginning for every span.
    Raises AudioError for whatever gives no finite samples: missing, empty, corrupt, an empty span, NaN.
    """
    name, material = _identify(source)
    if not (start_seconds >= 0.0 and (end_seconds is None or end_seconds > start_seconds)):
        raise AudioError(
            f"{name}: the span from {start_seconds} s to {end_seconds} s is empty; "
            "give a start of 0 or later and an end after it"
        )
    decoded = _decode(material, name, start_seconds, end_seconds)
    rate = rate or decoded.rate
    samples = resample(decoded.samples, decoded.rate, rate)
    if not samples.size:
        seconds = decoded.frames_passed / decoded.rate
        if decoded.frames_passed and (start_seconds or end_seconds is not None):
            raise AudioError(
                f"{name}: nothing between {start_seconds} s and {end_seconds or seconds} s, the audio decodes to "
                f"{seconds:.3f} s; correct the span"
            )
        reason = f" ({decoded.problem})" if decoded.problem else ""
        raise AudioError(f"{name}: holds no audio samples{reason}; replace the file or leave it out")
    if not np.isfinite(samples).all():
        raise AudioError(f"{name}: holds samples that are not finite (NaN or infinite); make it again from its source")
    if decoded.problem:
        _logger.warning("%s: %s; using the %.2f s that decode", name, decoded.problem, len(samples) / rate)
    return samples, rate


def audio_seconds(path: str | os.PathLike[str]) -> float:
    """Duration of an audio file in seconds: from its header where that can be trusted, else by decoding.

    Raises AudioError as load_audio does.
    """
    _, material = _identify(path)
    with suppress(soundfile.SoundFileError, TypeError), _open_soundfile(material) as sound:
        seconds = sound.frames / sound.samplerate
        # No codec spends less than a byte on a second, not even on silence: a header that says so is wrong.
        if 0 < seconds < _size(material) and sound.samplerate in _RATES:
            return seconds
    samples, rate = load_audio(path, rate=None)
    return len(samples) / rate


@dataclass(frozen=True)
class _Decoded:
    samples: np.ndarray  # (S,) float32, of the wanted span
    rate: int
    frames_passed: int  # position where decoding stopped, from the beginning of the audio
    at_end: bool  # the decoder gave no more
    problem: str | None  # why there may be less than the file promises


def _identify(source: str | os.PathLike[str] | bytes | BinaryIO) -> tuple[str, str | bytes]:
    """What to call the source in a message, and an absolute path or the content."""
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        name = name if name.isprintable() else repr(name)
        material: str | bytes = os.path.abspath(source)
        try:
            with open(material, "rb") as file:
                status = os.fstat(file.fileno())
                if stat.S_ISFIFO(status.st_mode) or not status.st_size:
                    material = file.read() if not stat.S_ISCHR(status.st_mode) else b""
        except IsADirectoryError:
            raise AudioError(f"{name}: is a folder; give an audio file") from None
        except FileNotFoundError:
            raise AudioError(f"{name}: does not exist; check the path") from None
        except (OSError, ValueError) as error:  # ValueError: a null byte in the name
            reason = error.strerror if isinstance(error, OSError) else error
            raise AudioError(f"{name}: cannot be read ({reason}); check the path and its permissions") from None
    elif isinstance(source, bytes):
        name, material = "<bytes>", source
    else:
        name, material = "<stream>", source.read()
    if not material:
        raise AudioError(f"{name}: is empty (0 bytes); replace the file or leave it out")
    return name, material


def _decode(material: str | bytes, name: str, start_seconds: float, end_seconds: float | None) -> _Decoded:
    try:
        sound = _open_soundfile(material)
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: soundfile wants to be told about .raw files
        return _decode_with_ffmpeg(material, name, start_seconds, end_seconds, reason=_last_line(str(error)))
    with sound:
        return _read_span(sound, name, start_seconds, end_seconds, _block_frames(sound, material))


def _block_frames(sound: soundfile.SoundFile, material: str | bytes) -> int:
    """Frames to decode at a time."""
    if sound.format == "MP3" and sound.seekable():
        # Note: soundfile seeks after every read, and an MP3 decoder that was sought is wrong for the next tenth of a
        # second. So all at once, but no more than 8 kbit/s, the lowest bit rate, can hold, whatever the header says.
        return int(min(sound.frames, _size(material) * sound.samplerate // 1000)) + 1
    return max(1, _BLOCK_VALUES // sound.channels)


def _size(material: str | bytes) -> int:
    return len(material) if isinstance(material, bytes) else os.path.getsize(material)


def _open_soundfile(material: str | bytes) -> soundfile.SoundFile:
    sound = soundfile.SoundFile(io.BytesIO(material) if isinstance(material, bytes) else os.fsencode(material))
    # Note: of an MP3 that does not state its length, libsndfile guesses it from the first frame's bit rate and reads no
    # further, which loses most of a file of variable bit rate. From a pipe it reads to the end.
    if sound.format == "MP3" and (stream := _lengthless_mp3(material)):
        with suppress(soundfile.SoundFileError):
            piped = soundfile.SoundFile(_pipe_from(stream))
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


def _read_span(
    sound: soundfile.SoundFile, name: str, start_seconds: float, end_seconds: float | None, block_frames: int
) -> _Decoded:
    rate = sound.samplerate
    if rate not in _RATES:
        raise AudioError(f"{name}: states {rate} samples per second; correct its header or convert it to FLAC or WAV")
    start = round(min(start_seconds * rate, _UNKNOWN_FRAMES))
    stop = _UNKNOWN_FRAMES if end_seconds is None else round(min(end_seconds * rate, _UNKNOWN_FRAMES))
    block_frames = max(1, min(block_frames, stop))
    position = 0
    if sound.seekable() and sound.subtype.startswith(_EXACT_SEEK_SUBTYPES):
        block_frames = max(1, min(block_frames, stop - start))
        try:
            position = sound.seek(min(start, sound.frames))
        except soundfile.SoundFileError as error:
            raise AudioError(
                f"{name}: nothing decodes at {start_seconds} s ({_last_line(str(error))}); "
                "correct the span or replace the file"
            ) from None
    block = np.empty((block_frames, sound.channels), np.float32)
    kept: list[np.ndarray] = [np.empty(0, np.float32)]
    problem = None
    at_end = False
    while position < stop and not at_end:
        block.fill(np.nan)
        try:
            num_frames = sound.buffer_read_into(block, "float32")
            at_end = num_frames == 0
        except soundfile.LibsndfileError as error:
            # How many frames came before the error is not said: those that are no longer NaN.
            num_frames = int(np.count_nonzero(~np.isnan(block[:, 0])))
            # Note: the end of a FLAC stream of unknown length shows as a failed seek, because soundfile seeks after
            # every read.
            if not (error.code == _BAD_SEEK and sound.frames >= _UNKNOWN_FRAMES):
                problem = f"decoding breaks off at {(position + num_frames) / rate:.2f} s ({_last_line(str(error))})"
            at_end = True
        with np.errstate(invalid="ignore", over="ignore"):  # infinite samples are refused by the caller
            wanted = block[max(start - position, 0) : min(num_frames, stop - position)]
            kept.append(wanted[:, 0].copy() if wanted.shape[1] == 1 else wanted.mean(axis=1))
        position += num_frames
    if at_end:
        problem = _shortfall(sound, position) or problem
    return _Decoded(np.concatenate(kept), rate, position, at_end, problem)


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


def _decode_with_ffmpeg(
    material: str | bytes, name: str, start_seconds: float, end_seconds: float | None, reason: str
) -> _Decoded:
    program = shutil.which("ffmpeg")
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
        # Sun's .au is the plainest format that carries rate and channels through a pipe. Only local files are opened,
        # whatever addresses a playlist names.
        arguments = [program, "-nostdin", "-hide_banner", "-loglevel", "error", "-protocol_whitelist", "file"]
        arguments += ["-i", f"file:{material}", "-map", "0:a:0", "-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        assert process.stdout is not None
        timer = threading.Timer(FFMPEG_TIMEOUT_SECONDS, process.kill)
        timer.start()
        decoded = None
        try:
            with (
                suppress(soundfile.SoundFileError),
                soundfile.SoundFile(process.stdout.fileno(), closefd=False) as sound,
            ):
                decoded = _read_span(sound, name, start_seconds, end_seconds, _block_frames(sound, material))
        finally:
            process.stdout.close()  # ffmpeg stops here if only a span was wanted
            status = process.wait()
            timer.cancel()
        errors.seek(0)
        complaint = _last_line(errors.read().decode(errors="replace")).removeprefix(f"file:{material}: ")
    if status == -signal.SIGKILL:
        raise AudioError(
            f"{name}: ffmpeg was stopped, after {FFMPEG_TIMEOUT_SECONDS:.0f} s at the latest; "
            "convert the file to FLAC or WAV"
        )
    if decoded is None:
        raise AudioError(
            f"{name}: neither soundfile nor ffmpeg can read it ({complaint or reason}); "
            "check that it is audio, or convert it to FLAC or WAV"
        )
    problem = f"ffmpeg says: {complaint or 'failed'}" if decoded.at_end and (status or complaint) else None
    return _Decoded(decoded.samples, decoded.rate, decoded.frames_passed, decoded.at_end, problem)


def _last_line(text: str) -> str:
    """The last line of a message, without what a terminal could take amiss and the dots that would end a sentence."""
    lines = "".join(c if c.isprintable() or c == "\n" else " " for c in text).strip().splitlines()
    return lines[-1].strip().rstrip(".") if lines else ""
