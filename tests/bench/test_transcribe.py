import json
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from audioroto.bench import systems
from audioroto.bench.systems import Candidate, System, load_own, make_candidates
from audioroto.bench.transcribe import Measured, bench_transcribe, format_leaderboard, read_recordings
from audioroto.config import Search
from audioroto.corpus.datadir import read_datadir, write_datadir
from audioroto.errors import UserError
from audioroto.score.evaluation import evaluate

PARROT = Candidate("parrot", partial(System, str, 8000, 123, "parrot"))  # another process can load it, too


def test_a_model_and_a_peer_are_measured_on_the_same_recordings(trained, tone_corpus, tmp_path, capsys):
    model = trained / "model.safetensors"
    candidates = [
        *make_candidates(model, [], lm=None, search=Search(), device="cpu"),
        PARROT,
    ]
    own, parrot = bench_transcribe(candidates, read_recordings([], [tone_corpus / "valid"]), tmp_path, "librispeech-v1")
    utterances = read_datadir(tone_corpus / "valid")
    assert set(own.texts) == set(parrot.seconds) == {utterance.id for utterance in utterances}
    assert (parrot.parameters, parrot.model_bytes) == (None, 123)
    assert own.parameters > 0
    assert own.model_bytes == model.stat().st_size
    assert own.memory_bytes > parrot.memory_bytes >= 0
    assert 0 < own.latency(0.5) <= own.latency(0.95)
    figures = json.loads((tmp_path / "figures.json").read_text())
    rates = [system["scores"]["all"]["words"]["rate"] for system in figures["systems"]]
    assert rates[0] < rates[1]
    assert figures["differences"]["parrot"]["difference"] == pytest.approx(rates[1] - rates[0])
    shown = capsys.readouterr().out
    assert "| parrot |" in shown
    assert "WER of parrot - WER of" in shown
    assert len(list(tmp_path.glob("*/wer.txt"))) == 2


def test_a_file_has_its_text_beside_it(tmp_path):
    for name in ("a b", "c"):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(1600), 16000)
    (tmp_path / "c.txt").write_text("C")
    sets = read_recordings([str(tmp_path)], [])
    assert [(u.id, u.text, u.seconds) for u in sets["files"]] == [("a_b", None, 0.1), ("c", "C", 0.1)]
    with pytest.raises(UserError, match="nothing to measure"):
        read_recordings([], [])


def test_ids_differ_over_all_sets(tone_corpus):
    sets = read_recordings([], [tone_corpus / "valid", tone_corpus / "valid"])
    assert list(sets) == ["valid", "valid-2"]
    assert len({utterance.id for members in sets.values() for utterance in members}) == 16


def test_no_set_is_called_as_all_of_them_are(tone_corpus, tmp_path):
    write_datadir(tmp_path / "own" / "all", read_datadir(tone_corpus / "valid"))
    assert list(read_recordings([], [tmp_path / "own" / "all"])) == ["all-2"]


def test_the_row_has_the_leaderboards_columns():
    one = Measured("m", None, 1, "elapsed time", {}, {"u": 2.0, "v": 2.0}, None)
    references = {"u": "A B", "v": "A"}
    scores = {"all": evaluate(references, references, "none"), "x": evaluate({"u": "A B"}, {"u": "A C"}, "none")}
    scores["y"] = evaluate({"v": "A"}, {"v": "A"}, "none")
    lines = format_leaderboard([one], {"m": scores}, 40.0).splitlines()
    assert lines[0] == "| model | Average WER | RTFx | x | y |"
    assert lines[2] == "| m | 25.00 | 10.0 | 50.00 | 0.00 |"


def test_peers_that_are_not_there_are_refused(tmp_path, monkeypatch):
    given = {"lm": None, "search": Search(), "device": "cpu"}
    with pytest.raises(UserError, match="the peers are pocketsphinx"):
        make_candidates(tmp_path, ["kaldi"], **given)
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(UserError, match=r"pip install pocketsphinx==5\.1\.1"):
        make_candidates(tmp_path, ["pocketsphinx"], **given)


def test_pocketsphinx_hears_16_bits(tmp_path, monkeypatch):
    """With a stand-in for the library: what it is given, and that no hypothesis is an empty text."""
    heard = []

    class Decoder:
        def __init__(self, **_: object) -> None: ...
        def start_utt(self) -> None: ...
        def end_utt(self) -> None: ...
        def process_raw(self, content: bytes, full_utt: bool) -> None:
            heard.append(np.frombuffer(content, np.int16).tolist())

        def hyp(self) -> SimpleNamespace | None:
            return SimpleNamespace(hypstr="hello") if len(heard) == 1 else None

    (tmp_path / "en-us").mkdir()
    (tmp_path / "en-us" / "means").write_bytes(bytes(10))
    library = SimpleNamespace(Decoder=Decoder, get_model_path=lambda: tmp_path)
    monkeypatch.setitem(sys.modules, "pocketsphinx", library)
    system = systems.load_pocketsphinx()
    assert system.transcribe(np.array([0.0, 1.0, -2.0], np.float32)) == "hello"
    assert system.transcribe(np.zeros(1, np.float32)) == ""
    assert heard[0] == [0, 32767, -32767]
    assert system.model_bytes == 10


def test_a_model_is_known_by_its_settings_too_and_outside_a_checkout(trained, monkeypatch):
    monkeypatch.setattr("audioroto.model.checkpoint._git_state", dict)
    model = trained / "model.safetensors"
    known = {load_own(model, "cpu", None, Search(min_confidence=least)).fingerprint for least in (0.0, 0.0, 0.5)}
    assert len(known) == 2


def test_own_models_say_what_the_recognizer_says(trained, tone_corpus):
    system = load_own(trained / "model.safetensors", "cpu", None, Search(mode="ctc_beam"))
    utterance = read_datadir(tone_corpus / "valid")[0]
    samples, _ = soundfile.read(utterance.path, dtype="float32")
    assert set(system.transcribe(samples).split()) <= {"LOW", "MID", "HIGH"}
