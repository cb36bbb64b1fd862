import gzip
import math

import pytest

from audioroto.errors import UserError
from audioroto.text.arpa import read_arpa, write_arpa
from audioroto.text.lexicon import LexiconNode, make_lexicon, read_vocabulary
from audioroto.text.ngram import estimate_ngrams
from audioroto.text.tokenizer import train_tokenizer

SENTENCES = ["THE CAT SAT", "THE HAT", "A CAT'S HAT", "THEN"]


def spell_all(node: LexiconNode, tokens: tuple[int, ...] = ()) -> dict[tuple[int, ...], str]:
    found = {tokens: node.word} if node.word else {}
    for token, child in node.children.items():
        found |= spell_all(child, (*tokens, token))
    return found


@pytest.mark.parametrize(("units", "vocab_size"), [("char", 30), ("bpe", 20), ("unigram", 14)])
def test_words_are_spelled_as_the_tokenizer_spells_them(units, vocab_size):
    tokenizer = train_tokenizer(SENTENCES, units, vocab_size)
    words = dict.fromkeys(" ".join(SENTENCES).split(), -1.0)
    root = make_lexicon(words | {"THE": -0.5, "ÜBER": -0.1}, tokenizer)
    assert spell_all(root) == {tuple(tokenizer.encode(word)): word for word in words}
    assert root.log_probability == -0.5, "of the best word below; a word that cannot be spelled is not there"


@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz"])
def test_the_vocabulary_is_that_of_the_n_gram(tmp_path, name):
    write_arpa(tmp_path / name, estimate_ngrams(SENTENCES, 3))
    model = read_arpa(tmp_path / name)
    found = read_vocabulary(tmp_path / name)
    assert set(found) == model.vocabulary - {"<s>", "</s>", "<unk>"}
    assert all(value == pytest.approx(model.log10_probabilities[word] * math.log(10)) for word, value in found.items())


def test_it_reads_no_further_than_the_unigrams(tmp_path):
    text = "\\data\\\nngram 1=1\nngram 2=9\n\n\\1-grams:\n-1.0\tWORD\t-0.1\n\n\\2-grams:\nwhatever\n"
    (tmp_path / "lm.arpa").write_text(text)
    assert set(read_vocabulary(tmp_path / "lm.arpa")) == {"WORD"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("some text\n", "not a whole ARPA file"),
        ("\\1-grams:\n-1.0\tA\n", "not a whole ARPA file"),
        ("\\1-grams:\nminus\tA\n", "line 2: a probability and a word"),
        ("\\1-grams:\n-1.0\n", "line 2: a probability and a word"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    for path in (tmp_path / "lm.arpa", tmp_path / "lm.arpa.gz"):
        path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
        with pytest.raises(UserError, match=message):
            read_vocabulary(path)


def test_an_n_gram_in_another_script_is_refused():
    with pytest.raises(UserError, match="--normalizer"):
        make_lexicon({"the": -1.0}, train_tokenizer(SENTENCES, "char", 30))
