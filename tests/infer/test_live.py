import numpy as np
import pytest
import soundfile

from audioroto.audio.endpoint import Endpointer
from audioroto.corpus.datadir import read_datadir
from audioroto.infer.live import LiveTranscriber
from audioroto.infer.recognizer import load_model
from audioroto.infer.segment import Segment, Word
from audioroto.infer.transcript import Transcript

RATE = 16000


def run(live: LiveTranscriber, samples: np.ndarray, block: int = 1600):
    heard = [one for start in range(0, len(samples), block) for one in live.add(samples[start : start + block])]
    return heard + live.finish()


def test_words_come_while_one_speaks_and_for_good_after_a_pause(trained, tone_corpus):
    recognizer = load_model(trained / "model.safetensors", "cpu")
    clips = [soundfile.read(u.path, dtype="float32")[0] for u in read_datadir(tone_corpus / "valid")]
    noise = (0.003 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)
    samples = np.concatenate([noise, *[part for clip in clips for part in (clip, noise)]])
    live = LiveTranscriber(lambda waveforms: recognizer.recognize(waveforms), RATE, interval_seconds=0.3)
    heard = run(live, samples)
    finals = [one.segment for one in heard if one.is_final]
    endpointer = Endpointer(RATE)
    utterances = [
        part.samples for start in range(0, len(samples), 1600) for part in endpointer.add(samples[start:][:1600])
    ]
    assert len(utterances) == len(clips)
    texts = [transcript.text for transcript in recognizer.recognize(utterances)]
    assert [segment.text for segment in finals] == [text for text in texts if text]
    assert any(texts)
    assert sum(not one.is_final for one in heard) >= len(clips)
    times = [word.start_seconds for segment in finals for word in segment.words]
    assert times == sorted(times)


def recognize_ramps(waveforms):
    """A word for each pulse in a waveform, called after its height: the n-th of a recording is n thousandths high."""
    transcripts = []
    for waveform in waveforms:
        pulses = [place for place in np.flatnonzero(waveform >= 0.5) if place + 0.2 * RATE <= len(waveform)]
        words = [Word(str(round(1000 * (waveform[i] - 0.5))), i / RATE, i / RATE + 0.2, 0.9) for i in pulses]
        text = " ".join(word.text for word in words)
        transcripts.append(
            Transcript((Segment(text, 0.0, len(waveform) / RATE, tuple(words), 0.0),), len(waveform) / RATE)
        )
    return transcripts


@pytest.mark.parametrize("block", [800, 1600, 40_000])
def test_speech_without_a_pause_loses_and_doubles_no_word(block):
    generator = np.random.default_rng(0)
    samples = (0.1 * generator.standard_normal(60 * RATE)).clip(-0.45, 0.45).astype(np.float32)
    samples *= np.abs(np.sin(np.arange(len(samples)) * 2 * np.pi * 2.5 / RATE)).astype(np.float32)
    pulses = np.arange(round(0.3 * RATE), len(samples) - RATE, round(0.35 * RATE))
    samples[pulses] = 0.5 + np.arange(len(pulses)) / 1000
    heard = run(LiveTranscriber(recognize_ramps, RATE), samples, block)
    finals = [one.segment for one in heard if one.is_final]
    assert len(finals) > 3
    said = [int(word) for segment in finals for word in segment.text.split()]
    assert said == list(range(len(pulses)))
    partials = [one.segment for one in heard if not one.is_final]
    assert len(partials) > 20 or block > 8000
    for segment in (*finals, *partials):
        assert segment.text.split() == [word.text for word in segment.words]


def test_words_that_were_shown_are_taken_back_when_there_was_no_speech():
    def recognize_something(waveforms):
        word = Word("x", 0.0, 0.1, 0.1)
        return [Transcript((Segment("x", 0.0, 0.5, (word,), 0.0),), 0.5) for _ in waveforms]

    noise = (0.1 * np.random.default_rng(0).standard_normal(5 * RATE)).astype(np.float32)
    heard = run(LiveTranscriber(recognize_something, RATE), noise)
    assert heard[0].segment.text == "x"  # less than a second cannot be told from speech
    assert (heard[-1].segment.text, heard[-1].is_final) == ("", True)
    assert sum(one.is_final for one in heard) == 1


def make_recognizer(samples: np.ndarray, hears):
    """Hears a word a second of `samples`, called after its second, where `hears(word, start, seconds)` of a stretch."""

    def recognize(waveforms):
        transcripts = []
        for waveform in waveforms:
            places = np.flatnonzero(samples[: len(samples) - 64] == waveform[0])
            start = next(int(p) for p in places if np.array_equal(samples[p : p + 64], waveform[:64])) / RATE
            seconds = len(waveform) / RATE
            places = [n for n in range(1, 20) if start <= n + 0.2 and n + 0.8 <= start + seconds]
            words = [Word(f"w{n}", n + 0.2 - start, n + 0.8 - start, 0.9) for n in places if hears(n, start, seconds)]
            text = " ".join(word.text for word in words)
            segments = (Segment(text, 0.0, seconds, tuple(words), 0.0),) if words else ()
            transcripts.append(Transcript(segments, seconds))
        return transcripts

    return recognize


@pytest.fixture(scope="module")
def unbroken():
    """Twenty seconds that sound like speech without a pause, quiet at both ends."""
    generator = np.random.default_rng(0)
    samples = 0.1 * generator.standard_normal(20 * RATE)
    samples *= 0.3 + 0.7 * np.abs(np.sin(np.arange(len(samples)) * 2 * np.pi * 2 / RATE))
    ends = [0.0003 * generator.standard_normal(number * RATE // 2) for number in (1, 3)]
    return np.concatenate([ends[0], samples, ends[1]]).astype(np.float32)


def test_a_part_that_is_rejected_takes_no_word_from_its_neighbour(unbroken):
    first, second = (stretch.start_seconds for stretch in Endpointer(RATE).add(unbroken))
    for hears, said in (
        (lambda word, start, seconds: start > first, lambda word: word + 0.2 >= second),
        (lambda word, start, seconds: start > first and seconds > 7, lambda word: word + 0.2 >= second),
        (lambda word, start, seconds: start <= first, lambda word: word + 0.8 <= first + 15),
    ):
        live = LiveTranscriber(make_recognizer(unbroken, hears), RATE)
        finals = [one.segment for one in run(live, unbroken) if one.is_final]
        words = [int(word.text[1:]) for segment in finals for word in segment.words]
        assert words == sorted(set(words))
        assert set(words) >= {word for word in range(2, 19) if said(word)}


def test_words_that_are_final_do_not_come_back_where_one_hearing_missed_them(unbroken):
    def hears(word, start, seconds):  # of the second part, once, nothing before its 12th second
        return not (start > 1 and 6.0 < seconds < 6.6 and word < 12)

    finals = [
        one.segment for one in run(LiveTranscriber(make_recognizer(unbroken, hears), RATE), unbroken) if one.is_final
    ]
    words = [word.text for segment in finals for word in segment.words]
    assert words == [f"w{number}" for number in range(1, 20)]
    assert finals[0].end_seconds <= finals[1].start_seconds
