import shutil
from pathlib import Path

import pytest
import typer

from audioroto.cli.doctor import TORCH_MEND, doctor


def run_doctor(capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = 0
    try:
        doctor()
    except typer.Exit as leave:
        status = leave.exit_code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return status, captured.out


@pytest.fixture
def no_torch_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the seconds that starting torch in another process takes."""
    monkeypatch.setattr("audioroto.cli.doctor._check_torch", lambda: iter(()))


def put_before_all_packages(monkeypatch: pytest.MonkeyPatch, folder: Path, module: str, code: str) -> None:
    """Let subprocesses find `module` with this code first."""
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_a_sound_installation_has_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    status, printed = run_doctor(capsys)
    assert status == 0
    assert "broken" not in printed
    for word in ("python", "audioroto", "torch", "librosa", "libsndfile", "flac", "opus", "mp3", "ffmpeg", "GiB"):
        assert word in printed


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise OSError('libc10_cuda.so: cannot open')", "libc10_cuda.so"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("class functional:\n fftconvolve = staticmethod(lambda a, b: a)", "wrong shape"),
    ],
    ids=["import error", "crash", "wrong result"],
)
def test_a_torchaudio_of_another_torch_is_told_with_its_mend(
    code: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_before_all_packages(monkeypatch, tmp_path, "torchaudio", code)
    monkeypatch.setenv("COLUMNS", "200")
    status, printed = run_doctor(capsys)
    assert status == 1
    assert said in printed
    assert f"torch + torchaudio: {TORCH_MEND}\n" in printed


@pytest.mark.usefixtures("no_torch_probe")
def test_a_package_that_is_missing_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("audioroto.cli.doctor.PACKAGES", ("numpy", "no_such_package"))
    status, printed = run_doctor(capsys)
    assert status == 1
    assert "pip install --force-reinstall no_such_package" in printed


@pytest.mark.usefixtures("no_torch_probe")
def test_a_format_that_recipes_need_is_broken_and_another_is_only_absent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("audioroto.cli.doctor.FORMATS", (("mp3", "NONE", "NONE", False),))
    assert run_doctor(capsys)[0] == 0
    monkeypatch.setattr("audioroto.cli.doctor.FORMATS", (("opus", "NONE", "NONE", True),))
    status, printed = run_doctor(capsys)
    assert status == 1
    assert "read opus: pip install --upgrade soundfile" in printed


@pytest.mark.usefixtures("no_torch_probe")
def test_ffmpeg_is_optional(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    status, printed = run_doctor(capsys)
    assert status == 0
    assert "ffmpeg (optional): install it" in printed
