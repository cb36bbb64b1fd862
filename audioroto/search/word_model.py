"""What a beam search asks about words: may this piece follow, and how probable are the words so far?

The n-gram is read and asked by KenLM, which the wheel of flashlight-text carries.
"""

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from audioroto.errors import UserError
from audioroto.text.lexicon import LexiconNode, make_lexicon, read_vocabulary
from audioroto.text.ngram import UNKNOWN_WORD
from audioroto.text.tokenizer import END_ID, WORD_START, Tokenizer

_UNKNOWN_INDEX = 0


@dataclass(slots=True, eq=False)
class WordState:
    """Where a hypothesis stands: its finished words, and the word that it is in.

    `log_probability` (natural logarithm) is that of the finished words times, looking ahead, the greatest of all words
    that begin like the one it is in. `num_words` counts that one.
    """

    ngram: Any  # KenLM's state after the finished words
    finished: float  # log-probability of the finished words
    num_words: int
    spelling: str  # of the word it is in
    node: LexiconNode | None  # of the word it is in; None when the lexicon has no such beginning
    log_probability: float
    ended: tuple[Any, float] | None = None  # `ngram` and `finished` once the word it is in ends here; kept when asked


class WordModel:
    """A word n-gram in an ARPA file (plain or .gz), asked about the pieces of a tokenizer.

    Only words of the n-gram can be said, unless `open_vocabulary`: then any word can, unknown ones being as probable as
    the n-gram's <unk>. Raises UserError for a file that is not ARPA, and when flashlight-text is missing.
    """

    def __init__(self, path: str | os.PathLike[str], tokenizer: Tokenizer, open_vocabulary: bool = False) -> None:
        vocabulary = read_vocabulary(path)
        self.name = os.path.basename(path)
        self._pieces = tokenizer.pieces
        self._open = open_vocabulary
        self._root = make_lexicon(vocabulary, tokenizer)
        self._words = {word: index for index, word in enumerate([UNKNOWN_WORD, *vocabulary], _UNKNOWN_INDEX)}
        self._ngrams = _load_ngrams(path, list(self._words))
        self._unknown = self._score(self._ngrams.start(True), _UNKNOWN_INDEX)[1]

    def start(self) -> WordState:
        """The state before the first word."""
        return WordState(self._ngrams.start(False), 0.0, 0, "", None, 0.0)

    def extend(self, state: WordState, token: int) -> WordState | None:
        """The state after one more token, or None when no word that may be said begins, goes on or ends so."""
        if token <= END_ID:
            return None
        piece = self._pieces[token]
        if piece.startswith(WORD_START):
            after = self._end_word(state) if state.num_words else (state.ngram, 0.0)
            if after is None:
                return None
            node, spelling, num_words = self._root.children.get(token), piece[1:], state.num_words + 1
        else:
            after = state.ngram, state.finished
            node, spelling, num_words = (
                state.node and state.node.children.get(token),
                state.spelling + piece,
                state.num_words,
            )
            if not num_words:
                return None
        if node is None and not self._open:
            return None
        ahead = self._unknown if node is None else node.log_probability
        return WordState(after[0], after[1], num_words, spelling, node, after[1] + ahead)

    def finish(self, state: WordState) -> float | None:
        """log P of the words and of the sentence's end after them; None where the last word cannot end."""
        after = self._end_word(state) if state.num_words else (state.ngram, 0.0)
        if after is None:
            return None
        return after[1] + self._ngrams.finish(after[0])[1] * math.log(10)

    def _end_word(self, state: WordState) -> tuple[Any, float] | None:
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
