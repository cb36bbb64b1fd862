import math

import pytest

from audioroto.config import Search, load_config
from audioroto.corpus.datadir import read_datadir
from audioroto.errors import UserError
from audioroto.infer.recognize import iter_waveforms
from audioroto.infer.recognizer import load_model
from audioroto.infer.tune import BEAM_SIZES, NEARLY, WEIGHING_BEAM_SIZES, tune_search, write_settings
from audioroto.model.language_model import LanguageModel, Shape
from audioroto.text.arpa import write_arpa
from audioroto.text.ngram import estimate_ngrams


def test_the_chosen_settings_are_the_best_of_those_tried(trained, tone_corpus, tmp_path):
    pytest.importorskip("flashlight.lib.text")
    write_arpa(tmp_path / "lm.arpa", estimate_ngrams(["LOW MID HIGH", "HIGH LOW", "MID"], 2))
    poor = Search(lm_weight=3.0, word_bonus=-9.0)
    recognizer = load_model(trained / "model.safetensors", search=poor, lm=tmp_path / "lm.arpa")
    tuning = tune_search(recognizer, tone_corpus / "valid", num_trials=20, real_time_factor=10.0)
    first_beam = WEIGHING_BEAM_SIZES["beam_size"]
    assert tuning.trials[0].settings == poor.model_copy(update={"mode": "ctc_beam", "beam_size": first_beam})
    assert len(tuning.trials) <= 20
    best = tuning.best.settings
    weighed = next(
        trial for trial in tuning.trials if trial.settings == best.model_copy(update={"beam_size": first_beam})
    )
    assert weighed.words.errors == min(trial.words.errors for trial in tuning.trials)
    assert all(
        trial.settings == best.model_copy(update={"beam_size": size})
        for trial, size in zip(tuning.beams, BEAM_SIZES["beam_size"], strict=True)
    )
    tried = {*tuning.trials, *tuning.beams}  # on the same utterances, for there are no others
    fewest = min(trial.words.errors for trial in tried)
    assert tuning.best == next(trial for trial in tuning.beams if trial.words.errors <= NEARLY * fewest)
    assert tuning.best.words.errors < tuning.trials[0].words.errors
    assert {trial.words.reference_length for trial in tried} == {tuning.best.words.reference_length}
    write_settings(tmp_path / "search.toml", tuning)
    assert load_config([tmp_path / "search.toml"]).search == tuning.best.settings


def test_without_an_n_gram_there_is_nothing_to_tune(trained, tone_corpus):
    with pytest.raises(UserError, match="give --lm an ARPA file"):
        tune_search(load_model(trained / "model.safetensors"), tone_corpus / "valid")


def test_a_wanted_speed_that_nothing_reaches_leaves_the_narrowest_beam(trained, tone_corpus, tmp_path):
    pytest.importorskip("flashlight.lib.text")
    write_arpa(tmp_path / "lm.arpa", estimate_ngrams(["LOW MID HIGH", "HIGH LOW", "MID"], 2))
    recognizer = load_model(trained / "model.safetensors", lm=tmp_path / "lm.arpa")
    tuning = tune_search(recognizer, tone_corpus / "valid", num_trials=1, real_time_factor=0.0)
    assert tuning.best.settings.beam_size == min(BEAM_SIZES["beam_size"])
    assert math.isnan(tuning.confidence_auc) or 0 <= tuning.confidence_auc <= 1


@pytest.mark.parametrize(
    ("mode", "neural", "weights"),
    [("joint", False, 4), ("joint", True, 5), ("attention", False, 3), ("attention", True, 4), ("rescoring", True, 3)],
)
def test_searches_with_a_decoder_are_tuned_too(with_decoder, tone_corpus, tmp_path, mode, neural, weights):
    pytest.importorskip("flashlight.lib.text")
    write_arpa(tmp_path / "lm.arpa", estimate_ngrams(["LOW MID HIGH", "HIGH LOW", "MID"], 2))
    recognizer = load_model(with_decoder, lm=tmp_path / "lm.arpa")
    if neural:
        recognizer.language_model = LanguageModel(recognizer.tokenizer.vocab_size, Shape(16, 1, 2, 32)).eval()
    tuning = tune_search(recognizer, tone_corpus / "valid", mode, num_trials=4, max_minutes=0.05, real_time_factor=0.0)
    assert tuning.best.settings.model_copy(update={tuning.beam: 0}) in {
        trial.settings.model_copy(update={tuning.beam: 0}) for trial in tuning.trials
    }
    assert getattr(tuning.best.settings, tuning.beam) == min(BEAM_SIZES[tuning.beam])
    tried = [*tuning.trials, *tuning.beams]
    varied = {name for name in Search.model_fields if len({getattr(t.settings, name) for t in tried}) > 1}
    assert varied == {*tuning.weights, tuning.beam}
    assert len(tuning.weights) == weights


def test_the_beam_is_chosen_on_other_utterances_than_the_weights(trained, tone_corpus, tmp_path, monkeypatch):
    pytest.importorskip("flashlight.lib.text")
    write_arpa(tmp_path / "lm.arpa", estimate_ngrams(["LOW MID HIGH", "HIGH LOW", "MID"], 2))
    recognizer = load_model(trained / "model.safetensors", lm=tmp_path / "lm.arpa")
    heard: list[set[str]] = []

    def listen(utterances, *settings):
        heard.append({utterance.id for utterance in utterances})
        return iter_waveforms(utterances, *settings)

    monkeypatch.setattr("audioroto.infer.tune.iter_waveforms", listen)
    utterances = read_datadir(tone_corpus / "valid")
    minutes = sum(utterance.seconds for utterance in utterances) / 60
    tune_search(recognizer, tone_corpus / "valid", num_trials=1, max_minutes=minutes / 2, real_time_factor=0.0)
    weighed_on, others = heard
    assert weighed_on
    assert others == {utterance.id for utterance in utterances} - weighed_on
    heard.clear()
    tune_search(recognizer, tone_corpus / "valid", num_trials=1, max_minutes=minutes, real_time_factor=0.0)
    assert heard == [weighed_on | others]  # no more than that to choose on


def test_a_search_that_asks_no_n_gram_is_refused(trained, tone_corpus):
    with pytest.raises(UserError, match="the mode ctc_greedy asks no n-gram; tune one of ctc_beam"):
        tune_search(load_model(trained / "model.safetensors"), tone_corpus / "valid", "ctc_greedy")
