"""A file from the first of several mirrors that gives it whole: resumed where it broke off, checked by its hashes."""

import errno
import hashlib
import http.client
import logging
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from audioroto.errors import UserError

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 30.0  # without a byte
ATTEMPTS = 4  # in a row that bring nothing new, before the next mirror is asked
RETRY_SECONDS = 1.0  # before the second attempt; doubled before each further one
BLOCK_BYTES = 1 << 18

Report = Callable[[str, int], None]  # is told what is done, and with how many bytes


@dataclass(frozen=True)
class RemoteFile:
    """A file that lies at several addresses, asked in this order, with its size and what is known of its hashes."""

    urls: tuple[str, ...]
    num_bytes: int
    hashes: Mapping[str, str] = field(default_factory=dict)  # algorithm, as hashlib has it, → hexadecimal


class _Broken(Exception):
    """The connection failed on the way: worth another attempt."""


class _Refused(Exception):
    """This mirror does not have the file: the next one may."""


def fetch(remote: RemoteFile, path: Path, report: Report = lambda what, done: None) -> str:
    """Download what `path` lacks of the file, check it, and return the address that gave the end of it.

    `path` grows by what comes, so that whatever ends this call, the next one goes on from there. A mirror that breaks
    off is asked again for the rest; one that has no such file, another size or other content is passed over. Raises
    UserError, with what each mirror did, when none is left, and when the disk is full.
    """
    failures = []
    for url in remote.urls:
        try:
            _fetch_from(url, remote, path, report)
            return url
        except _Refused as refusal:
            failures.append(f"{url}: {refusal}")
            log.warning("%s; asking the next mirror, if there is one", failures[-1])
    kept = f"{path} keeps what has come so far" if path.exists() else "nothing is kept"
    raise UserError(f"no mirror gave the file whole ({'; '.join(failures)}); {kept}: the same command tries again")


def find_difference(path: Path, hashes: Mapping[str, str], report: Report) -> str:
    """What differs between a file's hashes and those it should have, in words; empty when nothing does."""
    found = compute_hashes(path, hashes, report)
    return "; ".join(
        f"{algorithm} is {found[algorithm]}, not {expected}"
        for algorithm, expected in hashes.items()
        if found[algorithm] != expected
    )


def compute_hashes(path: Path, algorithms: Iterable[str], report: Report) -> dict[str, str]:
    """Hashes of a file's content in hexadecimal, all in one reading."""
    hashers = {algorithm: hashlib.new(algorithm) for algorithm in algorithms}
    with open(path, "rb") as content:
        while block := content.read(BLOCK_BYTES):
            for hasher in hashers.values():
                hasher.update(block)
            report("checking", content.tell())
    return {algorithm: hasher.hexdigest() for algorithm, hasher in hashers.items()}


def _fetch_from(url: str, remote: RemoteFile, path: Path, report: Report) -> None:
    while True:
        begun_elsewhere = _size(path) > 0
        _complete(url, remote.num_bytes, path, report)
        difference = find_difference(path, remote.hashes, report)
        if not difference:
            return
        path.unlink()
        if not begun_elsewhere:
            raise _Refused(f"other content: {difference}")
        # Note: what was there before may be at fault, by another mirror or an older call: this one begins anew.
        log.warning("%s: %s; beginning anew", path.name, difference)


def _complete(url: str, num_bytes: int, path: Path, report: Report) -> None:
    """Append to `path` until it has `num_bytes`, in as many connections as it takes while each brings something."""
    idle = 0
    while (done := _size(path)) != num_bytes:
        if done > num_bytes:
            path.unlink()  # nothing of this file
            continue
        try:
            _append(_receive(url, done, num_bytes), done, path, report)
        except _Broken as reason:
            idle = idle + 1 if _size(path) == done else 0
            if idle == ATTEMPTS:
                raise _Refused(f"{reason}, {ATTEMPTS} times in a row") from None
            log.info("%s: %s after %d of %d bytes; going on from there", url, reason, _size(path), num_bytes)
            time.sleep(RETRY_SECONDS * 2**idle)


def _append(blocks: Generator[bytes, None, None], done: int, path: Path, report: Report) -> None:
    try:
        with closing(blocks), open(path, "ab") as file:
            for block in blocks:
                file.write(block)
                done += len(block)
                report("downloading", done)
    except OSError as error:  # of the file: what fails on the way here is _Broken
        if error.errno != errno.ENOSPC:
            raise
        raise UserError(
            f"the disk is full: {path} keeps what has come so far. Free some space; the same command goes on"
        ) from None


def _receive(url: str, start: int, num_bytes: int) -> Generator[bytes, None, None]:
    """The bytes of the file at `url` from `start` on, as they come.

    Raises _Refused where that is another file than the one of `num_bytes`, _Broken where it ends too early. A server
    that knows no ranges is heard from the beginning, and what is there already is passed over.
    """
    # Note: no If-Range. It would compare one server's tag of the file with that of another; size and hashes tell more.
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            position = _read_start(response, start, num_bytes)
            while block := response.read(BLOCK_BYTES):
                fresh = block[max(0, start - position) :]
                position += len(block)
                if position > num_bytes:
                    raise _Refused(f"more than {num_bytes} bytes")
                if fresh:
                    yield fresh
    except urllib.error.HTTPError as error:
        error.close()
        raise _Refused(f"status {error.code}") from None
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(str(error) or type(error).__name__) from None
    if position < num_bytes:
        raise _Broken("the connection was closed")


def _read_start(response: http.client.HTTPResponse, start: int, num_bytes: int) -> int:
    """The position in the file of the first byte that comes; _Refused where the answer speaks of another file."""
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not match or int(match[1]) > start:
            raise _Refused("not the part that was asked for")
        position, size = int(match[1]), match[2]
    else:
        position, size = 0, response.headers.get("Content-Length", "*")
    if size not in ("*", str(num_bytes)):
        raise _Refused(f"{size} bytes, not {num_bytes}")
    return position


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
