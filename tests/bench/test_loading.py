import json

import pytest

from audioroto.bench import loading
from audioroto.bench.loading import bench_loading
from audioroto.errors import UserError


def test_ready_and_loaded_batches_take_turns(tiny_config, tone_corpus, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(loading, "PASSED_UPDATES", 3)
    cost = bench_loading(tiny_config, tone_corpus / "train", None, tmp_path, "cpu", num_updates=2, num_rounds=2)
    assert [len(cost.ready), len(cost.loaded)] == [2, 2]
    assert cost.share > 0
    assert cost.loader_milliseconds > 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["share"] == pytest.approx(cost.share)
    assert "loading costs" in capsys.readouterr().out


def test_what_cannot_be_measured_is_refused(tiny_config, tone_corpus, tmp_path):
    for section, key, value, message in (
        ("train", "max_utterance_seconds", 0.01, "no utterance is left to train on"),
        ("unspoken", "text", "books.txt", "leave it out"),
    ):
        changed = getattr(tiny_config, section).model_copy(update={key: value})
        config = tiny_config.model_copy(update={section: changed})
        with pytest.raises(UserError, match=message):
            bench_loading(config, tone_corpus / "train", None, tmp_path, "cpu", num_updates=1, num_rounds=1)
