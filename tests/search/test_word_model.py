import sys

import pytest

from audioroto.errors import UserError
from audioroto.search.word_model import WordModel
from audioroto.text.arpa import write_arpa
from audioroto.text.ngram import estimate_ngrams
from audioroto.text.tokenizer import END_ID, train_tokenizer

SENTENCES = ["AB A", "B AB", "A A B", "BAB AB", "B"]
TOKENIZER = train_tokenizer(SENTENCES, "char", 10)


@pytest.fixture
def arpa(tmp_path):
    write_arpa(tmp_path / "lm.arpa", estimate_ngrams(SENTENCES, 2))
    return tmp_path / "lm.arpa"


def test_without_flashlight_text_it_says_what_to_install(arpa, monkeypatch):
    monkeypatch.setitem(sys.modules, "flashlight.lib.text.decoder.kenlm", None)
    with pytest.raises(UserError, match="pip install flashlight-text"):
        WordModel(arpa, TOKENIZER)


def test_a_file_that_breaks_off_is_named(arpa, capfd):
    pytest.importorskip("flashlight.lib.text")
    text = arpa.read_text()
    arpa.write_text(text[: text.index("\\2-grams:") + 50])
    with pytest.raises(UserError, match=r"lm\.arpa is not a valid ARPA file"):
        WordModel(arpa, TOKENIZER)
    assert capfd.readouterr().err == ""


def test_looking_ahead_never_promises_less_than_the_best_word(arpa):
    pytest.importorskip("flashlight.lib.text")
    model = WordModel(arpa, TOKENIZER)
    for word in ("A", "B", "AB", "BAB"):
        state = model.start()
        ahead = []
        for token in TOKENIZER.encode(word):
            state = model.extend(state, token)
            assert state is not None
            ahead.append(state.log_probability)
        assert ahead[1:] == sorted(ahead[1:], reverse=True), "it falls as words are ruled out"
        assert state.num_words == 1
        assert model.finish(state) is not None


@pytest.mark.parametrize("spelling", ["▁", "AA", "BABA"])
def test_what_begins_no_word_is_not_gone_on_with(arpa, spelling):
    pytest.importorskip("flashlight.lib.text")
    closed, opened = (WordModel(arpa, TOKENIZER, open_vocabulary) for open_vocabulary in (False, True))
    tokens = [TOKENIZER.pieces.index(letter) for letter in "▁" + spelling]
    allowed = []
    for model in (closed, opened):
        state = model.start()
        assert all(model.extend(state, token) is None for token in (*range(END_ID + 1), TOKENIZER.pieces.index("A")))
        for token in tokens:
            state = state and model.extend(state, token)
        allowed.append(state is not None)
    assert allowed == [False, spelling != "▁"]
