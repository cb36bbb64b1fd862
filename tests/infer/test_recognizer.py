import io

import numpy as np
import pytest
import soundfile

import audioroto
from audioroto.corpus.datadir import read_datadir
from audioroto.errors import AudioError, UserError


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


def test_text_does_not_depend_on_the_batch(recognizer, tone_corpus):
    waveforms = [soundfile.read(u.path, dtype="float32")[0] for u in read_datadir(tone_corpus / "train")]
    together = [transcript.text for transcript in recognizer.recognize(waveforms)]
    alone = [recognizer.recognize([waveform])[0].text for waveform in waveforms]
    assert together == alone
    assert any(together)


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros(100, np.float32), None, "rate"),
        (np.zeros(0, np.float32), 16000, "shape"),
        (np.zeros((2, 3, 4), np.float32), 16000, "shape"),
        (np.zeros(100, np.int16), 16000, "int16"),
        (np.full(100, np.nan, np.float32), 16000, "NaN"),
    ],
)
def test_bad_samples_are_refused(recognizer, samples, rate, message):
    with pytest.raises(AudioError, match=message):
        recognizer.transcribe(samples, rate)


def test_a_waveform_shorter_than_a_window_says_nothing(recognizer):
    assert recognizer.transcribe(np.zeros(50, np.float32), 16000).text == ""


def test_a_missing_model_is_refused(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        audioroto.load_model(tmp_path / "none.safetensors")
