"""N-gram models as ARPA files: written, read, and asked for probabilities."""

import gzip
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from audioroto.errors import UserError
from audioroto.files import atomic_path
from audioroto.text.ngram import END_WORD, START_WORD, UNKNOWN_WORD, NgramModel
from audioroto.text.sentences import open_text

_MISSING_LOG10_PROBABILITY = -100.0  # an unknown word's, in a model without <unk>; KenLM's value
_NGRAMS_AT_ONCE = 1 << 17


@dataclass(frozen=True)
class ArpaModel:
    """An n-gram model read from an ARPA file; n-grams are strings, their words joined by one space."""

    order: int
    vocabulary: frozenset[str]
    log10_probabilities: dict[str, float]
    log10_backoffs: dict[str, float]

    def score_sentence(self, words: Sequence[str]) -> list[float]:
        """log10 P of each word given those before it and, last, of the sentence's end; unknown words are <unk>."""
        tokens = _enclose(words, self.vocabulary)
        return [self._score_last(tokens[max(0, end - self.order) : end]) for end in range(2, len(tokens) + 1)]

    def _score_last(self, ngram: list[str]) -> float:
        backoff = 0.0
        for start in range(len(ngram)):
            probability = self.log10_probabilities.get(" ".join(ngram[start:]))
            if probability is not None:
                return backoff + probability
            backoff += self.log10_backoffs.get(" ".join(ngram[start:-1]), 0.0)
        return backoff + _MISSING_LOG10_PROBABILITY


@dataclass(frozen=True)
class Perplexity:
    """How well a model foresees text, by its words and its sentences' ends; log10_known leaves unknown words out."""

    num_words: int
    num_sentences: int
    num_unknown: int
    log10_probability: float
    log10_known: float

    @property
    def with_unknown(self) -> float:
        """The perplexity over all words and ends of sentences, unknown words as <unk>."""
        return 10 ** (-self.log10_probability / (self.num_words + self.num_sentences))

    @property
    def without_unknown(self) -> float:
        """The perplexity over the words that the model knows and ends of sentences."""
        return 10 ** (-self.log10_known / (self.num_words + self.num_sentences - self.num_unknown))


def write_arpa(path: str | os.PathLike[str], model: NgramModel) -> None:
    """Write a model as an ARPA file, compressed if its name ends in .gz; the same model gives the same bytes."""
    with atomic_path(path) as temporary, open(temporary, "wb") as raw:
        if os.fspath(path).endswith(".gz"):
            # Without a name and a time in its header the file depends on the model alone.
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0) as packed:
                packed.writelines(_iter_blocks(model))
        else:
            raw.writelines(_iter_blocks(model))


def read_arpa(path: str | os.PathLike[str], sentences: Sequence[Sequence[str]] | None = None) -> ArpaModel:
    """Read an ARPA file, plain, .gz or .xz; with `sentences` (lists of words) only the n-grams that scoring them needs.

    Raises UserError for a file that is not ARPA or that ends before its last n-gram.
    """
    probabilities: dict[str, float] = {}
    backoffs: dict[str, float] = {}
    vocabulary: frozenset[str] = frozenset()
    needed: set[str] | None = None
    order = 0
    for number, n, fields in _iter_ngrams(path):
        if n > order:
            order = n
            if n == 2:
                vocabulary = frozenset(probabilities)
            if n > 1 and sentences is not None:
                needed = {ngram for words in sentences for ngram in _iter_windows(_enclose(words, vocabulary), n)}
        if needed is not None and fields[1] not in needed:
            continue
        try:
            probabilities[fields[1]] = float(fields[0])
            if len(fields) > 2:
                backoffs[fields[1]] = float(fields[2])
        except ValueError:
            raise _not_arpa(path, number, "a number was expected") from None
    return ArpaModel(order, vocabulary or frozenset(probabilities), probabilities, backoffs)


def read_vocabulary(path: str | os.PathLike[str]) -> dict[str, float]:
    """The words of an ARPA file (plain, .gz or .xz) and their unigram log-probabilities (natural logarithm).

    Reads no further than its unigrams; the marks of a sentence's start and end and of the unknown word are left out.
    Raises UserError for a file that is not ARPA.
    """
    words: dict[str, float] = {}
    for number, n, fields in _iter_ngrams(path):
        if n > 1:
            break
        try:
            words[fields[1]] = float(fields[0]) * math.log(10)
        except ValueError:
            raise _not_arpa(path, number, "a number was expected") from None
    return {word: value for word, value in words.items() if word not in (START_WORD, END_WORD, UNKNOWN_WORD)}


def compute_perplexity(path: str | os.PathLike[str], sentences: Sequence[str]) -> Perplexity:
    """The perplexity of the model in an ARPA file on sentences, normalised as the text that it was estimated from.

    Raises UserError when there are no sentences, and as `read_arpa` does.
    """
    if not sentences:
        raise UserError("there is no text to compute a perplexity of.")
    split = [sentence.split() for sentence in sentences]
    model = read_arpa(path, split)
    scores = np.array([score for words in split for score in model.score_sentence(words)])
    known = np.array([word in model.vocabulary for words in split for word in [*words, END_WORD]])
    return Perplexity(
        num_words=len(scores) - len(split),
        num_sentences=len(split),
        num_unknown=int(np.count_nonzero(~known)),
        log10_probability=float(scores.sum()),
        log10_known=float(scores[known].sum()),
    )


def _iter_blocks(model: NgramModel) -> Iterator[bytes]:
    sizes = [f"ngram {n}={len(table.word)}" for n, table in enumerate(model.tables, 1)]
    yield "\n".join(["\\data\\", *sizes, ""]).encode()
    words = np.array(model.words, dtype=object)
    for n, table in enumerate(model.tables, 1):
        yield f"\n\\{n}-grams:\n".encode()
        # The highest order is nobody's context.
        line = "%.7g\t" + " ".join(["%s"] * n) + ("\t%.7g\n" if n < len(model.tables) else "%.0s\n")
        for start in range(0, len(table.word), _NGRAMS_AT_ONCE):
            part = slice(start, start + _NGRAMS_AT_ONCE)
            rows, columns = np.arange(len(table.word))[part], []
            for lower in reversed(model.tables[:n]):
                columns.append(words[lower.word[rows]].tolist())
                rows = lower.prefix[rows]
            weights = table.log10_probability[part].tolist(), table.log10_backoff[part].tolist()
            yield "".join(map(line.__mod__, zip(weights[0], *reversed(columns), weights[1], strict=True))).encode()
    yield b"\n\\end\\\n"


def _iter_ngrams(path: str | os.PathLike[str]) -> Iterator[tuple[int, int, list[str]]]:
    """Each n-gram of an ARPA file: the number of its line, its order, its fields (probability, words, backoff)."""
    sizes: list[int] = []
    n = found = number = 0
    section = ""
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            line = line.rstrip(" \t\r\n")
            if not line:
                continue
            if line[0] == "\\":
                if n and found != sizes[n - 1]:
                    raise _not_arpa(path, number, f"{sizes[n - 1]} {n}-grams were promised and {found} are there")
                expected = _section_after(section, n, len(sizes))
                if line != expected:
                    raise _not_arpa(path, number, f"{expected} was expected")
                if line == "\\end\\":
                    return
                n, found, section = n + bool(section), 0, line
            elif n:
                fields = line.split("\t")
                if not 2 <= len(fields) <= 3:
                    raise _not_arpa(path, number, "probability, words and backoff, with tabs between, were expected")
                found += 1
                yield number, n, fields
            elif section and (size := re.fullmatch(r"ngram (\d+)=(\d+)", line)) and int(size[1]) == len(sizes) + 1:
                sizes.append(int(size[2]))
            else:
                raise _not_arpa(path, number, "\\data\\ and the numbers of n-grams were expected")
    raise _not_arpa(path, number, "it ends before \\end\\")


def _section_after(section: str, n: int, num_orders: int) -> str:
    if not section:
        return "\\data\\"
    if not num_orders:
        return "ngram 1="
    return f"\\{n + 1}-grams:" if n < num_orders else "\\end\\"


def _not_arpa(path: str | os.PathLike[str], number: int, problem: str) -> UserError:
    return UserError(f"{os.fspath(path)} line {number}: not a valid ARPA file: {problem}. Make it with 'audioroto lm'.")


def _enclose(words: Sequence[str], vocabulary: frozenset[str]) -> list[str]:
    return [START_WORD, *(word if word in vocabulary else UNKNOWN_WORD for word in words), END_WORD]


def _iter_windows(tokens: list[str], n: int) -> Iterator[str]:
    return (" ".join(tokens[start : start + n]) for start in range(len(tokens) - n + 1))
