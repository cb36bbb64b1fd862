import math

import pytest

from audioroto.config import Search, load_config
from audioroto.errors import UserError
from audioroto.infer.recognizer import load_model
from audioroto.infer.tune import BEAM_SIZES, NEARLY, WEIGHING_BEAM_SIZES, tune_search, write_settings
from audioroto.text.arpa import write_arpa
from audioroto.text.ngram import estimate_ngrams


def test_the_chosen_settings_are_the_best_of_those_tried(trained, tone_corpus, tmp_path):
    pytest.importorskip("flashlight.lib.text")
    write_arpa(tmp_path / "lm.arpa", estimate_ngrams(["LOW MID HIGH", "HIGH LOW", "MID"], 2))
    poor = Search(lm_weight=3.0, word_bonus=-9.0)
    recognizer = load_model(trained / "model.safetensors", search=poor, lm=tmp_path / "lm.arpa")
    tuning = tune_search(recognizer, tone_corpus / "valid", num_trials=20, real_time_factor=10.0)
    assert tuning.trials[0].settings == poor.model_copy(
        update={"mode": "ctc_beam", "beam_size": WEIGHING_BEAM_SIZES["beam_size"]}
    )
    assert len(tuning.trials) <= 20 + len(BEAM_SIZES["beam_size"])
    fewest = min(trial.words.errors for trial in tuning.trials)
    assert tuning.best.words.errors <= NEARLY * fewest < tuning.trials[0].words.errors
    best = tuning.best.settings
    beams = {
        size: trial.words.errors
        for trial in tuning.trials
        if trial.settings == best.model_copy(update={"beam_size": (size := trial.settings.beam_size)})
    }
    assert beams.keys() == set(BEAM_SIZES["beam_size"])
    assert best.beam_size == min(size for size, errors in beams.items() if errors <= NEARLY * fewest)
    assert {trial.words.reference_length for trial in tuning.trials} == {tuning.best.words.reference_length}
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


@pytest.mark.parametrize(("mode", "weights"), [("joint", 4), ("attention", 3), ("rescoring", 3)])
def test_searches_with_a_decoder_are_tuned_too(with_decoder, tone_corpus, tmp_path, mode, weights):
    pytest.importorskip("flashlight.lib.text")
    write_arpa(tmp_path / "lm.arpa", estimate_ngrams(["LOW MID HIGH", "HIGH LOW", "MID"], 2))
    recognizer = load_model(with_decoder, lm=tmp_path / "lm.arpa")
    tuning = tune_search(recognizer, tone_corpus / "valid", mode, num_trials=4, max_minutes=0.05, real_time_factor=0.0)
    assert tuning.best.settings.model_copy(update={tuning.beam: 0}) in {
        trial.settings.model_copy(update={tuning.beam: 0}) for trial in tuning.trials
    }
    assert getattr(tuning.best.settings, tuning.beam) == min(BEAM_SIZES[tuning.beam])
    varied = {name for name in Search.model_fields if len({getattr(t.settings, name) for t in tuning.trials}) > 1}
    assert varied == {*tuning.weights, tuning.beam}
    assert len(tuning.weights) == weights


def test_a_search_that_asks_no_n_gram_is_refused(trained, tone_corpus):
    with pytest.raises(UserError, match="the mode ctc_greedy asks no n-gram; tune one of ctc_beam"):
        tune_search(load_model(trained / "model.safetensors"), tone_corpus / "valid", "ctc_greedy")
