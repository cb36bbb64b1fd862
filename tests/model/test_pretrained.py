import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner

import audioroto
from audioroto.cli.main import app
from audioroto.config import Search
from audioroto.errors import UserError
from audioroto.infer import recognizer as recognizer_module
from audioroto.infer.modes import MODES
from audioroto.infer.recognizer import load_model
from audioroto.model.checkpoint import load_checkpoint
from audioroto.model.pretrained import (
    DEFAULT_MODEL,
    FOLDER,
    find_lm,
    find_model,
    find_neural_lm,
    list_models,
    load_search,
)
from audioroto.train.initialize import load_origin

MAX_WEIGHTS_BYTES, MAX_LM_BYTES, MAX_NEURAL_LM_BYTES = 26e6, 15e6, 7e6  # git keeps every copy for ever


@pytest.fixture
def clip(root) -> Path:
    return root / "data/mini/audio/us-m4/us-m4-001.opus"


def test_a_file_wins_over_a_name(trained, tmp_path, monkeypatch):
    assert find_model(DEFAULT_MODEL) == find_model("english-small") == FOLDER / "english-small.safetensors"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "english-small").symlink_to(trained / "model.safetensors")
    assert find_model("english-small") == Path("english-small")
    assert find_lm("english-small") is find_neural_lm("english-small") is None
    assert load_search("english-small") == Search()
    assert load_origin("english-small").checkpoint.config.text.units == "char"


@pytest.mark.parametrize("name", ["english-large", "../pretrained/english-small", "", "*"])
def test_unknown_names_are_refused_with_those_there_are(name, tmp_path):
    for load in (find_model, load_checkpoint, load_model):
        with pytest.raises(UserError, match=r"give the path of a model file, or the name .*: english-small"):
            load(name)
    assert find_lm(name) is find_neural_lm(name) is None
    assert load_search(name) == Search()


@pytest.mark.parametrize("name", list_models())
def test_a_model_is_whole_and_small_enough_for_git(name):
    assert find_model(name).stat().st_size <= MAX_WEIGHTS_BYTES
    lm = find_lm(name)
    assert lm is None or lm.stat().st_size <= MAX_LM_BYTES
    neural_lm = find_neural_lm(name)
    assert neural_lm is None or neural_lm.stat().st_size <= MAX_NEURAL_LM_BYTES
    assert f"# {name}\n" in (FOLDER / "README.md").read_text(encoding="utf-8")
    checkpoint = load_checkpoint(name)
    assert checkpoint.build().decoder is not None
    assert load_search(name).mode == "joint"


def test_a_users_settings_win_over_the_models(tmp_path):
    own = load_search("english-small")
    (tmp_path / "mine.toml").write_text("[search]\nlm_weight = 9.0\nbeam_size = 7\n")
    search = load_search("english-small", [tmp_path / "mine.toml"], ["search.beam_size=3"])
    assert search == own.model_copy(update={"lm_weight": 9.0, "beam_size": 3})


def test_speech_to_text_with_nothing_else(clip):
    said = CliRunner().invoke(app, ["transcribe", str(clip)])
    assert said.exit_code == 0, said.output
    heard = set(said.stdout.split())
    assert len(heard & {"ONE", "HUNDRED", "FIFTY", "TWO"}) >= 2


def test_a_known_text_is_aligned_with_nothing_else(clip, tmp_path):
    (tmp_path / "text").write_text("one hundred fifty two\n")
    done = CliRunner().invoke(app, ["align", str(clip), str(tmp_path / "text"), "--format", "json"])
    assert done.exit_code == 0, done.output
    assert '"english-small.safetensors"' in done.stdout


def test_without_flashlight_the_joint_search_does_without_the_n_gram(clip, monkeypatch, caplog):
    monkeypatch.setattr(recognizer_module, "has_ngrams", lambda: False)
    with caplog.at_level(logging.INFO, "audioroto"):
        recognizer = audioroto.load_model()
    assert (recognizer.mode, recognizer.words) == ("joint", None)
    assert [record.getMessage() for record in caplog.records] == [
        "english-small makes fewer word errors with its n-gram: pip install 'audioroto[lm]'"
    ]
    assert "HUNDRED" in recognizer.transcribe(clip).text.split()


@pytest.mark.parametrize(
    ("setting", "mode"), [("search.mode=ctc_greedy", "ctc_greedy"), ("search.lm_weight=0", "joint")]
)
def test_the_n_gram_is_loaded_only_for_a_search_that_asks_it(monkeypatch, caplog, setting, mode):
    monkeypatch.setattr(recognizer_module, "WordModel", lambda *_: pytest.fail("it was loaded"))
    monkeypatch.setattr(recognizer_module, "has_ngrams", lambda: True)
    recognizer = load_model(search=load_search("english-small", overrides=[setting]))
    assert (recognizer.mode, recognizer.words, caplog.records) == (mode, None, [])


@pytest.mark.parametrize(
    ("setting", "loaded"),
    [("search.mode=joint", True), ("search.mode=ctc_beam", False), ("search.neural_lm_weight=0", False)],
)
def test_so_is_the_neural_language_model(setting, loaded):
    assert list_models() == ["english-small"], "its file is no model of its own"
    recognizer = load_model(search=load_search("english-small", overrides=["search.lm_weight=0", setting]))
    assert bool(recognizer.language_model) == loaded


@pytest.mark.parametrize("decoder", [None, "decoder"])
@pytest.mark.parametrize("words", [None, "words"])
def test_auto_is_a_search_that_the_model_can_do(trained, decoder, words):
    recognizer = load_model(trained / "model.safetensors", search=Search(mode="auto"))
    recognizer.engine.decoder, recognizer.words = decoder, words
    assert recognizer.mode in recognizer.modes
    assert recognizer.mode == ("joint" if decoder else "ctc_beam" if words else "ctc_greedy")


def test_the_configuration_knows_all_modes():
    for mode in MODES:
        assert Search(mode=mode).mode == mode
    with pytest.raises(UserError, match=r"search\.mode"):
        load_search("english-small", overrides=["search.mode=magic"])
