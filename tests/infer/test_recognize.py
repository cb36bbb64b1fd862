import json

from audioroto.corpus.datadir import read_datadir, read_table
from audioroto.infer.recognize import recognize_datadir
from audioroto.infer.recognizer import load_model
from audioroto.score.error_rate import ErrorRate, score_utterances


def test_a_data_directory_becomes_a_text_table(trained, tone_corpus, tmp_path):
    recognition = recognize_datadir(load_model(trained / "model.safetensors"), tone_corpus / "valid", tmp_path)
    utterances = read_datadir(tone_corpus / "valid")
    hypotheses = read_table(tmp_path / "text")
    assert list(hypotheses) == [utterance.id for utterance in utterances]
    errors = score_utterances({u.id: u.text or "" for u in utterances}, hypotheses)
    assert sum(errors.values(), ErrorRate()).rate < 0.2
    assert recognition.utterances == 8
    facts = json.loads((tmp_path / "recognition.json").read_text())
    assert facts["mode"] == "ctc_greedy"
    assert abs(facts["audio_seconds"] - sum(u.seconds for u in utterances)) < 0.01
