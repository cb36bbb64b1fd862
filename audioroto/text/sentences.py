"""Text files, plain or compressed, as normalised sentences."""

import gzip
import io
import lzma
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, BinaryIO, TextIO, cast

import rich.console
import rich.progress

from audioroto.errors import UserError
from audioroto.text.normalize import normalize

# What ends in a full stop within a sentence, before a capital letter: titles, and initials other than the pronoun.
_TITLES = (
    "Mr", "Mrs", "Ms", "Messrs", "Dr", "St", "Mme", "Mlle", "Rev", "Prof", "Capt", "Col", "Gen", "Lieut", "Sergt",
    "[A-HJ-Z]",
)  # fmt: skip
_BOUNDARY = re.compile(
    r"[.!?…](?!(?<=\b[Nn]o\.)\s+[0-9])"
    + "".join(rf"(?<!\b{title}\.)" for title in _TITLES)
    + r"[\"'”’)\]]*\s+(?=[\"'“‘(\[_]*[A-Z0-9])"
)


def iter_sentences(paths: Iterable[str | os.PathLike[str]], normalizer: str) -> Iterator[str]:
    """The normalised sentences of UTF-8 text files (plain, .gz or .xz), empty ones left out, with progress on stderr.

    A folder is a Kaldi data directory: its `text` is read, without the utterance ids. A line may hold a paragraph: see
    `split_sentences`. `normalizer` is a name that `audioroto.text.normalize` knows.
    Raises UserError for a file that is not UTF-8 or does not decompress, OSError for one that cannot be opened.
    """
    for source in paths:
        transcripts = os.path.isdir(source)
        path = os.path.join(source, "text") if transcripts else source
        with _open_with_progress(path) as binary, open_text(path, binary) as lines:
            for line in lines:
                text = line.replace("\t", " ").lstrip(" ").partition(" ")[2] if transcripts else line
                for sentence in split_sentences(text):
                    if normalized := normalize(sentence, normalizer):
                        yield normalized


def read_words(path: str | os.PathLike[str]) -> set[str]:
    """The words of a UTF-8 file, split at white space, as they stand. Raises UserError as `open_text` does."""
    with open_text(path) as lines:
        return {word for line in lines for word in line.split()}


def split_sentences(paragraph: str) -> list[str]:
    """Cut a paragraph after each . ! ? that is followed by a capital or a digit; text without punctuation stays whole.

    "Mr. Smith", "J. Smith" and "No. 5" stay together; so does "“Come!” said she".
    """
    return _BOUNDARY.sub("\\g<0>\n", paragraph).splitlines()


@contextmanager
def open_text(path: str | os.PathLike[str], binary: BinaryIO | None = None) -> Iterator[TextIO]:
    """Open a UTF-8 text file for reading, decompressing it if its name ends in .gz or .xz.

    Reads from `binary`, an open file, where it is given. Raises UserError, from within the block too, for a file that
    is not UTF-8 or does not decompress, OSError for one that cannot be opened.
    """
    name = os.fspath(path)
    try:
        with binary or open(name, "rb") as raw, io.TextIOWrapper(_decompress(raw, name), encoding="utf-8-sig") as lines:
            yield lines
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8 text ({error}): convert it, for example with iconv -t utf-8.") from error
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{name} does not decompress ({error}): it may be incomplete; fetch it again.") from error


def _decompress(raw: BinaryIO, name: str) -> IO[bytes]:
    if name.endswith(".gz"):
        return cast(IO[bytes], gzip.GzipFile(fileobj=raw, mode="rb"))
    return lzma.LZMAFile(raw) if name.endswith(".xz") else raw


def _open_with_progress(path: str | os.PathLike[str]) -> AbstractContextManager[BinaryIO]:
    console = rich.console.Console(stderr=True)
    return rich.progress.open(
        path,
        "rb",
        description=os.path.basename(path),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
