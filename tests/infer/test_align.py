import numpy as np
import pytest
import soundfile

import audioroto
from audioroto.corpus.datadir import read_datadir
from audioroto.errors import UserError
from audioroto.infer.align import align_text


@pytest.fixture(scope="module")
def recognizer(trained):
    return audioroto.load_model(trained / "model.safetensors")


@pytest.fixture(scope="module")
def samples(tone_corpus):
    """Tones LOW, HIGH and MID from 0.05, 0.275 and 0.5 s on, each 0.15 s long."""
    time = np.arange(2400) / 16000
    tones = [np.r_[np.sin(2 * np.pi * hertz * time), np.zeros(1200)] for hertz in (400.0, 1800.0, 900.0)]
    noise = 0.003 * np.random.default_rng(0).standard_normal(800 + 3 * 3600)
    return (0.3 * np.r_[np.zeros(800), *tones] + noise).astype(np.float32)


def test_known_words_lie_where_they_sound_in_their_own_spelling(recognizer, samples):
    transcript = align_text(recognizer, samples, "Low, – high!\n\n  mid\n")
    assert [segment.text for segment in transcript.segments] == ["Low, high!", "mid"]
    assert transcript.seconds == len(samples) / 16000
    for number, word in enumerate(transcript.words):
        assert word.start_seconds == pytest.approx(0.05 + number * 0.225, abs=0.1)
        assert 0 < word.confidence <= 1
    times = [time for word in transcript.words for time in (word.start_seconds, word.end_seconds)]
    assert times == sorted(times)
    first, second = transcript.segments
    assert (first.start_seconds, second.end_seconds) == (times[0], times[-1])
    assert first.score > -10


def test_a_wrong_text_is_less_sure(recognizer, samples):
    right, wrong = (align_text(recognizer, samples, text) for text in ("LOW HIGH MID", "HIGH LOW LOW"))
    assert right.score > wrong.score + 1


def test_a_word_of_several_is_one_word_from_first_to_last(recognizer, samples):
    (word,) = align_text(recognizer, samples, "low-high-mid").words
    apart = align_text(recognizer, samples, "low high mid").words
    assert word.text == "low-high-mid"
    assert (word.start_seconds, word.end_seconds) == (apart[0].start_seconds, apart[2].end_seconds)
    assert word.confidence == pytest.approx(np.mean([part.confidence for part in apart]))


def test_all_words_of_a_corpus_are_found_in_order(recognizer, tone_corpus):
    for utterance in read_datadir(tone_corpus / "valid"):
        samples, _ = soundfile.read(utterance.path, dtype="float32")
        assert align_text(recognizer, samples, utterance.text).text == utterance.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("low zebra", "no tokens for 'ZEBRA'"),
        ("low " * 400, "more than can be said in 0.7 s"),
        (" \n – \n", "no words"),
    ],
)
def test_a_text_that_cannot_be_aligned_is_refused(recognizer, samples, text, message):
    with pytest.raises(UserError, match=message):
        align_text(recognizer, samples, text)
