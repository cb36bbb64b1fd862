import io

import numpy as np
import pytest
import soundfile

import audioroto
from audioroto.config import Search
from audioroto.corpus.datadir import read_datadir
from audioroto.errors import AudioError, UserError
from audioroto.text.arpa import write_arpa
from audioroto.text.ngram import estimate_ngrams


@pytest.fixture(scope="module")
def recognizer(trained):
    return audioroto.load_model(trained / "model.safetensors")


def test_path_bytes_and_samples_give_the_same_text(recognizer, tone_corpus):
    for utterance in read_datadir(tone_corpus / "valid"):
        samples, rate = soundfile.read(utterance.path, dtype="float32")
        text = recognizer.transcribe(utterance.path).text
        assert text == recognizer.transcribe(str(utterance.path)).text
        assert text == recognizer.transcribe(utterance.path.read_bytes()).text
        assert text == recognizer.transcribe(io.BytesIO(utterance.path.read_bytes())).text
        assert text == recognizer.transcribe(samples, rate).text
        assert text == recognizer.transcribe(np.stack([samples, samples], axis=1), rate).text
        assert text == audioroto.transcribe(utterance.path, model=recognizer).text
        assert set(text.split()) <= {"LOW", "MID", "HIGH"} or text != utterance.text


@pytest.mark.parametrize("mode", ["ctc_greedy", "ctc_beam"])
def test_text_does_not_depend_on_the_batch(recognizer, tone_corpus, mode):
    waveforms = [soundfile.read(u.path, dtype="float32")[0] for u in read_datadir(tone_corpus / "train")]
    together = [transcript.text for transcript in recognizer.recognize(waveforms, mode)]
    alone = [recognizer.recognize([waveform], mode)[0].text for waveform in waveforms]
    assert together == alone
    assert any(together)


def test_a_tone_is_heard_where_it_sounds(recognizer, tone_corpus):
    num_right = 0
    for utterance in read_datadir(tone_corpus / "valid"):
        transcript = recognizer.transcribe(utterance.path)
        assert " ".join(word.text for word in transcript.words) == transcript.text
        if transcript.text != utterance.text:
            continue
        num_right += 1
        for number, word in enumerate(transcript.words):
            sounds_from = 0.05 + number * 0.225  # seconds, as the corpus is made; each tone lasts 0.15
            assert word.start_seconds == pytest.approx(sounds_from, abs=0.1)
            assert word.start_seconds < word.end_seconds <= transcript.seconds
    assert num_right >= 4


def test_an_n_gram_lets_the_beam_say_its_words_only(trained, tone_corpus, tmp_path):
    pytest.importorskip("flashlight.lib.text")
    write_arpa(tmp_path / "lm.arpa.gz", estimate_ngrams(["LOW LOW", "HIGH LOW", "HIGH"], 2))
    recognizer = audioroto.load_model(trained / "model.safetensors", lm=tmp_path / "lm.arpa.gz")
    waveforms = [soundfile.read(u.path, dtype="float32")[0] for u in read_datadir(tone_corpus / "valid")]
    texts = [transcript.text for transcript in recognizer.recognize(waveforms, "ctc_beam")]
    assert {word for text in texts for word in text.split()} == {"LOW", "HIGH"}


@pytest.mark.parametrize("decibels", [-300, -70])
def test_the_gate_keeps_quiet_audio_from_saying_anything(recognizer, trained, tone_corpus, decibels):
    samples, rate = soundfile.read(read_datadir(tone_corpus / "valid")[0].path, dtype="float32")
    quiet = samples / np.abs(samples).max() * np.float32(10 ** (decibels / 20))
    transcript = recognizer.transcribe(quiet, rate)
    assert (transcript.text, transcript.words, transcript.gated) == ("", (), True)
    open_gate = audioroto.load_model(trained / "model.safetensors", search=Search(gate_decibels=-200))
    assert not open_gate.transcribe(quiet, rate).gated
    assert not recognizer.transcribe(samples, rate).gated


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros(100, np.float32), None, "rate"),
        *((np.zeros(100, np.float32), rate, f"{rate} Hz") for rate in (0, -16000, 999, 1_000_001, np.nan)),
        (iter([np.zeros(100, np.float32)]), np.nan, "nan Hz"),
        (np.zeros(0, np.float32), 16000, "shape"),
        (np.zeros((1, 2), np.float32), 16000, "shape"),
        (iter([np.zeros((1, 2), np.float32)]), 16000, "shape"),
        (np.zeros((2, 3, 4), np.float32), 16000, "shape"),
        (np.zeros(100, np.int16), 16000, "int16"),
        (np.full(100, np.nan, np.float32), 16000, "NaN"),
    ],
)
def test_bad_samples_are_refused(recognizer, samples, rate, message):
    with pytest.raises(AudioError, match=message):
        recognizer.transcribe(samples, rate)


def test_blocks_may_be_as_short_as_they_like(recognizer, tone_corpus):
    samples, rate = soundfile.read(read_datadir(tone_corpus / "valid")[0].path, dtype="float32")
    stereo = np.stack([samples, samples], axis=1)
    blocks = [stereo[:0], samples[:0], stereo[:2], stereo[2:3], stereo[3:3], stereo[3:]]
    assert recognizer.transcribe(iter(blocks), rate) == recognizer.transcribe(samples, rate)


def test_a_waveform_shorter_than_a_window_says_nothing(recognizer):
    loud = np.random.default_rng(0).uniform(-1, 1, 50).astype(np.float32)
    for mode in ("ctc_greedy", "ctc_beam"):
        assert recognizer.transcribe(loud, 16000, mode).text == ""


def test_a_missing_model_is_refused(tmp_path):
    with pytest.raises(UserError, match="no model file"):
        audioroto.load_model(tmp_path / "none.safetensors")
