import json

import pytest

from audioroto.bench.export import Candidate, prove_export, write_proof
from audioroto.corpus.datadir import Utterance, read_datadir, write_datadir
from audioroto.errors import UserError
from audioroto.files import sha256_of


def test_an_export_is_proved_to_be_the_original(trained, exported, tone_corpus, tmp_path):
    candidates = [Candidate("torch", trained / "model.safetensors"), Candidate("onnx float32", exported)]
    proof = prove_export(candidates, tone_corpus / "valid")
    original, copy = proof.measured
    assert proof.utterances == 8
    assert (original.identical_share, original.times_faster, original.largest_difference) == (1.0, 1.0, 0.0)
    assert (copy.identical_share, copy.word_errors) == (1.0, original.word_errors)
    assert 0 < copy.largest_difference < 1e-4
    assert all(each.real_time_factor > 0 for each in proof.measured)
    assert [floor.kept for floor in proof.floors] == [True]
    write_proof(tmp_path / "proof.json", proof)
    assert json.loads((tmp_path / "proof.json").read_text())["measured"][1]["size_bytes"] == exported.stat().st_size


def test_another_model_is_not_the_original(trained, exported, tone_corpus):
    step = sorted((trained / "checkpoints").glob("*.safetensors"))[0]
    assert sha256_of(step) != sha256_of(trained / "model.safetensors")
    proof = prove_export([Candidate("torch", step), Candidate("onnx float32", exported)], tone_corpus / "valid")
    assert [floor.kept for floor in proof.floors] == [False]


def test_a_set_without_transcripts_proves_nothing(trained, exported, tone_corpus, tmp_path):
    silent = [Utterance(u.id, u.speaker, u.path, u.seconds, None) for u in read_datadir(tone_corpus / "valid")]
    write_datadir(tmp_path, silent)
    with pytest.raises(UserError, match="no utterance has a transcript"):
        prove_export([Candidate("torch", trained / "model.safetensors"), Candidate("onnx", exported)], tmp_path)
