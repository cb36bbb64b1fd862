import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audioroto.bench.guards import LEVELS, bench_guards, find_recordings, is_voice, iter_made
from audioroto.config import Search
from audioroto.errors import UserError
from audioroto.infer.recognizer import load_model

RATE = 16000


def write_noises(folder: Path, names: list[str], seconds: float = 0.5) -> None:
    generator = np.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, 0.1 * generator.standard_normal(round(seconds * RATE)), RATE)


def test_made_sounds_are_as_loud_as_they_say_and_always_the_same():
    pieces = list(iter_made(RATE, minutes=0.25))
    assert {piece.kind for piece in pieces if piece.decibels is None} == {"digital silence", "clicks"}
    assert sorted({piece.decibels for piece in pieces if piece.decibels is not None}) == sorted(LEVELS)
    for piece, again in zip(pieces, iter_made(RATE, minutes=0.25), strict=True):
        assert np.array_equal(piece.samples, again.samples)
        assert piece.samples.dtype == np.float32
        assert len(piece.samples) in (10 * RATE, 5 * RATE)
        assert np.abs(piece.samples).max() <= 1
        if piece.decibels is not None and piece.decibels <= -20:  # louder ones are clipped a little
            level = 10 * np.log10(np.square(piece.samples, dtype=np.float64).mean())
            assert level == pytest.approx(piece.decibels, abs=1.0)
    assert not any(piece.samples.any() for piece in pieces if piece.kind == "digital silence")


@pytest.mark.parametrize("hertz", [50, 60])
def test_hum_lies_on_its_harmonics(hertz):
    hum = next(p.samples for p in iter_made(RATE, 1 / 6) if p.kind == f"hum of {hertz} Hz" and p.decibels == -20)
    power = np.square(np.abs(np.fft.rfft(hum)))  # 10 s: a bin every 0.1 Hz
    assert power[:: 10 * hertz].sum() > 0.999 * power.sum()
    assert power[10 * hertz] > 0


def test_classes_come_from_the_manifest_and_responses_are_left_out(tmp_path):
    write_noises(tmp_path, ["pets/1.wav", "halls/2.wav", "rir_small/3.wav", "street/4.wav", "street/5.wav"])
    (tmp_path / "manifest.tsv").write_text(
        "path\tclass\nhalls/2.wav\troom impulse response\npets/1.wav\tDog bark\nstreet/5.wav\tBaby cry\n", "utf-8"
    )
    found = {path.relative_to(tmp_path).as_posix(): kind for path, kind in find_recordings(tmp_path).items()}
    assert found == {"pets/1.wav": "Dog bark", "street/4.wav": "street", "street/5.wav": "Baby cry"}
    (tmp_path / "manifest.tsv").unlink()
    assert set(find_recordings(tmp_path).values()) == {"pets", "halls", "street"}
    with pytest.raises(UserError, match="holds no recordings of noise"):
        find_recordings(tmp_path / "rir_small")


def test_voices_are_what_people_make():
    voices = ["Baby cry", "Crying baby", "Person sneeze", "dude_miaowing", "babble", "laughing", "background speech"]
    others = ["Dog bark", "Rooster", "exercise_bike", "room noise between wake words", "crystal glass", "rain"]
    assert all(map(is_voice, voices))
    assert not any(map(is_voice, others))


def test_words_are_counted_with_the_gate_and_without(trained, tmp_path, capsys):
    """Of a model of tones: hum is close to what it was taught to write down."""
    write_noises(tmp_path / "noises", ["hiss/1.wav", "babble/2.wav"])
    recognizer = load_model(trained / "model.safetensors", search=Search(gate_decibels=-30.0))
    found = bench_guards(recognizer, tmp_path, recognizer.modes, tmp_path / "noises", minutes=0.02)
    assert recognizer.modes == ["ctc_greedy", "ctc_beam"]
    assert recognizer.settings.gate_decibels == -30.0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [sound["kind"] for sound in figures["sounds"]] == [outcome.kind for outcome in found]
    assert [outcome.kind for outcome in found if outcome.voice] == ["babble"]
    for outcome in found:
        assert outcome.seconds == pytest.approx(1.2 if outcome.kind not in ("hiss", "babble") else 0.5)
        assert all(outcome.words_gated[mode] in (0, outcome.words_ungated[mode]) for mode in recognizer.modes)
        if outcome.decibels is not None:
            loud = outcome.decibels > -30
            assert outcome.words_gated == (outcome.words_ungated if loud else dict.fromkeys(recognizer.modes, 0))
    assert any(outcome.words_ungated["ctc_greedy"] for outcome in found)
    surest = max(outcome.confidence for outcome in found)
    assert 0 < surest <= 1
    assert all((outcome.confidence > 0) == any(outcome.words_ungated.values()) for outcome in found)
    table = capsys.readouterr().out
    assert "babble (voice)" in table
    assert table.splitlines()[-1].startswith("says nothing on: digital silence")


def test_a_confidence_above_the_surest_text_silences_all(trained, tmp_path):
    listen = partial(bench_guards, out_dir=tmp_path, modes=["ctc_greedy"], minutes=0.02)
    surest = max(outcome.confidence for outcome in listen(load_model(trained / "model.safetensors")))
    sure = load_model(trained / "model.safetensors", search=Search(min_confidence=surest - 1e-4))
    assert any(outcome.words_ungated["ctc_greedy"] for outcome in listen(sure))
    surer = load_model(trained / "model.safetensors", search=Search(min_confidence=min(surest + 1e-4, 0.9999)))
    assert not any(outcome.words_ungated["ctc_greedy"] for outcome in listen(surer))
