import pytest

from audioroto.errors import UserError
from audioroto.infer.recognize import recognize_datadir
from audioroto.infer.recognizer import load_model
from audioroto.infer.record import record_run
from audioroto.score.results import read_run


def test_facts_come_from_the_model_and_scores_from_the_texts(trained, tone_corpus, tmp_path):
    model = trained / "model.safetensors"
    recognize_datadir(load_model(model), tone_corpus / "valid", tmp_path / "valid", ["ctc_greedy", "ctc_beam"])
    facts = {
        "run": "one",
        "corpus": "tones",
        "train_set": "train",
        "model": model,
        "data_dir": tone_corpus,
        "recognize_dir": tmp_path,
        "command": "bash run.sh",
        "config": ["a.toml"],
    }
    run = read_run(record_run(tmp_path / "results", test_sets=["valid"], **facts))
    result, greedy = run.results
    assert [(r.test_set, r.mode, r.lm) for r in run.results] == [
        ("valid", "ctc_beam", None),
        ("valid", "ctc_greedy", None),
    ]
    assert greedy.wer < 0.2
    assert (run.run, run.corpus, run.config) == ("one", "tones", ("a.toml",))
    assert run.train_hours > 0
    assert result.sentences == 8
    assert result.wer < 0.2
    assert len(set(result.utterances.speakers)) == 2
    with pytest.raises(UserError, match="audioroto recognize"):
        record_run(tmp_path / "results", test_sets=["train"], **facts)
