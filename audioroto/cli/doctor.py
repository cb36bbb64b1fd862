"""audioroto doctor"""

import io
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

from audioroto.cli.launch import count_cores

PACKAGES = ("jiwer", "librosa", "matplotlib", "numpy", "pydantic", "safetensors", "sentencepiece", "soundfile", "soxr")
TORCH_MEND = 'pip install "torch==2.11.0" "torchaudio==2.11.0"'
# What libsndfile must read, as (name, format, subtype), and whether the recipes stand on it.
FORMATS = (("flac", "FLAC", "PCM_16", True), ("opus", "OGG", "OPUS", True), ("mp3", "MP3", "MPEG_LAYER_III", False))


@dataclass(frozen=True)
class Finding:
    """A row of the table. `mend` is the next step where something does not work; not all of it is `needed`."""

    what: str
    found: str
    mend: str | None = None
    needed: bool = True


def doctor() -> None:
    """Show versions and devices, and whether all that audioroto needs works; exit status 1 when something does not."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    findings = [*_check_versions(), *_check_torch(), *_check_formats(), _check_ffmpeg(), *_describe_machine()]
    table = Table("what", "found", "state")
    for finding in findings:
        if finding.mend is None:
            state = Text("ok", style="green")
        else:
            state = Text("broken", style="bold red") if finding.needed else Text("absent", style="yellow")
        table.add_row(finding.what, Text(finding.found), state)
    console = Console()
    console.print(table)
    for finding in findings:
        if finding.mend is not None:
            line = f"{finding.what}{'' if finding.needed else ' (optional)'}: {finding.mend}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    if any(finding.mend is not None and finding.needed for finding in findings):
        raise typer.Exit(1)


def print_torch_report() -> None:
    """Use torch and torchaudio together once, and print their versions and the GPUs as JSON."""
    import torch
    import torchaudio

    noise, response = torch.ones(1, 400), torch.ones(1, 30)
    if torchaudio.functional.fftconvolve(noise, response).shape != (1, 429):
        raise RuntimeError("torchaudio.functional.fftconvolve returns a wrong shape")
    gpus = []
    for index in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(index)
        bfloat16 = "bfloat16" if gpu.major >= 8 else "no bfloat16"
        gpus.append(f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, {bfloat16}")
    print(json.dumps({"torch": torch.__version__, "torchaudio": torchaudio.__version__, "gpus": gpus}))


def _check_versions() -> Iterator[Finding]:
    yield Finding(
        "python",
        f"{platform.python_version()} ({sys.executable})",
        None if sys.version_info >= (3, 11) else "audioroto needs Python 3.11 or newer",
    )
    yield Finding("audioroto", f"{_version_of('audioroto')} ({Path(__file__).parents[1]})")
    for name in PACKAGES:
        try:
            module = import_module(name)
        except Exception as error:  # a broken package may raise anything: that is what is asked here
            yield Finding(
                name, _first_line(f"{type(error).__name__}: {error}"), f"pip install --force-reinstall {name}"
            )
        else:
            sndfile = f" (libsndfile {module.__libsndfile_version__})" if name == "soundfile" else ""
            yield Finding(name, _version_of(name) + sndfile)


def _check_torch() -> Iterator[Finding]:
    # Note: in a process of its own, because a torchaudio that was built for another torch may crash.
    probe = subprocess.run(
        [sys.executable, "-c", "from audioroto.cli.doctor import print_torch_report as report; report()"],
        capture_output=True,
        text=True,
        errors="replace",
    )
    if probe.returncode != 0:
        lines = probe.stderr.strip().splitlines()
        if probe.returncode < 0:
            failure = f"importing them ends in {signal.Signals(-probe.returncode).name}"
        else:
            failure = lines[-1] if lines else f"exit status {probe.returncode}"
        versions = f"{_version_of('torch')} + {_version_of('torchaudio')}"
        yield Finding("torch + torchaudio", f"{versions}: {failure}", TORCH_MEND)
        return
    report = json.loads(probe.stdout.splitlines()[-1])
    yield Finding("torch + torchaudio", f"{report['torch']} + {report['torchaudio']}, used together")
    for index, gpu in enumerate(report["gpus"]):
        yield Finding(f"GPU {index}", gpu)
    if not report["gpus"]:
        yield Finding("GPU", "none that torch can use; everything runs on the processor")


def _check_formats() -> Iterator[Finding]:
    for name, container, subtype, needed in FORMATS:
        try:
            import numpy as np
            import soundfile

            buffer = io.BytesIO()
            soundfile.write(buffer, np.zeros(1600, dtype=np.float32), 16000, format=container, subtype=subtype)
            buffer.seek(0)
            soundfile.read(buffer)
        except Exception as error:  # as above; libsndfile's own errors are RuntimeError, a missing library OSError
            mend = "pip install --upgrade soundfile (its wheels carry a libsndfile that reads it)"
            yield Finding(f"read {name}", _first_line(str(error)), mend, needed)
        else:
            yield Finding(f"read {name}", "by libsndfile")


def _check_ffmpeg() -> Finding:
    path = shutil.which("ffmpeg")
    if path is None:
        return Finding("ffmpeg", "not on PATH", "install it to read m4a, webm, video and the like", needed=False)
    return Finding("ffmpeg", path)


def _describe_machine() -> Iterator[Finding]:
    fields = _read_cpuinfo()
    model = fields.get("model name") or platform.processor() or platform.machine()
    flags = set(f"{fields.get('flags', '')} {fields.get('Features', '')}".split())
    bfloat16 = flags & {"avx512_bf16", "amx_bf16", "bf16"}
    yield Finding("processor", f"{model}, {count_cores()} cores, bfloat16 in hardware: {'yes' if bfloat16 else 'no'}")
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield Finding("memory", f"{memory_bytes / 2**30:.1f} GiB")


def _read_cpuinfo() -> dict[str, str]:
    """The fields of the first processor in Linux's /proc/cpuinfo; nothing on other systems."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
