"""A server on a free port, with the model of tones."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from audioroto.corpus.datadir import read_datadir
from audioroto.infer.recognizer import Recognizer, load_model


@dataclass(frozen=True)
class Running:
    """A server that answers at `url`."""

    url: str
    service: Any


@pytest.fixture(scope="session")
def recognizer(trained: Path) -> Recognizer:
    return load_model(trained / "model.safetensors", "cpu")


@pytest.fixture(scope="session")
def clips(tone_corpus: Path) -> list[Path]:
    return [utterance.path for utterance in read_datadir(tone_corpus / "valid")]


@pytest.fixture(scope="session")
def start_server(recognizer: Recognizer) -> Iterator[Callable[..., Running]]:
    """Starts servers, with the options of Service and another recognizer if you like; they end with the session.

    Texts are left in the model's capitals, if nothing else is said.
    """
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    pytest.importorskip("python_multipart")
    from audioroto.serve.server import make_server, open_socket
    from audioroto.serve.service import Service

    running = []

    def start(other: Any = None, **options: Any) -> Running:
        service = Service(other or recognizer, "tones", **{"case": "model", **options})
        listening = open_socket("127.0.0.1", 0)
        server = make_server(service)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        running.append((server, thread, listening))
        deadline = time.monotonic() + 10
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.started
        return Running(f"http://127.0.0.1:{listening.getsockname()[1]}", service)

    yield start
    for server, thread, listening in running:
        server.should_exit = True
        thread.join(10)
        listening.close()


@pytest.fixture(scope="session")
def server(start_server: Callable[..., Running]) -> Running:
    """A server with the defaults."""
    return start_server()


class Gated:
    """A recognizer that hears nothing before `gate` is set; `batches` has the number of waveforms in each batch."""

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer
        self.gate = threading.Event()
        self.batches: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._recognizer, name)

    def recognize(self, waveforms: Any) -> Any:
        self.batches.append(len(waveforms))
        assert self.gate.wait(20)
        return self._recognizer.recognize(waveforms)


@pytest.fixture
def gated(recognizer: Recognizer) -> Iterator[Gated]:
    gated = Gated(recognizer)
    yield gated
    gated.gate.set()


@pytest.fixture(scope="session")
def wait_until() -> Callable[[Callable[[], object]], None]:
    """Waits until something is true, ten seconds at most."""

    def wait(is_true: Callable[[], object]) -> None:
        deadline = time.monotonic() + 10
        while not is_true():
            assert time.monotonic() < deadline, "it did not come true"
            time.sleep(0.01)

    return wait
