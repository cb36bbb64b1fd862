"""What `audioroto transcribe` is given: files, folders, patterns and standard input, as a list of recordings."""

import glob
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from audioroto.audio.decode import stated_seconds
from audioroto.audio.load import AUDIO_SUFFIXES
from audioroto.corpus.datadir import NUM_HEADER_THREADS
from audioroto.errors import AudioError, UserError, printable
from audioroto.files import make_unique

STANDARD_INPUT = "-"

# In a folder these are taken for audio; a file that is named itself is, whatever its suffix. First what soundfile
# reads, then what ffmpeg does. Not .ts, which is a program more often than a film, nor .raw, which tells no rate.
_SOUNDFILE_SUFFIXES = (
    *AUDIO_SUFFIXES,
    *(".oga", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64", ".voc", ".sph", ".nist", ".avr"),
    *(".ircam", ".sf", ".paf", ".pvf", ".svx", ".8svx", ".iff", ".xi", ".sd2", ".sds", ".wve"),
)
_FFMPEG_SUFFIXES = (
    *(".m4a", ".m4b", ".mp4", ".m4v", ".mov", ".mkv", ".mka", ".webm", ".aac", ".ac3", ".wma", ".wmv", ".asf", ".amr"),
    *(".awb", ".3gp", ".avi", ".flv", ".mpg", ".mpeg", ".m2ts", ".mts", ".vob", ".ogv", ".mp2", ".spx", ".ape"),
    *(".wv", ".tta", ".dts", ".gsm", ".ra", ".rm", ".mpc"),
)
FOLDER_SUFFIXES = (*_SOUNDFILE_SUFFIXES, *_FFMPEG_SUFFIXES)

_GUESSED_BYTES_PER_SECOND = 16_000  # 128 kbit/s, of a file whose header soundfile cannot read


@dataclass(frozen=True)
class AudioInput:
    """A recording to be transcribed: its path, or `-`, and the relative path that its outputs are called after."""

    path: str
    name: str

    @property
    def source(self) -> str | BinaryIO:
        """What `Recognizer.transcribe` takes."""
        if self.path != STANDARD_INPUT:
            return self.path
        if sys.stdin is None:
            raise AudioError("-: standard input is closed; send a recording there")
        return sys.stdin.buffer

    @property
    def shown(self) -> str:
        """The path as one printable line, whatever characters its name has."""
        return printable(self.path)


def find_audio(arguments: Sequence[str | os.PathLike[str]]) -> list[AudioInput]:
    """The recordings that paths, folders, patterns (`**` too) and `-` stand for, each once, in a stable order.

    Folders are searched to their depth for files with a suffix of audio; what is hidden is skipped, and links to
    folders are not followed. What a folder holds keeps its path below that folder, after the folder's own name where
    there are several arguments; what is named itself keeps its path as given, only its name where that leads outside.
    Raises UserError for a folder or pattern without audio; a file that does not exist or a folder that cannot be read
    is in the list, for it is not to stop the others.
    """
    found: dict[str, AudioInput] = {}
    for given in arguments:
        argument = os.fspath(given)
        recordings = list(_expand(argument, alone=len(arguments) == 1))
        if not recordings:
            what = "holds no audio files" if os.path.isdir(argument) else "matches no file"
            raise UserError(
                f"{printable(argument)} {what}; name files, folders or patterns that do, or - for standard input"
            )
        for audio in recordings:
            found.setdefault(audio.path if audio.path == STANDARD_INPUT else _place(audio.path), audio)
    return list(found.values())


def name_outputs(inputs: Iterable[AudioInput]) -> list[str]:
    """What the outputs of each recording are called, without the format's suffix: different for each.

    That is its name without suffix; where several share it (x.wav, x.mp3), with it; where that is not enough, numbered.
    """
    names = [audio.name for audio in inputs]
    stems = [os.path.splitext(name)[0] for name in names]
    sharing = Counter(stems)
    outputs = []
    taken = {"manifest"}  # Note: manifest.json lies beside the outputs
    for name, stem in zip(names, stems, strict=True):
        outputs.append(make_unique(name if sharing[stem] > 1 else stem, taken))
        taken.add(outputs[-1])
    return outputs


def estimate_seconds(inputs: Sequence[AudioInput]) -> list[float]:
    """About how long each recording is, for sharing and progress: from headers, else from the size of the file."""
    with ThreadPoolExecutor(NUM_HEADER_THREADS) as pool:
        return list(pool.map(_estimate, (audio.path for audio in inputs)))


def _estimate(path: str) -> float:
    if not os.path.isfile(path):  # nothing, standard input, or a pipe that can be read only once
        return 0.0
    with suppress(AudioError):
        if seconds := stated_seconds(path):
            return seconds
    return os.path.getsize(path) / _GUESSED_BYTES_PER_SECOND


def _expand(argument: str, alone: bool) -> Iterator[AudioInput]:
    if argument == STANDARD_INPUT:
        yield AudioInput(STANDARD_INPUT, "stdin")
    elif os.path.isdir(argument):
        yield from _walk(argument, "" if alone else os.path.basename(os.path.abspath(argument)))
    elif os.path.exists(argument) or not glob.has_magic(argument):
        yield AudioInput(argument, _relative_name(argument))  # if it is not there, transcribing says so
    else:
        matches: dict[str, str] = {}
        for match in sorted(glob.glob(argument, recursive=True), key=len):  # of a loop of links, not the long way round
            matches.setdefault(_place(match), match)
        for match in sorted(matches.values(), key=os.fsencode):
            if os.path.isdir(match):
                yield from _walk(match, _relative_name(match, _fixed_part(argument)))
            else:
                yield AudioInput(match, _relative_name(match, _fixed_part(argument)))


def _place(path: str) -> str:
    """Where a file lies: a link to a folder is that folder, a link to a file a recording of its own."""
    folder, file = os.path.split(path)
    return os.path.join(os.path.realpath(folder), file)


def _walk(folder: str, name: str) -> Iterator[AudioInput]:
    unread: list[str] = []  # transcribing them says so
    for parent, folders, files in os.walk(folder, onerror=lambda error: unread.append(error.filename)):
        folders[:] = sorted((one for one in folders if not one.startswith(".")), key=os.fsencode)
        for file in sorted(files, key=os.fsencode):
            path = os.path.join(parent, file)
            if file.lower().endswith(FOLDER_SUFFIXES) and not file.startswith(".") and os.path.isfile(path):
                yield AudioInput(path, os.path.join(name, os.path.relpath(path, folder)))
    for path in unread:
        yield AudioInput(path, os.path.join(name, os.path.relpath(path, folder)))


def _relative_name(path: str, folder: str = "") -> str:
    """The path as given where that stays below the current folder; else below `folder`, if any, or the name alone."""
    name = os.path.normpath(path)
    if os.path.isabs(name) or name.startswith(os.pardir):
        name = os.path.relpath(path, folder) if folder else os.path.basename(name)
    return name


def _fixed_part(pattern: str) -> str:
    """The folder of a pattern before its first part with a wildcard."""
    while glob.has_magic(pattern):
        pattern = os.path.dirname(pattern)
    return pattern
