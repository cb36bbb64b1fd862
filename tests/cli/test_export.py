import json
import sys

import pytest
from typer.testing import CliRunner

from audioroto.cli.main import app
from audioroto.errors import UserError


def run(*arguments: object):
    return CliRunner().invoke(app, ["export", *map(str, arguments)], env={"COLUMNS": "160"})


def test_a_floor_that_is_missed_is_said_plainly(trained, tone_corpus, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    out = tmp_path / "model.onnx"
    done = run(trained / "model.safetensors", "--out", out, "--int8", "--data-dir", tone_corpus / "valid")
    assert done.exit_code == 0, done.exception
    for name in ("torch", "onnx float32", "onnx int8"):
        assert f" {name} " in done.stdout
    # Of a tiny model most is not its matrices.
    assert "size beside float32, at most 0.3" in done.stdout
    assert "MISSED" in done.stdout
    floors = json.loads((tmp_path / "model.proof.json").read_text())["floors"]
    assert [floor["kept"] for floor in floors if "size" in floor["what"]] == [False]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "model.proof.json"]


def test_a_name_is_refused_before_anything_is_loaded(tmp_path):
    pytest.importorskip("onnx")
    error = run("none.safetensors", "--out", tmp_path / "model").exception
    assert isinstance(error, UserError)
    assert "does not end in .onnx" in str(error)


def test_what_is_to_be_installed_is_named(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.startswith("audioroto.export.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    error = run("none.safetensors", "--out", tmp_path / "model.onnx").exception
    assert isinstance(error, UserError)
    assert "audioroto[onnx]" in str(error)
