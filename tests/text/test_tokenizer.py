import functools
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.errors import UserError
from audioroto.text.normalize import normalize
from audioroto.text.tokenizer import Tokenizer, train_tokenizer

# Every letter and the apostrophe occur, inside words and at their beginning.
TEXTS = [
    "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG",
    "IT'S THE DOG'S DINNER AND THE FOX ISN'T THERE",
    "TURN THE LIGHT ON IN THE KITCHEN AND THE LIVING ROOM",
    "TWENTY THREE THOUSAND FOUR HUNDRED AND SEVENTY SIX",
]
UNITS = ("bpe", "unigram", "char")


@functools.cache
def tokenizer(units: str) -> Tokenizer:
    return train_tokenizer(TEXTS, units, 48)


def sentences() -> st.SearchStrategy[str]:
    return st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ'   ", max_size=60).map(lambda text: normalize(text, "librispeech-v1"))


@settings(deadline=None, max_examples=500)
@given(sentences(), st.sampled_from(UNITS))
def test_decoding_gives_back_what_was_encoded(text: str, units: str) -> None:
    tokens = tokenizer(units).encode(text)
    assert tokenizer(units).decode(tokens) == text
    assert all(2 < token < tokenizer(units).vocab_size for token in tokens)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.integers(0, 27)), st.sampled_from(UNITS))
def test_any_tokens_decode_to_single_spaced_text(tokens: list[int], units: str) -> None:
    text = tokenizer(units).decode(tokens)
    assert text == " ".join(text.split())
    assert "<" not in text
    assert text == tokenizer(units).decode([token for token in tokens if token > 2])


@pytest.mark.parametrize("units", UNITS)
def test_special_pieces_come_first(units: str) -> None:
    trained = tokenizer(units)
    assert trained.pieces[:3] == ["<blank>", "<unk>", "<eos>"]
    assert trained.vocab_size == len(trained.pieces) == len(set(trained.pieces)) == (30 + 1 if units == "char" else 48)
    assert trained.decode([]) == trained.decode([0, 0, 1, 2]) == ""
    assert trained.encode("") == []
    assert trained.encode("É")[-1] == 1


@pytest.mark.parametrize("units", UNITS)
def test_the_same_texts_give_the_same_bytes(units: str) -> None:
    assert train_tokenizer(TEXTS[::-1], units, 48).model == tokenizer(units).model
    assert train_tokenizer([f" {text}\n" for text in TEXTS], units, 48).model == tokenizer(units).model


@pytest.mark.parametrize("units", UNITS)
def test_every_word_begins_with_the_word_start(units: str) -> None:
    trained = tokenizer(units)
    pieces = [trained.pieces[token] for token in trained.encode("THE FOX THE FOX")]
    assert "".join(pieces) == "▁THE▁FOX▁THE▁FOX"
    assert pieces[: len(pieces) // 2] == pieces[len(pieces) // 2 :]


def test_long_transcripts_are_not_left_out() -> None:
    assert "Z" in train_tokenizer(["A " * 5000 + "Z"], "char", 10).pieces


def test_save_and_load_and_pickle_keep_the_model(tmp_path: Path) -> None:
    tokenizer("bpe").save(tmp_path / "bpe.model")
    for copy in (Tokenizer.load(tmp_path / "bpe.model"), pickle.loads(pickle.dumps(tokenizer("bpe")))):
        assert copy.model == tokenizer("bpe").model
        assert copy.encode("THE FOX") == tokenizer("bpe").encode("THE FOX")


@pytest.mark.parametrize("units", ["bpe", "unigram"])
def test_too_large_a_vocabulary_is_refused_with_the_largest_possible(units: str) -> None:
    with pytest.raises(UserError, match="vocab_size 5000 is too large for 4 transcripts") as refused:
        train_tokenizer(TEXTS, units, 5000)
    largest = int(str(refused.value).split()[-3])
    assert train_tokenizer(TEXTS, units, largest).vocab_size == largest
    with pytest.raises(UserError, match=f"set it to {largest} or less"):
        train_tokenizer(TEXTS, units, largest + 1)


@pytest.mark.parametrize("units", UNITS)
def test_too_small_a_vocabulary_is_refused_with_the_smallest_possible(units: str) -> None:
    with pytest.raises(UserError, match=r"vocab_size 30 is too small.*set it to 31 or more"):
        train_tokenizer(TEXTS, units, 30)
    assert train_tokenizer(TEXTS, units, 31).vocab_size == 31


@pytest.mark.parametrize("texts", [[], ["", "  "]])
def test_no_text_is_refused(texts: list[str]) -> None:
    with pytest.raises(UserError, match="no text to train the tokenizer on"):
        train_tokenizer(texts, "bpe", 48)


def test_what_is_not_a_tokenizer_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "noise.model").write_bytes(b"\x93\x01noise")
    with pytest.raises(UserError, match=r"noise\.model: the tokenizer is not a sentencepiece model"):
        Tokenizer.load(tmp_path / "noise.model")


def test_training_is_silent_and_importing_is_cheap() -> None:
    code = (
        "import sys; from audioroto.text.tokenizer import train_tokenizer; assert 'sentencepiece' not in sys.modules;"
        "train_tokenizer(['A B C'], 'bpe', 8)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
