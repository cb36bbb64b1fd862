"""Every search through the one way in."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import audioroto
from audioroto.config import Search
from audioroto.errors import UserError
from audioroto.infer.modes import MODES, MODES_WITH_NEURAL_LM
from audioroto.infer.origin import describe_origin
from audioroto.infer.recognizer import Recognizer
from audioroto.model.language_model import LanguageModel, Shape, save_language_model


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


@pytest.fixture(scope="module")
def language_model(recognizer, tmp_path_factory):
    """It expects HIGH, over and over."""
    tokenizer = recognizer.tokenizer
    model = LanguageModel(tokenizer.vocab_size, Shape(16, 1, 2, 32))
    torch.nn.init.constant_(model.project.bias, -20.0)
    with torch.no_grad():
        model.project.bias[tokenizer.encode("HIGH")] = 20.0
    path = tmp_path_factory.mktemp("lm") / "lm.safetensors"
    save_language_model(path, model, tokenizer, {})
    return path


@pytest.mark.parametrize("mode", MODES)
def test_a_neural_language_model_has_its_say_where_tokens_are_searched_one_by_one(
    recognizer, with_decoder, language_model, mode
):
    search = Search(mode=mode, neural_lm=str(language_model), neural_lm_weight=5.0, ctc_weight=0.1)
    with_lm = audioroto.load_model(with_decoder, search=search)
    without = audioroto.load_model(with_decoder, search=search.model_copy(update={"neural_lm_weight": 0.0}))
    said, plain = (
        " ".join(transcript.text for transcript in model.recognize(make_waveforms())) for model in (with_lm, without)
    )
    origins = [describe_origin(model, with_decoder, [mode]) for model in (with_lm, without)]
    if mode in MODES_WITH_NEURAL_LM:
        assert set(said) <= set("HIGH ")
        assert not set(plain) <= set("HIGH ")
        assert with_lm.name_lm(mode) == "lm.safetensors"
        assert ["neural_lm" in origin for origin in origins] == [True, False]
    else:
        assert said == plain
        assert with_lm.name_lm(mode) is None
        assert "neural_lm" not in origins[0]
    assert without.language_model is without.name_lm(mode) is None


def test_a_neural_language_model_that_is_named_is_there_for_every_mode(with_decoder, language_model):
    """`tune` and `recognize` name their modes beside the settings, whose own mode is then another."""
    recognizer = audioroto.load_model(with_decoder, search=Search(neural_lm=str(language_model), neural_lm_weight=5.0))
    assert recognizer.mode == "ctc_greedy"
    assert set("".join(said.text for said in recognizer.recognize(make_waveforms(), "attention"))) <= set("HIGH ")


def test_at_most_the_labels_that_the_frames_allow(recognizer):
    for mode in MODES:
        for waveform in make_waveforms():
            encoding = recognizer.engine.encode([waveform])
            (hypothesis,) = MODES[mode](encoding, recognizer.settings, recognizer.judges)
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
