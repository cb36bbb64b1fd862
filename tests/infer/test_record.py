import pytest

from audioroto.errors import UserError
from audioroto.infer.origin import describe_origin
from audioroto.infer.recognize import recognize_datadir
from audioroto.infer.recognizer import load_model
from audioroto.infer.record import record_run
from audioroto.score.results import format_results, read_run


def test_facts_come_from_the_model_and_scores_from_the_texts(trained, tone_corpus, tmp_path):
    model = trained / "model.safetensors"
    recognizer, modes = load_model(model), ["ctc_greedy", "ctc_beam"]
    origin = describe_origin(recognizer, model, modes)
    recognize_datadir(recognizer, tone_corpus / "valid", tmp_path / "valid", modes, origin=origin)
    facts = {
        "run": "one",
        "corpus": "tones",
        "train_set": "train",
        "valid_set": "valid",
        "curve": trained / "curves.png",
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
    assert greedy.peak_memory_bytes is not None
    assert (run.run, run.corpus, run.config) == ("one", "tones", ("a.toml",))
    assert run.train_hours > 0
    assert result.sentences == 8
    assert result.wer < 0.2
    assert len(set(result.utterances.speakers)) == 2
    assert [(size.name, size.utterances, size.speakers) for size in run.sets[:2]] == [("train", 48, 6), ("valid", 8, 2)]
    assert (tmp_path / "results" / run.curve).read_bytes().startswith(b"\x89PNG")
    report = format_results([run])
    assert "![Training curve of one](results/one.png)" in report
    assert "| tones | train | 48 |" in report
    with pytest.raises(UserError, match="audioroto recognize"):
        record_run(tmp_path / "results", test_sets=["train"], **facts)
    with pytest.raises(UserError, match="no name for a file"):
        record_run(tmp_path / "results", test_sets=["valid"], **facts | {"run": "a/b"})
    other = next((trained / "checkpoints").iterdir())
    with pytest.raises(UserError, match=r"is of another model, model\.safetensors; recognize again"):
        record_run(tmp_path / "results", test_sets=["valid"], **facts | {"model": other})
    (tmp_path / "valid/ctc_beam/recognition.json").write_text('{"mode": "ctc_')
    with pytest.raises(UserError, match="is damaged; recognize again"):
        record_run(tmp_path / "results", test_sets=["valid"], **facts)
