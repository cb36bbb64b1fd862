"""Kaldi data directories of others: the shell pipes in their wav.scp become the audio files they decode."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import soundfile

from audioroto.corpus.datadir import (
    DatadirSummary,
    keep_usable,
    read_table,
    read_utterances,
    summarize,
    write_datadir,
)
from audioroto.errors import UserError

# Options that leave the speech as it is; those with None take a value of any kind, a tuple lists the values accepted.
FFMPEG_OPTIONS: dict[str, tuple[str, ...] | None] = {
    **dict.fromkeys(("-v", "-loglevel", "-ab", "-b:a", "-threads"), None),
    **dict.fromkeys(("-acodec", "-c:a", "-codec:a"), ("pcm_s16le",)),
    **dict.fromkeys(("-hide_banner", "-nostdin", "-nostats", "-vn", "-y"), ()),
    "-f": ("wav",),
    "-ac": ("1",),
    "-ar": None,
    "-i": None,
}
SOX_OPTIONS: dict[str, tuple[str, ...] | None] = {
    **dict.fromkeys(("-t", "--type"), ("wav", "wavpcm", "flac", "mp3", "ogg", "vorbis", "sph", "aiff")),
    **dict.fromkeys(("-q", "-D", "-R", "-V0", "-V1", "-V2"), ()),
    "-e": ("signed", "signed-integer"),
    "-b": ("16",),
    "-c": ("1",),
    "-r": None,
}
SPH2PIPE_OPTIONS: dict[str, tuple[str, ...] | None] = {"-f": ("wav", "rif"), "-p": (), "-c": ("1",)}
MODEL_RATE = 16000


def prepare_kaldi(source_dirs: Sequence[Path], out_dir: Path) -> dict[str, DatadirSummary]:
    """Write OUT_DIR/NAME for each Kaldi data directory SOURCE/NAME, with plain audio files in wav.scp.

    No command is executed: those that only decode a file are replaced by that file, and any other is refused by a
    UserError that lists them all. Relative paths count from the current folder, as in Kaldi. Utterances whose audio is
    missing or unreadable, or whose transcript is empty, are skipped with a warning.
    """
    names = [source.resolve().name for source in source_dirs]
    if len(set(names)) < len(names):
        raise UserError(f"two of the data directories have the same name ({', '.join(names)}): prepare them apart")
    for name, source in zip(names, source_dirs, strict=True):
        if os.path.realpath(out_dir / name) == os.path.realpath(source):
            raise UserError(f"{source} would be replaced by its own copy; give another --out-dir")
    summaries = {}
    for name, source in zip(names, source_dirs, strict=True):
        utterances = keep_usable(read_utterances(source, _read_recordings(source / "wav.scp")))
        write_datadir(out_dir / name, utterances)
        summaries[name] = summarize(utterances)
    return summaries


def find_decoded_file(command: str) -> Path:
    """The file that a shell command, without its final `|`, does nothing but decode; the command is not executed.

    Known are flac, sph2pipe, sox, cat and ffmpeg. Raises ValueError with the reason for anything else: pipelines, sox
    effects, time ranges, one channel of several, lower sampling rates.
    """
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words = list(lexer)
    if any(word and set(word) <= set("();<>|&") for word in words):
        raise ValueError("it is more than one plain command")
    if not words:
        raise ValueError("it is empty")
    program = Path(words[0]).name
    readers = {
        "flac": _read_flac,
        "sph2pipe": _read_sph2pipe,
        "sox": _read_sox,
        "cat": _read_cat,
        "ffmpeg": _read_ffmpeg,
    }
    if program not in readers:
        raise ValueError(f"'{program}' is not one of {', '.join(readers)}")
    return readers[program](words[1:])


def _read_recordings(wav_scp: Path) -> dict[str, Path]:
    recordings, refused = {}, []
    for line, (recording, entry) in enumerate(read_table(wav_scp).items(), start=1):
        try:
            recordings[recording] = find_decoded_file(entry[:-1]) if entry.endswith("|") else Path(entry)
        except ValueError as error:
            refused.append(f"  line {line}: {recording}: {error}: {entry}")
    if refused:
        raise UserError(
            f"{wav_scp}: {len(refused)} commands do more than decode one file. Run them yourself, write their output "
            "to files and name those in wav.scp:\n" + "\n".join(refused)
        )
    return recordings


def _read_flac(words: list[str]) -> Path:
    letters = {"--stdout": "c", "--decode": "d", "--silent": "s", "--totally-silent": "s"}
    flags = [word for word in words if word.startswith("-")]
    given = "".join(letters.get(flag, flag.removeprefix("-")) for flag in flags)
    if not {"c", "d"} <= set(given) <= {"c", "d", "s"}:
        raise ValueError("expected flac -c -d -s FILE")
    return _only_file([word for word in words if not word.startswith("-")])


def _read_cat(words: list[str]) -> Path:
    return _only_file(words)


def _read_sph2pipe(words: list[str]) -> Path:
    options, files = _parse_options(words, SPH2PIPE_OPTIONS)
    path = _only_file(files)
    # Note: without -c sph2pipe writes all channels, which loading would mix down; -c 1 of two would be another signal.
    if "-c" in options and (channels := _header(path).channels) > 1:
        raise ValueError(f"it takes one of {channels} channels")
    return path


def _read_sox(words: list[str]) -> Path:
    options, files = _parse_options(words, SOX_OPTIONS)
    if len(files) < 2 or files[1] != "-":
        raise ValueError("expected sox FILE -t wav -")
    if len(files) > 2:
        raise ValueError(f"sox effects change the sound ({' '.join(files[2:])})")
    path = _only_file(files[:1])
    _refuse_lower_rate(path, options.get("-r"))
    return path


def _read_ffmpeg(words: list[str]) -> Path:
    options, outputs = _parse_options(words, FFMPEG_OPTIONS)
    if "-i" not in options or outputs not in (["-"], ["pipe:1"], ["pipe:"]):
        raise ValueError("expected ffmpeg -i FILE -f wav -")
    path = _only_file([options["-i"]])
    _refuse_lower_rate(path, options.get("-ar"))
    return path


def _parse_options(words: list[str], known: dict[str, tuple[str, ...] | None]) -> tuple[dict[str, str], list[str]]:
    """Options with their values ("" for none), and the other words; each option once, known, with a known value."""
    options: dict[str, str] = {}
    others: list[str] = []
    remaining = iter(words)
    for word in remaining:
        if not word.startswith("-") or word == "-":
            others.append(word)
            continue
        if word not in known:
            raise ValueError(f"option {word} may change the sound")
        accepted = known[word]
        value = "" if accepted == () else next(remaining, "")
        if accepted and value not in accepted:
            raise ValueError(f"option {word} {value} may change the sound")
        if options.get(word, value) != value and word not in ("-t", "--type"):
            raise ValueError(f"option {word} is there twice")
        options[word] = value
    return options, others


def _refuse_lower_rate(path: Path, rate: str | None) -> None:
    """Resampling is ours to do, but a rate below the file's and the model's throws away part of the speech."""
    if rate is None:
        return
    try:
        hertz = float(rate[:-1]) * 1000 if rate.endswith("k") else float(rate)
    except ValueError:
        raise ValueError(f"the sampling rate '{rate}' is no number") from None
    if hertz < MODEL_RATE and hertz < _header(path).samplerate:
        raise ValueError(f"it lowers the sampling rate to {rate}")


def _header(path: Path) -> Any:
    try:
        return soundfile.info(str(path))
    except (OSError, soundfile.SoundFileError):
        raise ValueError(f"{path} cannot be read") from None


def _only_file(words: list[str]) -> Path:
    if len(words) != 1 or words[0].startswith("-"):
        raise ValueError("expected exactly one audio file")
    if any(character in words[0] for character in "$`*?~"):
        raise ValueError("the shell would expand the file's name")
    return Path(words[0])
