import io
import tarfile
from pathlib import Path

import pytest

from audioroto.corpus.unpack import unpack_tar
from audioroto.errors import UserError


def make_tar(path: Path, members: dict[str, bytes | dict[str, object]], mode: str = "w:gz") -> Path:
    """A tar archive of files (their content) and of others (what their TarInfo says)."""
    with tarfile.open(path, mode) as tar:
        for name, what in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(what, bytes):
                info.size = len(what)
                tar.addfile(info, io.BytesIO(what))
            else:
                for key, value in what.items():
                    setattr(info, key, value)
                tar.addfile(info)
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_files_and_folders_come_out(tmp_path: Path, mode: str) -> None:
    folders = {"a": {"type": tarfile.DIRTYPE}, "a/empty": {"type": tarfile.DIRTYPE}}
    archive = make_tar(tmp_path / "x.tar", {**folders, "a/b.txt": b"b", "./c/d/e.txt": b"e" * 99999}, mode)
    told: list[int] = []
    unpack_tar(archive, tmp_path / "out", lambda what, done: told.append(done))
    found = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*")}
    assert found == {"a", "a/b.txt", "a/empty", "c", "c/d", "c/d/e.txt"}
    assert (tmp_path / "out/c/d/e.txt").read_bytes() == b"e" * 99999
    assert 0 < told[0] <= told[-1] <= archive.stat().st_size


@pytest.mark.parametrize(
    ("name", "member", "said"),
    [
        ("../evil.txt", b"x", "leads outside"),
        ("a/../../evil.txt", b"x", "leads outside"),
        ("{parent}/evil.txt", b"x", "leads outside"),
        ("../evil", {"type": tarfile.DIRTYPE}, "leads outside"),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "/etc"}, "a link or a device"),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "good.txt"}, "a link or a device"),
        ("link", {"type": tarfile.LNKTYPE, "linkname": "good.txt"}, "a link or a device"),
        ("pipe", {"type": tarfile.FIFOTYPE}, "a link or a device"),
    ],
)
def test_what_leads_outside_is_refused(tmp_path: Path, name: str, member: bytes | dict[str, object], said: str) -> None:
    archive = make_tar(tmp_path / "x.tar", {"good.txt": b"good", name.format(parent=tmp_path): member})
    with pytest.raises(UserError, match=said):
        unpack_tar(archive, tmp_path / "a" / "out")
    assert {path.name for path in tmp_path.rglob("*")} <= {"x.tar", "a", "out", "good.txt"}  # nothing evil


def test_neither_modes_nor_times_are_taken(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "x.tar", {"run": {"mode": 0o4777, "mtime": 1}})
    unpack_tar(archive, tmp_path / "out")
    status = (tmp_path / "out/run").stat()
    assert not status.st_mode & 0o7111
    assert status.st_mtime > 1


@pytest.mark.parametrize("keep", [0, 60, -30])
def test_a_damaged_archive_is_named(tmp_path: Path, keep: int) -> None:
    archive = make_tar(tmp_path / "x.tar", {"a": bytes(range(256)) * 99})
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"x\.tar is damaged"):
        unpack_tar(archive, tmp_path / "out")


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "x.tar", {"a": b"1", "./a": b"2"})
    with pytest.raises(UserError, match="twice"):
        unpack_tar(archive, tmp_path / "out")
