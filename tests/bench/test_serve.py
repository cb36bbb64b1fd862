import json

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
pytest.importorskip("websockets")

from audioroto.bench.clients import Load
from audioroto.bench.serve import check_loads, join_speech, start_server
from audioroto.bench.transcribe import read_recordings
from audioroto.cli.main import app
from audioroto.errors import UserError


def test_a_server_is_started_loaded_measured_and_stopped(trained, tone_corpus, tmp_path):
    model = trained / "model.safetensors"
    arguments = ["--clients", 4, "--requests", 16, "--memory-requests", 60, "--streams", 2, "--stream-seconds", 2]
    given = [
        "--model",
        model,
        "--data-dir",
        tone_corpus / "valid",
        "--out",
        tmp_path,
        "--device",
        "cpu",
        "--threads",
        1,
    ]
    done = CliRunner().invoke(app, ["bench", "serve", *map(str, [*given, *arguments])])
    assert done.exception is None, done.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [(load["clients"], load["lost"], load["number"]) for load in figures["loads"]] == [(1, 0, 16), (4, 0, 16)]
    assert all(0 < load["p50"] <= load["p95"] < load["seconds"] for load in figures["loads"])
    assert figures["streams"]["errors"] == []
    assert figures["streams"]["final"]["number"] > 0
    assert figures["streams"]["server"]["p50"] <= figures["streams"]["partial"]["p50"] + 0.1
    assert {"1", "50", "60"} <= figures["memory_bytes"].keys()
    assert all(number > 50 * 2**20 for number in figures["memory_bytes"].values())
    assert "clients" in done.output


def test_a_server_that_does_not_start_says_why(tmp_path):
    with pytest.raises(UserError, match=r"did not start: audioroto: .*nowhere"), start_server(["--model", "nowhere"]):
        pass


def test_lost_answers_and_texts_that_depend_on_others_are_errors():
    def load(*texts: str, lost: int = 0) -> Load:
        return Load(1, texts={"a": set(texts)}, latencies=[1.0] * (2 - lost), errors=["a: broke"] * lost)

    check_loads([load("X"), load("X")], 2)
    with pytest.raises(UserError, match=r"lost, the first: .*broke"):
        check_loads([load("X"), load("X", lost=1)], 2)
    with pytest.raises(UserError, match="depends on how many"):
        check_loads([load("X"), load("Y")], 2)
    with pytest.raises(UserError, match="depends on how many"):
        check_loads([load("X", "Y")], 2)


def test_speech_is_as_long_as_was_asked_for(tone_corpus):
    recordings = read_recordings([], [tone_corpus / "valid"])["valid"]
    samples = join_speech(recordings, 20.0)
    assert samples.dtype == np.float32
    assert 20.0 <= len(samples) / 16000 < 23.0
