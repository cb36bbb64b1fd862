"""Files that are either whole or not there: everything audioroto writes passes through here."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Container, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from audioroto.errors import UserError

log = logging.getLogger(__name__)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path` to write to; renamed to `path` when the block ends, removed when it fails.

    Makes the parent folders. A full disk, an exception or Ctrl-C leaves an earlier file at `path` as it was; of a link,
    the file it leads to. The temporary name keeps the suffix, because libraries choose the format by it. Raises
    UserError where a device or a pipe lies at `path`, and names `path` in an OSError that names no file.
    """
    path = Path(path)
    target = Path(os.path.realpath(path))
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise UserError(f"{path} is no regular file, and nothing is put in its place: give the output another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Note: a file's name may be 255 bytes long, and a character four.
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{path.stem[:40]}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        # mkstemp makes files that only their owner may read; give them what open() would have given.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, target)
    except OSError as error:
        if error.filename is None:
            error.filename = os.fspath(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def one_at_a_time(folder: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Keep a folder to one process of this machine while the block runs. A file system without locks lets all in.

    Makes the folder. Raises UserError where another process has it, saying that another `what` is under way.
    """
    import fcntl  # on Unix alone, and only here

    os.makedirs(folder, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another {what} {folder} is under way: wait for it, or stop it") from None
        except OSError:
            log.debug("%s: its file system has no locks", folder)
        yield
    finally:
        os.close(handle)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `path`, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def make_unique(name: str, taken: Container[str]) -> str:
    """`name` itself, or with the first of -2, -3, … that makes it different from all that are `taken`."""
    if name not in taken:
        return name
    return next(numbered for number in count(2) if (numbered := f"{name}-{number}") not in taken)


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
