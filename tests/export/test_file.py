import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import audioroto  # noqa: E402 – after what may be absent
from audioroto.corpus.datadir import read_datadir  # noqa: E402
from audioroto.errors import UserError  # noqa: E402
from audioroto.export.file import export_model  # noqa: E402
from audioroto.files import sha256_of  # noqa: E402
from audioroto.model.asr import count_parameters  # noqa: E402
from audioroto.model.checkpoint import load_checkpoint  # noqa: E402
from audioroto.model.onnx_file import read_metadata  # noqa: E402


def test_one_file_holds_all_that_is_known_of_the_model(trained, exported):
    metadata = {entry.key: entry.value for entry in onnx.load(exported).metadata_props}
    facts = read_metadata(metadata, exported)
    checkpoint = load_checkpoint(trained / "model.safetensors")
    assert facts.to_metadata() == metadata
    assert facts.config == checkpoint.config
    assert facts.tokenizer.model == checkpoint.tokenizer.model
    assert json.loads(metadata["labels"]) == checkpoint.tokenizer.pieces
    assert metadata["sample_rate"] == "16000"
    assert facts.frame_seconds == 0.04
    assert facts.num_parameters == count_parameters(checkpoint.build())
    assert facts.source == {"name": "model.safetensors", "sha256": sha256_of(trained / "model.safetensors")}
    assert facts.notes["step"] == checkpoint.step
    assert read_metadata(replace(facts, precision="int8").to_metadata(), exported).precision == "int8"


def test_int8_is_smaller_and_says_nearly_the_same(trained, exported, tone_corpus, tmp_path):
    export_model(trained / "model.safetensors", tmp_path / "model.onnx", "int8")
    assert (tmp_path / "model.onnx").stat().st_size < exported.stat().st_size
    whole, quantized = (audioroto.load_model(path) for path in (exported, tmp_path / "model.onnx"))
    waveforms = [soundfile.read(u.path, dtype="float32")[0] for u in read_datadir(tone_corpus / "valid")]
    together = quantized.engine.encode(waveforms).log_probs
    found, expected = (np.concatenate(log_probs) for log_probs in (together, whole.engine.encode(waveforms).log_probs))
    divergences = (np.exp(expected) * (expected - found)).sum(axis=1)  # of each frame, in nats
    assert 0 < divergences.mean() < 0.03
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.95
    for found, waveform in zip(together, waveforms, strict=True):
        np.testing.assert_array_equal(found, quantized.engine.encode([waveform]).log_probs[0])


def test_a_name_that_would_not_be_known_again_is_refused(trained, tmp_path):
    with pytest.raises(UserError, match=r"does not end in \.onnx"):
        export_model(trained / "model.safetensors", tmp_path / "model.bin")
    assert not list(tmp_path.iterdir())
