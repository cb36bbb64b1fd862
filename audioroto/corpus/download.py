"""LibriSpeech and mini LibriSpeech from openslr.org, part by part: resumed, checked, unpacked whole or not at all."""

import json
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from audioroto.corpus.fetch import RemoteFile, Report, compute_hashes, fetch, find_difference
from audioroto.corpus.unpack import unpack_tar
from audioroto.errors import UserError
from audioroto.files import one_at_a_time, write_text

log = logging.getLogger(__name__)

# openslr.org itself (USA) and its mirrors in Europe and China.
MIRRORS = (
    "https://www.openslr.org/resources",
    "https://openslr.trmal.net/resources",
    "https://openslr.elda.org/resources",
    "https://openslr.magicdatatech.com/resources",
)
FOLDER_IN_ARCHIVE = "LibriSpeech"
UNPACKED_SHARE = 1.05  # of an archive's size: FLAC shrinks no further, and each file fills its last block on the disk
RECORD = "archives.sha256"  # in the form of sha256sum: what the first good download of each archive was
STAMP = "downloaded.json"  # in each part's folder: what it was made from


def _part(resource: int, name: str, num_bytes: int, **hashes: str) -> RemoteFile:
    return RemoteFile(tuple(f"{mirror}/{resource}/{name}.tar.gz" for mirror in MIRRORS), num_bytes, hashes)


# Sizes: Kaldi, egs/{librispeech,mini_librispeech}/s5/local/download_and_untar.sh ("sizes_new", "sizes").
# SHA-256 of LibriSpeech (openslr resource 12): torchaudio, datasets/librispeech.py. Of mini LibriSpeech (resource 31)
# none is published, but MD5 is: openslr's resources/31/md5sum.txt, which PaddleSpeech repeats in
# dataset/mini_librispeech/mini_librispeech.py.
PARTS = {
    "train-clean-5": _part(31, "train-clean-5", 332954390, md5="5df7d4e78065366204ca6845bb08f490"),
    "dev-clean-2": _part(31, "dev-clean-2", 126046265, md5="6d7ab67ac6a1d2c993d050e16d61080d"),
    "train-clean-100": _part(
        12, "train-clean-100", 6387309499, sha256="d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2"
    ),
    "train-clean-360": _part(
        12, "train-clean-360", 23049477885, sha256="146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf"
    ),
    "train-other-500": _part(
        12, "train-other-500", 30593501606, sha256="ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2"
    ),
    "dev-clean": _part(
        12, "dev-clean", 337926286, sha256="76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3"
    ),
    "dev-other": _part(
        12, "dev-other", 314305928, sha256="12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365"
    ),
    "test-clean": _part(
        12, "test-clean", 346663984, sha256="39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23"
    ),
    "test-other": _part(
        12, "test-other", 328757843, sha256="d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29"
    ),
}


def download_librispeech(parts: Sequence[str], out_dir: Path) -> list[str]:
    """Make OUT_DIR/PART of each part that is not there yet, and return which were made now.

    An archive comes as OUT_DIR/PART.tar.gz.part, which a further call goes on with, and is removed once it is unpacked;
    an archive that lies there as PART.tar.gz is taken instead, and stays. Each is checked by its published hash, and
    its SHA-256 is recorded and checked from then on. A part's folder appears when it is whole. Raises UserError for
    unknown parts, for a disk too small for them, for a second download into the same folder, and as `fetch` does.
    """
    there = [part for part in dict.fromkeys(parts) if (out_dir / part).is_dir()]
    wanted = [part for part in dict.fromkeys(parts) if part not in there]
    unknown = [part for part in wanted if part not in PARTS]
    if unknown:
        raise UserError(f"no part of LibriSpeech is called {', '.join(unknown)}; there are: {', '.join(PARTS)}")
    for part in there:
        if not (out_dir / part / STAMP).exists():
            log.info("%s is not from here and is left as it is", out_dir / part)
    if not wanted:
        return []
    with one_at_a_time(out_dir, "download into"):
        _refuse_small_disk(wanted, out_dir)
        for part in wanted:
            _download_part(part, out_dir)
    return wanted


def _refuse_small_disk(parts: Sequence[str], out_dir: Path) -> None:
    # Archives come and go one after another; what is unpacked stays.
    sizes = [PARTS[part].num_bytes for part in parts]
    here = [path.stat().st_size for part in parts for path in out_dir.glob(f"{part}.tar.gz*")]
    stays, passes = UNPACKED_SHARE * sum(sizes), max(sizes)
    missing = stays + passes - sum(here) - shutil.disk_usage(out_dir).free
    if missing > 0:
        raise UserError(
            f"{out_dir} lacks {missing / 1e9:.1f} GB for {', '.join(parts)}: {stays / 1e9:.1f} GB to stay and "
            f"{passes / 1e9:.1f} GB on the way. Free some space, or give another --out or fewer --parts."
        )


def _download_part(part: str, out_dir: Path) -> None:
    remote, record = PARTS[part], _read_record(out_dir)
    recorded = {"sha256": record[f"{part}.tar.gz"]} if f"{part}.tar.gz" in record else {}
    remote = replace(remote, hashes={**recorded, **remote.hashes})  # what is published counts more
    given, path = out_dir / f"{part}.tar.gz", out_dir / f"{part}.tar.gz.part"
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(part, total=remote.num_bytes)

        def report(what: str, done: int) -> None:
            progress.update(task, description=f"{what} {part}", completed=done)

        if given.exists():
            if difference := find_difference(given, remote.hashes, report):
                raise UserError(
                    f"{given} is not the published archive: {difference}. Move it away to have it downloaded."
                )
            source, path = str(given), given
        else:
            source = fetch(remote, path, report)
        sha256 = remote.hashes.get("sha256") or compute_hashes(path, ["sha256"], report)["sha256"]
        _write_record(out_dir, record | {f"{part}.tar.gz": sha256})
        stamp = {"source": source, "bytes": path.stat().st_size, "sha256": sha256, **remote.hashes}
        _unpack_part(part, path, out_dir, stamp, report)
    if path != given:
        path.unlink()


def _unpack_part(part: str, archive: Path, out_dir: Path, stamp: dict[str, object], report: Report) -> None:
    """Unpack beside the place where it belongs, and move it there whole."""
    folder = out_dir / f".{part}.unpacking"
    shutil.rmtree(folder, ignore_errors=True)  # of a call that was killed
    try:
        unpack_tar(archive, folder, report)
        unpacked = folder / FOLDER_IN_ARCHIVE
        if not (unpacked / part).is_dir():
            raise UserError(f"{archive} holds no {FOLDER_IN_ARCHIVE}/{part}: it is another corpus")
        made = datetime.now(UTC).isoformat(timespec="seconds")
        write_text(unpacked / part / STAMP, json.dumps({**stamp, "unpacked": made}, indent=1) + "\n")
        os.sync()  # a folder of its final name is whole even after a power cut
        for document in [path for path in unpacked.iterdir() if path.is_file()]:  # README, LICENSE, SPEAKERS …
            os.replace(document, out_dir / document.name)
        os.replace(unpacked / part, out_dir / part)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _read_record(out_dir: Path) -> dict[str, str]:
    path = out_dir / RECORD
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _write_record(out_dir: Path, record: dict[str, str]) -> None:
    write_text(out_dir / RECORD, "".join(f"{digest}  {name}\n" for name, digest in sorted(record.items())))
