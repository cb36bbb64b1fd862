import pytest

from audioroto.errors import UserError
from audioroto.text.lexicon import LexiconNode, make_lexicon
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


def test_an_n_gram_in_another_script_is_refused():
    with pytest.raises(UserError, match="--normalizer"):
        make_lexicon({"the": -1.0}, train_tokenizer(SENTENCES, "char", 30))
