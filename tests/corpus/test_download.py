import fcntl
import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from audioroto.cli.main import app
from audioroto.corpus import download as module
from audioroto.corpus.download import MIRRORS, PARTS, download_librispeech
from audioroto.corpus.fetch import RemoteFile
from audioroto.errors import UserError

REAL_PARTS = dict(PARTS)


class Openslr:
    """Two parts of a LibriSpeech of two files each, served without a network."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch, self.asked = folder, monkeypatch, list[str]()
        monkeypatch.setattr(module, "PARTS", {})
        monkeypatch.setattr(module, "fetch", self.fetch)
        monkeypatch.setattr(os, "sync", lambda: None)
        for part in ("train-a", "dev-b"):
            self.publish(part, self.pack(part))

    def pack(self, part: str, text: str = "ONE", document: str = "README.TXT") -> Path:
        source = self.folder / "source" / part
        chapter = source / "LibriSpeech" / part / "19" / "198"
        chapter.mkdir(parents=True, exist_ok=True)
        (chapter / "19-198.trans.txt").write_text(f"19-198-0000 {text}\n")
        (source / "LibriSpeech" / document).write_text("read me\n")
        archive = self.folder / f"{part}.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(source / "LibriSpeech", "LibriSpeech")
        return archive

    def publish(self, part: str, archive: Path, algorithm: str = "md5") -> None:
        digest = hashlib.new(algorithm, archive.read_bytes()).hexdigest()
        module.PARTS[part] = RemoteFile((archive.as_uri(),), archive.stat().st_size, {algorithm: digest})

    def fetch(self, remote: RemoteFile, path: Path, report: Callable[[str, int], None]) -> str:
        archive = self.folder / Path(remote.urls[0]).name
        self.asked.append(archive.name)
        shutil.copy(archive, path)
        if difference := module.find_difference(path, remote.hashes, report):
            path.unlink()
            raise UserError(difference)
        return remote.urls[0]


@pytest.fixture
def openslr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Openslr:
    (tmp_path / "openslr").mkdir()
    return Openslr(tmp_path / "openslr", monkeypatch)


def list_files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_parts_are_folders_and_a_second_call_does_nothing(openslr: Openslr, tmp_path: Path) -> None:
    out = tmp_path / "speech"
    assert download_librispeech(["train-a", "dev-b", "train-a"], out) == ["train-a", "dev-b"]
    parts = {f"{part}/{name}" for part in ("train-a", "dev-b") for name in ("19/198/19-198.trans.txt", module.STAMP)}
    assert list_files(out) == {*parts, "README.TXT", module.RECORD}
    assert openslr.asked == ["train-a.tar.gz", "dev-b.tar.gz"]
    assert download_librispeech(["dev-b", "train-a"], out) == []
    assert len(openslr.asked) == 2
    stamp = json.loads((out / "dev-b" / module.STAMP).read_text())
    archive = openslr.folder / "dev-b.tar.gz"
    assert (stamp["source"], stamp["bytes"]) == (archive.as_uri(), archive.stat().st_size)
    assert stamp["md5"] == hashlib.md5(archive.read_bytes()).hexdigest()


def test_the_first_sha256_is_recorded_and_checked_from_then_on(openslr: Openslr, tmp_path: Path) -> None:
    download_librispeech(["train-a"], tmp_path)
    digest = hashlib.sha256((openslr.folder / "train-a.tar.gz").read_bytes()).hexdigest()
    assert (tmp_path / module.RECORD).read_text() == f"{digest}  train-a.tar.gz\n"
    download_librispeech(["dev-b"], tmp_path)
    assert len((tmp_path / module.RECORD).read_text().splitlines()) == 2
    shutil.rmtree(tmp_path / "train-a")
    openslr.publish("train-a", openslr.pack("train-a", "ANOTHER"))
    with pytest.raises(UserError, match=f"sha256 is .*, not {digest}"):
        download_librispeech(["train-a"], tmp_path)
    assert not (tmp_path / "train-a").exists()


@pytest.mark.parametrize("good", [True, False])
def test_an_archive_that_lies_there_is_taken_and_kept(openslr: Openslr, tmp_path: Path, good: bool) -> None:
    given = tmp_path / "train-a.tar.gz"
    given.write_bytes((openslr.folder / "train-a.tar.gz").read_bytes() if good else b"half")
    if good:
        download_librispeech(["train-a"], tmp_path)
        assert json.loads((tmp_path / "train-a" / module.STAMP).read_text())["source"] == str(given)
    else:
        with pytest.raises(UserError, match=r"is not the published archive: md5 is .*Move it away"):
            download_librispeech(["train-a"], tmp_path)
    assert given.exists()
    assert openslr.asked == []


def test_a_folder_of_the_users_own_is_left_as_it_is(
    openslr: Openslr, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "train-a").mkdir()
    (tmp_path / "train-clean-7spk").mkdir()
    with caplog.at_level("INFO"):
        assert download_librispeech(["train-a", "train-clean-7spk"], tmp_path) == []
    assert "train-a is not from here" in caplog.text
    assert list_files(tmp_path / "train-a") == set()


def test_what_cannot_be_is_refused_before_anything_begins(
    openslr: Openslr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"is called train-z; there are: train-a, dev-b"):
        download_librispeech(["train-a", "train-z"], tmp_path / "out")
    sizes = [remote.num_bytes for remote in module.PARTS.values()]
    enough = 1.05 * sum(sizes) + max(sizes)
    for free, fits in ((enough - 1, False), (enough, True)):
        monkeypatch.setattr(module.shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        if fits:
            download_librispeech(["train-a", "dev-b"], tmp_path / "out")
        else:
            with pytest.raises(UserError, match=r"out lacks 0\.0 GB for train-a, dev-b: .* Free some space"):
                download_librispeech(["train-a", "dev-b"], tmp_path / "out")
            assert openslr.asked == []


def test_what_is_on_the_way_already_needs_no_room(
    openslr: Openslr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = module.PARTS["train-a"].num_bytes
    (tmp_path / "train-a.tar.gz.part").write_bytes(b"x" * size)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=1.05 * size + 1))
    download_librispeech(["train-a"], tmp_path)


def test_nothing_of_an_evil_or_foreign_archive_is_left(openslr: Openslr, tmp_path: Path) -> None:
    out = tmp_path / "out"
    archive = openslr.folder / "train-a.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(openslr.folder / "source/train-a/LibriSpeech", "LibriSpeech")
        link = tarfile.TarInfo("LibriSpeech/train-a/19/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    openslr.publish("train-a", archive)
    with pytest.raises(UserError, match="a link or a device"):
        download_librispeech(["train-a"], out)
    openslr.publish("train-c", openslr.pack("dev-b").rename(openslr.folder / "train-c.tar.gz"))
    with pytest.raises(UserError, match="holds no LibriSpeech/train-c"):
        download_librispeech(["train-c"], out)
    assert {path.name for path in out.iterdir()} == {"train-a.tar.gz.part", "train-c.tar.gz.part", module.RECORD}


def test_two_downloads_into_one_folder_do_not_mix(openslr: Openslr, tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(UserError, match=r"another download into .* is under way"):
        download_librispeech(["train-a"], tmp_path)
    os.close(handle)
    download_librispeech(["train-a"], tmp_path)


def test_a_killed_unpacking_begins_anew(openslr: Openslr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".train-a.unpacking/LibriSpeech/train-a").mkdir(parents=True)
    (tmp_path / ".train-a.unpacking/LibriSpeech/train-a/old").write_text("of a call that was killed")
    download_librispeech(["train-a"], tmp_path)
    assert not (tmp_path / "train-a/old").exists()
    assert not (tmp_path / ".train-a.unpacking").exists()


def test_the_verb(openslr: Openslr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["download", "librispeech", "--parts", "train-a, dev-b", "--out", str(tmp_path / "out")]
    first = CliRunner().invoke(app, command)
    second = CliRunner().invoke(app, command)
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert f"{tmp_path}/out/dev-b: downloaded" in first.stdout
    assert f"{tmp_path}/out/dev-b: there already" in second.stdout

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "download_librispeech", interrupt)
    stopped = CliRunner().invoke(app, command)
    assert stopped.exit_code == 130
    assert "keeps what has come, and the same command goes on from there" in stopped.stderr


def test_the_table_of_parts() -> None:
    assert {"train-clean-5", "dev-clean-2", "test-clean", "train-other-500"} <= REAL_PARTS.keys()
    for part, remote in REAL_PARTS.items():
        assert len(remote.urls) == len(MIRRORS)
        assert all(url.startswith("https://") and url.endswith(f"/{part}.tar.gz") for url in remote.urls)
        lengths = {"sha256": 64, "md5": 32}
        assert remote.hashes
        assert all(len(digest) == lengths[name] for name, digest in remote.hashes.items())
        assert remote.num_bytes > 100e6
    digests = [digest for remote in REAL_PARTS.values() for digest in remote.hashes.values()]
    assert len(set(digests)) == len(digests)
