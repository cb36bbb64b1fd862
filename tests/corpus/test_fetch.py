"""Downloads from a server on this machine that does what servers do: break off, ignore ranges, serve something else."""

import errno
import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audioroto.corpus import fetch as module
from audioroto.corpus.fetch import RemoteFile, fetch
from audioroto.errors import UserError

CONTENT = bytes(range(256)) * 40
HASHES = {"sha256": hashlib.sha256(CONTENT).hexdigest(), "md5": hashlib.md5(CONTENT).hexdigest()}


class Server:
    """One server with a mirror of each kind: the first folder of the path, such as breaks-1000/file."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.asked: list[tuple[str, str]] = []  # mirror, range
        self.over = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def url(self, mirror: str) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/{mirror}/file"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """A mirror's name is what it does and, for those that send too little, how many bytes a connection it sends."""
        mirror = handler.path.split("/")[1]
        wanted = handler.headers.get("Range", "")
        self.asked.append((mirror, wanted.removeprefix("bytes=")))
        kind, _, number = mirror.partition("-")
        if kind == "status":
            handler.send_error(int(number))
            return
        content = {
            "wrong": self.content[::-1],
            "longer": self.content + b"x",
            "page": b"<html>",
        }.get(kind, self.content)
        start = 0
        if wanted and kind not in ("ignores", "page"):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            handler.send_response(206)
            shown = start + 1 if kind == "elsewhere" else start
            handler.send_header("Content-Range", f"bytes {shown}-{len(content) - 1}/{len(content)}")
        else:
            handler.send_response(200)
        if kind != "endless":
            handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        sent = content[start:]
        if kind == "endless":
            sent += b"and more"
        elif number:
            sent = sent[: int(number)]
        handler.wfile.write(sent)
        if kind == "stalls":
            handler.wfile.flush()
            self.over.wait(5)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    server = Server()
    yield server
    server.over.set()
    server.http.shutdown()
    server.http.server_close()


def make_remote(server: Server, *mirrors: str) -> RemoteFile:
    return RemoteFile(tuple(server.url(mirror) for mirror in mirrors), len(CONTENT), HASHES)


def test_a_broken_download_goes_on_where_it_broke_off(server: Server, tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    path = tmp_path / "file"
    url = fetch(make_remote(server, "breaks-4000"), path, lambda what, done: told.append((what, done)))
    assert path.read_bytes() == CONTENT
    assert url == server.url("breaks-4000")
    assert server.asked == [("breaks-4000", wanted) for wanted in ("", "4000-", "8000-")]
    assert told[-1] == ("checking", len(CONTENT))
    downloaded = [done for what, done in told if what == "downloading"]
    assert downloaded == sorted(downloaded)
    assert downloaded[-1] == len(CONTENT)


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ("status-404", "status 404"),
        ("status-500", "status 500"),
        ("page", "6 bytes, not 10240"),
        ("longer", "10241 bytes, not 10240"),
        ("endless", "more than 10240 bytes"),
        ("wrong", "other content: sha256 is"),
        ("breaks-0", "the connection was closed, 4 times in a row"),
        ("stalls-0", "timed out, 4 times in a row"),
    ],
)
def test_a_mirror_that_fails_is_passed_over(
    server: Server,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    first: str,
    reason: str,
) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.1)
    path = tmp_path / "file"
    with pytest.raises(UserError, match=f"no mirror gave the file whole .*{reason}"):
        fetch(make_remote(server, first), path)
    assert fetch(make_remote(server, first, "good"), path) == server.url("good")
    assert path.read_bytes() == CONTENT
    assert reason in caplog.text


def test_nobody_listens(server: Server, tmp_path: Path) -> None:
    closed = RemoteFile(("http://127.0.0.1:9/file", server.url("good")), len(CONTENT), HASHES)
    assert fetch(closed, tmp_path / "file") == server.url("good")


@pytest.mark.parametrize("mirror", ["good", "ignores"])
def test_what_is_there_is_kept_even_where_ranges_are_ignored(server: Server, tmp_path: Path, mirror: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT[:7000])
    arrived: list[int] = []
    fetch(make_remote(server, mirror), path, lambda what, done: arrived.append(done))
    assert path.read_bytes() == CONTENT
    assert server.asked == [(mirror, "7000-")]
    assert arrived[0] > 7000


def test_an_answer_that_skips_bytes_is_not_taken(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT[:7000])
    with pytest.raises(UserError, match="not the part that was asked for"):
        fetch(make_remote(server, "elsewhere"), path)
    assert path.read_bytes() == CONTENT[:7000]


def test_a_mirror_that_never_gets_further_leaves_its_bytes_to_the_next(server: Server, tmp_path: Path) -> None:
    fetch(make_remote(server, "ignores-3000", "good"), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked[-1] == ("good", "3000-")


@pytest.mark.parametrize("there", [b"something else", CONTENT[::-1], CONTENT + b"too much"])
def test_a_wrong_beginning_is_not_blamed_on_the_mirror(server: Server, tmp_path: Path, there: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(there)
    fetch(make_remote(server, "good"), path)
    assert path.read_bytes() == CONTENT
    assert server.asked[-1] == ("good", "")


def test_a_whole_file_is_checked_and_not_asked_for(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    fetch(make_remote(server, "good"), tmp_path / "file")
    assert server.asked == []


def test_an_interruption_leaves_what_has_come(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 1000)

    def stop(what: str, done: int) -> None:
        if done >= 5000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(make_remote(server, "good"), tmp_path / "file", stop)
    assert (tmp_path / "file").read_bytes() == CONTENT[:5000]
    fetch(make_remote(server, "good"), tmp_path / "file")
    assert server.asked == [("good", ""), ("good", "5000-")]


def test_a_full_disk_is_not_the_mirrors_fault(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 1000)

    class Full(io.FileIO):
        def write(self, block: Any) -> int:
            if self.tell() + len(block) > 4500:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(block)

    opener: Callable[..., Any] = lambda path, mode: Full(path, mode) if mode == "ab" else open(path, mode)  # noqa: E731, SIM115
    monkeypatch.setattr(module, "open", opener, raising=False)
    with pytest.raises(UserError, match=r"the disk is full: .*/file keeps what has come so far"):
        fetch(make_remote(server, "good", "ignores"), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT[:4000]
    assert server.asked == [("good", "")]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    there=st.integers(0, len(CONTENT)),
    mirrors=st.lists(st.sampled_from(["breaks-3000", "ignores-6000", "wrong", "status-503"]), max_size=3),
)
def test_the_file_is_whole_whatever_came_before(server: Server, tmp_path: Path, there: int, mirrors: list[str]) -> None:
    (tmp_path / "file").write_bytes(CONTENT[:there])
    fetch(make_remote(server, *mirrors, "ignores"), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
