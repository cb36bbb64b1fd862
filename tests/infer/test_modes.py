"""Every search through the one way in."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import audioroto
from audioroto.errors import UserError
from audioroto.infer.modes import MODES
from audioroto.infer.recognizer import Recognizer


@pytest.fixture(scope="module")
def recognizer(with_decoder) -> Recognizer:
    return audioroto.load_model(with_decoder)


def make_waveforms() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [0.1 * generator.standard_normal(size).astype(np.float32) for size in (4000, 2500, 5000, 100)]


@pytest.mark.parametrize("mode", MODES)
def test_text_times_and_confidences_do_not_depend_on_the_batch(recognizer, mode):
    waveforms = make_waveforms()
    together = recognizer.recognize(waveforms, mode)
    for waveform, transcript in zip(waveforms, together, strict=True):
        (alone,) = recognizer.recognize([waveform], mode)
        assert alone.text == transcript.text
        assert [word.text for word in transcript.words] == transcript.text.split()
        ends = [0.0, *(word.end_seconds for word in transcript.words)]
        assert ends == sorted(ends)
        assert ends[-1] <= transcript.seconds
        assert all(0 <= word.confidence <= 1 for word in transcript.words)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 12000), min_size=1, max_size=3), st.floats(-100.0, 0.0))
def test_words_follow_one_another_inside_the_audio_in_every_mode(recognizer, seed, sizes, decibels):
    generator = np.random.default_rng(seed)
    loudness = np.float32(10 ** (decibels / 20))
    waveforms = [loudness * generator.uniform(-1, 1, size).astype(np.float32) for size in sizes]
    encoding = recognizer.engine.encode(waveforms)
    for mode in MODES:
        for waveform, transcript in zip(waveforms, recognizer.search(waveforms, encoding, mode), strict=True):
            assert [word.text for word in transcript.words] == transcript.text.split()
            times = [time for word in transcript.words for time in (word.start_seconds, word.end_seconds)]
            assert times == sorted(times)
            assert all(0 <= time <= len(waveform) / recognizer.sample_rate for time in times)
            assert all(0 <= word.confidence <= 1 for word in transcript.words)


def test_at_most_the_labels_that_the_frames_allow(recognizer):
    for mode in MODES:
        for waveform in make_waveforms():
            encoding = recognizer.engine.encode([waveform])
            (hypothesis,) = MODES[mode](encoding, recognizer.settings, None, recognizer.engine.decoder)
            assert len(hypothesis.tokens) <= int(encoding.lengths)


@pytest.mark.parametrize("mode", ["attention", "joint", "rescoring"])
def test_a_model_without_a_decoder_says_which_modes_it_has(trained, mode):
    recognizer = audioroto.load_model(trained / "model.safetensors")
    with pytest.raises(UserError, match="ctc_greedy or ctc_beam"):
        recognizer.recognize(make_waveforms()[:1], mode)


def test_an_unknown_mode_is_refused(recognizer):
    with torch.inference_mode(), pytest.raises(UserError, match="the modes are"):
        recognizer.recognize(make_waveforms()[:1], "viterbi")


@pytest.mark.parametrize("mode", MODES)
def test_audio_that_is_shorter_than_a_frame_says_nothing(recognizer, mode):
    for whole in (False, True):
        assert recognizer.transcribe(np.full(320, 0.3, np.float32), 16000, mode, whole=whole).text == ""
