"""Files that are either whole or not there, and what is never replaced by one."""

import errno
import os
import stat

import pytest

from audioroto.errors import UserError
from audioroto.files import atomic_path, make_unique, one_at_a_time, write_text


def test_a_pipe_or_a_folder_is_never_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("pipe")
    before = sorted(tmp_path.iterdir())
    for name in ("pipe", "link"):
        with pytest.raises(UserError, match=f"{name} is no regular file.*give the output another name"):
            write_text(tmp_path / name, "text")
    with pytest.raises(IsADirectoryError):
        write_text(tmp_path / "folder", "text")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert sorted(tmp_path.iterdir()) == before


def test_a_full_disk_names_the_file(tmp_path):
    with pytest.raises(OSError, match="No space left on device") as caught, atomic_path(tmp_path / "model"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_link_stays_one_and_what_it_leads_to_is_written(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out.png").symlink_to("disk/content")
    for text in ("first", "second"):
        with atomic_path(tmp_path / "out.png") as temporary:
            assert temporary.suffix == ".png", "libraries choose the format by it"
            temporary.write_text(text)
        assert (tmp_path / "out.png").is_symlink()
        assert (tmp_path / "disk/content").read_text() == text
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["content"]


def test_a_folder_is_kept_to_one_at_a_time(tmp_path):
    folder = tmp_path / "new" / "folder"
    with (
        one_at_a_time(folder, "training in"),
        pytest.raises(UserError, match=f"another training in {folder} is under way"),
        one_at_a_time(folder, "training in"),
    ):
        raise AssertionError("two hold the same folder")
    with one_at_a_time(folder, "training in"):
        assert list(folder.iterdir()) == []


def test_make_unique() -> None:
    assert make_unique("a", {"b"}) == "a"
    assert make_unique("a", {"a", "a-2"}) == "a-3"
