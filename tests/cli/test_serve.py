import builtins
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from audioroto.cli.main import app
from audioroto.errors import UserError


def run(*arguments: object):
    return CliRunner().invoke(app, ["serve", *map(str, arguments)])


def test_what_is_not_installed_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setattr(builtins, "__import__", refuse_fastapi(builtins.__import__))
    for name in [name for name in sys.modules if name.startswith("audioroto.serve")]:
        monkeypatch.delitem(sys.modules, name)
    error = run("--model", "none").exception
    assert isinstance(error, UserError)
    assert "pip install 'audioroto[serve]'" in str(error)


def refuse_fastapi(true_import):
    def refuse(name, *arguments, **options):
        if name.partition(".")[0] == "fastapi":
            raise ModuleNotFoundError("No module named 'fastapi'", name="fastapi")
        return true_import(name, *arguments, **options)

    return refuse


def test_a_port_that_is_taken_is_refused_before_the_model_is_loaded():
    pytest.importorskip("fastapi")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        error = run("--model", "none", "--port", taken.getsockname()[1]).exception
    assert isinstance(error, UserError)
    assert "choose others with --host and --port" in str(error)


def test_a_blank_token_does_not_open_the_server(monkeypatch):
    pytest.importorskip("fastapi")
    monkeypatch.setenv("AUDIOROTO_API_KEY", " \n")
    assert "is blank" in str(run("--model", "none", "--port", 0).exception)


def test_a_name_that_cannot_be_one_is_refused():
    pytest.importorskip("fastapi")
    error = run("--model", "none", "--host", "127.0.0..1").exception
    assert isinstance(error, UserError)
    assert "choose others with --host and --port" in str(error)


def test_the_server_listens_here_alone_says_where_and_stops_when_asked(trained):
    pytest.importorskip("fastapi")
    httpx = pytest.importorskip("httpx")
    command = [sys.executable, "-m", "audioroto", "serve", "--port", "0", "--name", "beeps", "--device", "cpu"]
    environment = {**os.environ, "AUDIOROTO_API_KEY": "sesame\n", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*command, "--model", str(trained / "model.safetensors")], stderr=subprocess.PIPE, text=True, env=environment
    ) as server:
        try:
            said = server.stderr.readline()
            assert said.startswith("beeps at http://127.0.0.1:")
            url = said.split()[2]
            deadline = time.monotonic() + 30
            while True:
                try:
                    assert httpx.get(f"{url}v1/models", trust_env=False).status_code == 401
                    break
                except httpx.ConnectError:
                    assert time.monotonic() < deadline
            headers = {"Authorization": "Bearer sesame"}
            assert httpx.get(f"{url}v1/models", headers=headers).json()["data"][0]["id"] == "beeps"
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(30) in (0, 130, -signal.SIGINT)
        assert "Traceback" not in server.stderr.read()
