"""The words that a search may say, spelled in the model's units: a tree of pieces made from an n-gram's vocabulary."""

import gc
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from audioroto.errors import UserError
from audioroto.text.ngram import END_WORD, START_WORD, UNKNOWN_WORD
from audioroto.text.sentences import open_text
from audioroto.text.tokenizer import UNKNOWN_ID, Tokenizer


@dataclass(slots=True, eq=False)
class LexiconNode:
    """A beginning of words: what may follow, the word that ends here if one does, and the best of all that begin so.

    `log_probability` is that of the most probable word below, natural logarithm.
    """

    children: dict[int, "LexiconNode"] = field(default_factory=dict)
    word: str | None = None
    log_probability: float = -math.inf


def make_lexicon(log_probabilities: Mapping[str, float], tokenizer: Tokenizer) -> LexiconNode:
    """The root of the tree of all these words, each spelled as the tokenizer spells it, with its log-probability.

    Words with a character that the tokenizer does not know are left out. Raises UserError when no word is left.
    """
    root = LexiconNode()
    spellings = tokenizer.encode_all(list(log_probabilities))
    with _without_garbage_collection():
        for (word, log_probability), tokens in zip(log_probabilities.items(), spellings, strict=True):
            if UNKNOWN_ID not in tokens:
                _add_word(root, word, tokens, log_probability)
    if not root.children:
        raise UserError(
            "the model can spell no word of the language model; make it with the normaliser that the model was trained "
            "with: audioroto lm --normalizer …"
        )
    return root


def read_vocabulary(path: str | os.PathLike[str]) -> dict[str, float]:
    """The words of an ARPA file (plain, .gz or .xz) and their unigram log-probabilities (natural logarithm).

    Reads no further than its unigrams; the marks of a sentence's start and end and of the unknown word are left out.
    Raises UserError for a file that is not ARPA.
    """
    words: dict[str, float] = {}
    inside = False
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if inside and line.startswith("\\"):
                return {
                    word: value for word, value in words.items() if word not in (START_WORD, END_WORD, UNKNOWN_WORD)
                }
            if inside and line:
                try:
                    log10_probability, word = line.split()[:2]
                    words[word] = float(log10_probability) * math.log(10)
                except ValueError:
                    raise UserError(
                        f"{os.fspath(path)} line {number}: a probability and a word were expected. "
                        "Make the file with 'audioroto lm'."
                    ) from None
            inside = inside or line == "\\1-grams:"
    raise UserError(
        f"{os.fspath(path)} is not a whole ARPA file: its unigrams do not end. Make it with 'audioroto lm'."
    )


def _add_word(root: LexiconNode, word: str, tokens: Sequence[int], log_probability: float) -> None:
    node = root
    node.log_probability = max(node.log_probability, log_probability)
    for token in tokens:
        child = node.children.get(token)
        if child is None:
            child = node.children[token] = LexiconNode()
        node = child
        node.log_probability = max(node.log_probability, log_probability)
    node.word = word


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Keeps Python from searching a growing tree for garbage again and again: four fifths of the time it takes."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
