"""The words that a search may say, spelled in the model's units: a tree of pieces made from an n-gram's vocabulary."""

from bisect import bisect_right
from collections.abc import Mapping
from functools import cached_property
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from audioroto.errors import UserError
from audioroto.text.tokenizer import UNKNOWN_ID, Tokenizer


class _Spellings(NamedTuple):
    """All words in the order of their tokens, so that those that begin alike lie together."""

    tokens: list[list[int]]
    words: list[str]
    log_probabilities: np.ndarray  # (W,)


class LexiconNode:
    """A beginning of words: what may follow, the word that ends here if one does, and the best of all that begin so.

    `log_probability` is that of the most probable word below, natural logarithm. Children are made when they are first
    asked for: a search sees few of them.
    """

    def __init__(self, spellings: _Spellings, depth: int, first: int, end: int) -> None:
        self.log_probability = float(spellings.log_probabilities[first:end].max())
        self.word: str | None = None
        while first < end and len(spellings.tokens[first]) == depth:
            self.word = spellings.words[first]
            first += 1
        self._spellings, self._depth, self._first, self._end = spellings, depth, first, end

    @cached_property
    def children(self) -> dict[int, "LexiconNode"]:
        """The longer beginnings, by the token that is added."""
        found, first, next_token = {}, self._first, itemgetter(self._depth)
        while first < self._end:
            token = next_token(self._spellings.tokens[first])
            end = bisect_right(self._spellings.tokens, token, first, self._end, key=next_token)
            found[token] = LexiconNode(self._spellings, self._depth + 1, first, end)
            first = end
        return found


def make_lexicon(log_probabilities: Mapping[str, float], tokenizer: Tokenizer) -> LexiconNode:
    """The root of the tree of all these words, each spelled as the tokenizer spells it, with its log-probability.

    Words with a character that the tokenizer does not know are left out. Raises UserError when no word is left.
    """
    words = list(log_probabilities)
    tokens = tokenizer.encode_all(words)
    # Note: places, not pairs: tens of thousands of tuples would call the garbage collector, which takes longer.
    known = [place for place, spelling in enumerate(tokens) if UNKNOWN_ID not in spelling]
    if not known:
        raise UserError(
            "the model can spell no word of the language model; make it with the normaliser that the model was trained "
            "with: audioroto lm --normalizer …"
        )
    known.sort(key=tokens.__getitem__)
    spellings = _Spellings(
        [tokens[place] for place in known],
        [words[place] for place in known],
        np.array(list(log_probabilities.values()))[known],
    )
    return LexiconNode(spellings, 0, 0, len(known))
