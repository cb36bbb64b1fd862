import json
import os

import numpy as np
import pytest

from audioroto.config import Search
from audioroto.corpus.datadir import read_datadir, read_table
from audioroto.errors import UserError
from audioroto.infer.parts import Part, PartFolder
from audioroto.infer.recognize import recognize_datadir
from audioroto.infer.recognizer import load_model
from audioroto.infer.transcript import Transcript
from audioroto.score.error_rate import ErrorRate, score_utterances


def test_a_data_directory_becomes_a_folder_for_each_mode(trained, tone_corpus, tmp_path):
    recognizer = load_model(trained / "model.safetensors", search=Search(beam_size=7))
    done = recognize_datadir(recognizer, tone_corpus / "valid", tmp_path, ["ctc_greedy", "ctc_beam"])
    utterances = read_datadir(tone_corpus / "valid")
    assert [recognition.mode for recognition in done] == ["ctc_greedy", "ctc_beam"]
    for recognition in done:
        folder = tmp_path / recognition.mode
        hypotheses = read_table(folder / "text")
        assert list(hypotheses) == [utterance.id for utterance in utterances]
        errors = score_utterances({u.id: u.text or "" for u in utterances}, hypotheses)
        assert sum(errors.values(), ErrorRate()).rate < 0.2
        assert (recognition.utterances, recognition.gated) == (8, 0)
        facts = json.loads((folder / "recognition.json").read_text())
        assert (facts["mode"], facts["lm"], facts["settings"]["beam_size"]) == (recognition.mode, None, 7)
        assert facts["normalizer"] == recognizer.engine.config.text.normalizer
        assert abs(facts["audio_seconds"] - sum(u.seconds for u in utterances)) < 0.01
        assert facts["real_time_factor"] >= facts["search_real_time_factor"] > 0
        assert facts["peak_memory_bytes"] == recognition.peak_memory_bytes < 2**32


def test_words_have_times_inside_the_utterance(trained, tone_corpus, tmp_path):
    recognize_datadir(load_model(trained / "model.safetensors"), tone_corpus / "valid", tmp_path)
    texts = read_table(tmp_path / "ctc_greedy" / "text")
    lines = [line.split() for line in (tmp_path / "ctc_greedy" / "words.ctm").read_text().splitlines()]
    for utterance in read_datadir(tone_corpus / "valid"):
        words = [line for line in lines if line[0] == utterance.id]
        assert " ".join(line[4] for line in words) == texts[utterance.id]
        starts, durations = ([float(line[column]) for line in words] for column in (2, 3))
        assert starts == sorted(starts)
        assert all(0 <= s <= s + d <= utterance.seconds + 0.01 for s, d in zip(starts, durations, strict=True))
        assert all(0 <= float(line[5]) <= 1 for line in words)


@pytest.mark.parametrize(
    ("modes", "message"),
    [
        (["ctc_bean"], "no mode 'ctc_bean'; the modes are ctc_greedy, ctc_beam"),
        ([], "no mode to recognize in; give one or more of ctc_greedy, ctc_beam"),
    ],
)
def test_an_unknown_mode_or_none_is_refused_before_anything_is_done(trained, tone_corpus, tmp_path, modes, message):
    with pytest.raises(UserError, match=message):
        recognize_datadir(load_model(trained / "model.safetensors"), tone_corpus / "valid", tmp_path / "x", modes)
    assert not (tmp_path / "x").exists()


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="only Linux forgets a peak")
def test_each_mode_has_its_own_peak_of_memory(trained, tone_corpus, tmp_path, monkeypatch):
    recognizer, taken = load_model(trained / "model.safetensors"), {"ctc_greedy": 200, "ctc_beam": 100}
    search = recognizer.search

    def search_at_a_cost(waveforms, encoding, mode):
        np.ones((taken[mode] + 20) * 2**20, dtype=np.uint8)  # 20: what was free in the heap before is not counted
        return search(waveforms, encoding, mode)

    monkeypatch.setattr(recognizer, "search", search_at_a_cost)
    done = recognize_datadir(recognizer, tone_corpus / "valid", tmp_path, list(taken), batch_seconds=2.0)
    for recognition in done:
        assert taken[recognition.mode] <= recognition.peak_memory_bytes / 2**20 < taken[recognition.mode] + 60


def test_a_stopped_run_goes_on_where_it_was(trained, tone_corpus, tmp_path, monkeypatch):
    recognizer = load_model(trained / "model.safetensors")
    given = (recognizer, tone_corpus / "valid")
    recognize_datadir(*given, tmp_path / "whole")
    encode, batches = recognizer.engine.encode, []

    def stop_in_the_third(waveforms):
        batches.append(len(waveforms))
        if len(batches) == 3:
            raise KeyboardInterrupt
        return encode(waveforms)

    monkeypatch.setattr(recognizer.engine, "encode", stop_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        recognize_datadir(*given, tmp_path / "stopped", batch_seconds=1.0, origin={"model": "a"})
    num_done = sum(batches[:2])
    recognize_datadir(*given, tmp_path / "stopped", batch_seconds=1.0, origin={"model": "a"})
    assert sum(batches[3:]) == 8 - num_done
    for name in ("text", "words.ctm"):
        assert (tmp_path / "stopped/ctc_greedy" / name).read_text() == (
            tmp_path / "whole/ctc_greedy" / name
        ).read_text()
    assert [path.name for path in (tmp_path / "stopped").iterdir()] == ["ctc_greedy"]


def test_a_run_that_ends_leaves_the_parts_of_others_alone(tmp_path):
    part = Part({"ctc_greedy": {"u": Transcript((), 1.0)}}, 0.1, {"ctc_greedy": 0.1}, {"ctc_greedy": 1})
    one, other = (PartFolder(tmp_path, [f"model {name}"]) for name in "ab")
    for folder in (one, other):
        folder.write(part)
    one.remove()
    assert (list(one.read()), list(other.read())) == ([], [part])
    other.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_another_model_found_is_not_taken(tmp_path):
    part = Part({"ctc_greedy": {"u": Transcript((), 1.0)}}, 0.1, {"ctc_greedy": 0.1}, {"ctc_greedy": 1})
    PartFolder(tmp_path, ["model a"]).write(part)
    assert list(PartFolder(tmp_path, ["model a"]).read()) == [part]
    assert list(PartFolder(tmp_path, ["model b"]).read()) == []
    next(tmp_path.rglob("*.json")).write_text('{"transcripts"')
    assert list(PartFolder(tmp_path, ["model a"]).read()) == []
