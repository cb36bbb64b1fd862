"""What a beam search asks about words: may this piece follow, and how probable are the words so far?

The n-gram is read and asked by KenLM, which the wheel of flashlight-text carries.
"""

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from audioroto.errors import UserError
from audioroto.text.arpa import read_vocabulary
from audioroto.text.lexicon import LexiconNode, make_lexicon
from audioroto.text.ngram import UNKNOWN_WORD
from audioroto.text.tokenizer import END_ID, WORD_START, Tokenizer

_UNKNOWN_INDEX = 0


@dataclass(slots=True, eq=False)
class WordState:
    """Where a hypothesis stands: its finished words, and the word that it is in, if any.

    `log_probability` (natural logarithm) is that of the finished words and, looking ahead, of the most probable word
    that begins like the one it is in. `num_words` counts that one.
    """

    ngram: Any  # KenLM's state after the finished words
    finished: float  # log-probability of the finished words
    num_words: int
    spelling: str  # of the word it is in; empty before its first letter
    node: LexiconNode | None  # the root before the first word; None when the lexicon has no such beginning
    log_probability: float
    ended: tuple[Any, float] | None = None  # `ngram` and `finished` once the word it is in ends here; kept when asked


class WordModel:
    """A word n-gram in an ARPA file (plain or .gz), asked about the pieces of a tokenizer.

    Only words of the n-gram can be said, unless `open_vocabulary`: then any word can, unknown ones being as probable as
    the n-gram's <unk>. Raises UserError for a file that is not ARPA, and when flashlight-text is missing.
    """

    def __init__(self, path: str | os.PathLike[str], tokenizer: Tokenizer, open_vocabulary: bool = False) -> None:
        self.path = path
        vocabulary = read_vocabulary(path)
        self._pieces = tokenizer.pieces
        self._open = open_vocabulary
        self._root = make_lexicon(vocabulary, tokenizer)
        self._words = {word: index for index, word in enumerate([UNKNOWN_WORD, *vocabulary], _UNKNOWN_INDEX)}
        self._ngrams = _load_ngrams(path, list(self._words))
        self._unknown = self._score(self._ngrams.start(True), _UNKNOWN_INDEX)[1]

    def start(self) -> WordState:
        """The state before the first word."""
        return WordState(self._ngrams.start(False), 0.0, 0, "", self._root, 0.0)

    def extend(self, state: WordState, token: int) -> WordState | None:
        """The state after one more token, or None when no word that may be said begins, goes on or ends so."""
        piece = self._pieces[token]
        if token <= END_ID:
            return None
        if piece.startswith(WORD_START):
            ended = self._end_word(state)
            return ended and self._enter(*ended, state.num_words, self._root.children.get(token), piece[1:])
        if state.node is self._root:
            return None
        node, num_words = state.node and state.node.children.get(token), state.num_words - bool(state.spelling)
        return self._enter(state.ngram, state.finished, num_words, node, state.spelling + piece)

    def finish(self, state: WordState) -> float | None:
        """log P of the words and of the sentence's end after them; None where the last word cannot end.

        Saying nothing costs nothing: an n-gram of sentences holds that for next to impossible, and silence would speak.
        """
        if not state.num_words:
            return 0.0
        ended = (state.ngram, state.finished) if not state.spelling else self._end_word(state)
        return None if ended is None else ended[1] + self._ngrams.finish(ended[0])[1] * math.log(10)

    def _enter(
        self, ngram: Any, finished: float, num_finished: int, node: LexiconNode | None, spelling: str
    ) -> WordState | None:
        """The state within a word of which `spelling` is known, after others."""
        if node is None and not self._open:
            return None
        if not spelling:  # the mark of a word's start alone, which may also be the end of the text
            return WordState(ngram, finished, num_finished, "", node, finished)
        ahead = self._unknown if node is None else node.log_probability
        return WordState(ngram, finished, num_finished + 1, spelling, node, finished + ahead)

    def _end_word(self, state: WordState) -> tuple[Any, float] | None:
        """KenLM's state and log P once the word that it is in has ended; None where none can end."""
        if state.node is self._root:
            return state.ngram, state.finished
        word = state.node.word if state.node else None
        if word is None and not (self._open and state.spelling):
            return None
        if state.ended is None:
            ngram, log_probability = self._score(state.ngram, self._words.get(word or state.spelling, _UNKNOWN_INDEX))
            state.ended = ngram, state.finished + log_probability
        return state.ended

    def _score(self, ngram: Any, word: int) -> tuple[Any, float]:
        after, log10_probability = self._ngrams.score(ngram, word)
        return after, log10_probability * math.log(10)


def has_ngrams() -> bool:
    """Whether flashlight-text is installed, without which there is no asking an n-gram."""
    try:
        return find_spec("flashlight.lib.text") is not None
    except ModuleNotFoundError:
        return False


def _load_ngrams(path: str | os.PathLike[str], words: list[str]) -> Any:
    try:
        from flashlight.lib.text.decoder.kenlm import KenLM
        from flashlight.lib.text.dictionary import Dictionary
    except ImportError:
        raise UserError(
            "a search with an n-gram needs flashlight-text; install it with: pip install flashlight-text "
            "(Linux, Python 3.11 or 3.12)"
        ) from None
    try:
        with _quiet_stderr():
            return KenLM(os.fspath(path), Dictionary(words))
    except RuntimeError as error:
        raise UserError(f"{os.fspath(path)} is not a valid ARPA file: {error}. Make it with 'audioroto lm'.") from None


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keep KenLM's progress bar off the file descriptor of standard error; Python cannot ask it to be quiet."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
