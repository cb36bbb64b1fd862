import math

import pytest

from audioroto.config import Search, load_config
from audioroto.errors import UserError
from audioroto.infer.recognizer import load_model
from audioroto.infer.tune import BEAM_SIZES, WEIGHING_BEAM_SIZE, tune_search, write_settings
from audioroto.text.arpa import write_arpa
from audioroto.text.ngram import estimate_ngrams


def test_the_chosen_settings_are_the_best_of_those_tried(trained, tone_corpus, tmp_path):
    pytest.importorskip("flashlight.lib.text")
    write_arpa(tmp_path / "lm.arpa", estimate_ngrams(["LOW MID HIGH", "HIGH LOW", "MID"], 2))
    poor = Search(lm_weight=3.0, word_bonus=-9.0)
    recognizer = load_model(trained / "model.safetensors", search=poor, lm=tmp_path / "lm.arpa")
    tuning = tune_search(recognizer, tone_corpus / "valid", num_trials=20, real_time_factor=10.0)
    assert tuning.trials[0].settings == poor.model_copy(update={"beam_size": WEIGHING_BEAM_SIZE})
    assert len(tuning.trials) <= 20 + len(BEAM_SIZES)
    assert (
        tuning.best.words.errors == min(trial.words.errors for trial in tuning.trials) < tuning.trials[0].words.errors
    )
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
    assert tuning.best.settings.beam_size == min(BEAM_SIZES)
    assert math.isnan(tuning.confidence_auc) or 0 <= tuning.confidence_auc <= 1
