"""A tar archive to files, with nothing that it says obeyed but the names and the contents."""

import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from audioroto.corpus.fetch import Report
from audioroto.errors import UserError


def unpack_tar(archive: Path, folder: Path, report: Report = lambda what, done: None) -> None:
    """Write the files and folders in a tar archive, compressed or not, below `folder`, which should be empty.

    Links, devices and names that lead outside are refused by a UserError before anything of them is written, as are
    damaged archives. Owners, permissions and times are left where they are. `report` is told how much of the
    archive is done.
    """
    # Note: not tarfile's extractall: its data filter is missing from early releases of Python 3.11, and lets links in.
    try:
        with open(archive, "rb") as content, tarfile.open(fileobj=content, mode="r|*") as tar:
            for member in tar:
                _write(tar, member, folder, archive)
                tar.members = []  # type: ignore[attr-defined]  # a hundred thousand of them are not needed again
                report("unpacking", content.tell())
    except FileExistsError as error:
        raise UserError(f"{archive}: {error.filename} comes twice; nothing is kept") from None
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise UserError(f"{archive} is damaged ({error}): remove it and download it again") from None


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, archive: Path) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\0" in member.name:
        raise UserError(f"{archive}: {member.name!r} leads outside of the folder it is unpacked in; nothing is kept")
    path = folder / name
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
    elif member.isreg() and (content := tar.extractfile(member)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with content, open(path, "xb") as file:
            shutil.copyfileobj(content, file)
    else:
        raise UserError(f"{archive}: {member.name!r} is no file and no folder but a link or a device; nothing is kept")
