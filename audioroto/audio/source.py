"""What audio is read from: a file's path, its bytes, or an open binary file."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

from audioroto.errors import AudioError, printable

AudioSource = str | os.PathLike[str] | bytes | BinaryIO

_LARGEST_IN_MEMORY = 2**26  # bytes of a stream; a longer one goes to a temporary file


@contextmanager
def open_source(source: AudioSource) -> Iterator[tuple[str, str | bytes]]:
    """What to call the source in a message, and an absolute path or the content.

    Raises AudioError for what cannot be read or has no bytes.
    """
    with ExitStack() as stack:
        material: str | bytes
        if isinstance(source, str | os.PathLike):
            name = printable(os.fspath(source))
            material = os.path.abspath(source)
            try:
                with open(material, "rb") as file:
                    status = os.fstat(file.fileno())
                    if stat.S_ISFIFO(status.st_mode) or not status.st_size:
                        material = _keep(file, stack) if not stat.S_ISCHR(status.st_mode) else b""
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
            name, material = str(getattr(source, "name", "<stream>")), _keep(source, stack)
        if not material:
            raise AudioError(f"{name}: is empty (0 bytes); replace the file or leave it out")
        yield name, material


def _keep(stream: BinaryIO, stack: ExitStack) -> str | bytes:
    """The content of a stream, or the path of a temporary file with it where it is large."""
    content = stream.read(_LARGEST_IN_MEMORY)
    if len(content) < _LARGEST_IN_MEMORY:
        return content + stream.read()  # a terminal, or a socket, may give less than there is
    file = stack.enter_context(tempfile.NamedTemporaryFile())  # noqa: SIM115
    file.write(content)
    shutil.copyfileobj(stream, file)
    file.flush()
    return file.name
