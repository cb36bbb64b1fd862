"""Modified Kneser-Ney n-grams, estimated from sentences in vectorised NumPy."""

import logging
from array import array
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from audioroto.errors import UserError

MAX_ORDER = 5
UNKNOWN_WORD, START_WORD, END_WORD = SPECIAL_WORDS = ("<unk>", "<s>", "</s>")
UNKNOWN, START, END = range(3)

logger = logging.getLogger(__name__)

_FALLBACK_DISCOUNTS = (0.0, 0.5, 1.0, 1.5)


@dataclass(frozen=True)
class NgramTable:
    """The n-grams of one order with their weights; (M,) each, sorted by their words.

    prefix: int32, the row, in the table one order below, of all words but the last (0 for unigrams);
    word: int32, the last word, an index into `NgramModel.words`;
    log10_probability, log10_backoff: float64, as in an ARPA file (<s> has no probability: -99).
    """

    prefix: np.ndarray
    word: np.ndarray
    log10_probability: np.ndarray
    log10_backoff: np.ndarray


@dataclass(frozen=True)
class NgramModel:
    """A backoff language model: the words (<unk>, <s>, </s>, then by code point), and a table for each order."""

    words: list[str]
    tables: list[NgramTable]


@dataclass(frozen=True)
class _Counts:
    """The distinct n-grams of one order in the text; (M,) each, sorted by their words' indices.

    prefix, suffix: rows, one order below, without the last and without the first word (0 for unigrams);
    occurrences: int64, how often it stands in the text; at_start: bool, whether it begins with <s>.
    """

    prefix: np.ndarray
    suffix: np.ndarray
    word: np.ndarray
    occurrences: np.ndarray
    at_start: np.ndarray


def estimate_ngrams(
    sentences: Iterable[str],
    order: int,
    *,
    prune: Sequence[int] = (0,),
    vocab_size: int | None = None,
    vocabulary: Collection[str] | None = None,
) -> NgramModel:
    """Estimate an interpolated modified Kneser-Ney model (Chen & Goodman 1999), as KenLM's lmplz does.

    `sentences` are normalised, their words separated by spaces. `prune[n - 1]` drops the n-grams that stand in the
    text at most so many times; the last value holds for the orders above. `vocab_size` keeps the most frequent words,
    `vocabulary` those it names; n-grams with another word are dropped, and what they weighed goes to the backoff.
    Discounts come from the counts before pruning, so that every context's probabilities still sum to one.
    Raises UserError for an order outside 1 to 5, thresholds that fall, or text without words.
    """
    if not 1 <= order <= MAX_ORDER:
        raise UserError(f"the order of an n-gram model is 1 to {MAX_ORDER}, not {order}.")
    thresholds = _thresholds(prune, order)
    words, tokens = _encode(sentences)
    counts = _count_ngrams(tokens, len(words), order)
    kept = _choose_ngrams(counts, thresholds, _choose_words(words, counts[0].occurrences, vocab_size, vocabulary))
    model = _weigh(words, counts, kept)
    if len(model.tables) < order:
        logger.warning("no %d-grams are left: the model is of order %d.", len(model.tables) + 1, len(model.tables))
    return model


def compute_discounts(adjusted: np.ndarray, order: int) -> np.ndarray:
    """What is taken from a count of 0, 1, 2, and 3 or more, (4,) float64 (Chen & Goodman 1999, equation 26).

    `adjusted`: (M,) int, the adjusted counts of the n-grams of one order. Small or artificial text may lack the counts
    of counts that the formula divides by, or give a discount outside (0, count]: then 0, 0.5, 1 and 1.5 are used, as
    by lmplz --discount_fallback, with a warning.
    """
    _, *numbers = np.bincount(np.minimum(adjusted, 5), minlength=6)[:5].tolist()
    if all(numbers[:3]):
        ratio = numbers[0] / (numbers[0] + 2 * numbers[1])
        steps = [(k, k - (k + 1) * ratio * numbers[k] / numbers[k - 1]) for k in (1, 2, 3)]
        if all(0 < discount <= k for k, discount in steps):
            return np.array([0.0, *(discount for _, discount in steps)])
    logger.warning(
        "%d-grams: the text is too small or too regular to estimate discounts; %s are used.",
        order,
        ", ".join(map(str, _FALLBACK_DISCOUNTS[1:])),
    )
    return np.array(_FALLBACK_DISCOUNTS)


def _thresholds(prune: Sequence[int], order: int) -> list[int]:
    if not 1 <= len(prune) <= order:
        raise UserError(f"pruning takes 1 to {order} thresholds for a model of order {order}, not {len(prune)}.")
    # Falling thresholds would drop the context of an n-gram that stays.
    if min(prune) < 0 or list(prune) != sorted(prune):
        raise UserError(f"pruning thresholds must be 0 or more and must not fall: {' '.join(map(str, prune))}.")
    return [*prune, *[prune[-1]] * (order - len(prune))]


def _encode(sentences: Iterable[str]) -> tuple[list[str], np.ndarray]:
    """The words, sorted, and the text as their indices, (T,) int32, with <s> and </s> around each sentence."""
    index: defaultdict[str, int] = defaultdict()
    index.default_factory = index.__len__
    for word in SPECIAL_WORDS:
        index[word]
    tokens = array("i")
    num_sentences = 0
    for sentence in sentences:
        tokens.append(START)
        tokens.extend(map(index.__getitem__, sentence.split()))
        tokens.append(END)
        num_sentences += 1
    if len(tokens) == 2 * num_sentences:
        raise UserError("the text has no words to estimate a language model from.")
    spoken = list(index)[len(SPECIAL_WORDS) :]
    ordered = sorted(spoken)
    rank = {word: row for row, word in enumerate(ordered, len(SPECIAL_WORDS))}
    new_index = np.array([UNKNOWN, START, END, *(rank[word] for word in spoken)], dtype=np.int32)
    ids = new_index[np.frombuffer(tokens, dtype=np.int32)]  # (T,)
    if np.count_nonzero(ids <= END) != 2 * num_sentences:
        raise UserError(f"the text holds one of the reserved words {' '.join(SPECIAL_WORDS)}: take it out.")
    return [*SPECIAL_WORDS, *ordered], ids


def _count_ngrams(tokens: np.ndarray, num_words: int, order: int) -> list[_Counts]:
    """Count the n-grams of orders 1 to `order`, each from the rows of its prefix and its last word."""
    words = np.arange(num_words, dtype=np.int32)
    nowhere = np.zeros(num_words, dtype=np.int32)
    occurrences = np.bincount(tokens, minlength=num_words)
    occurrences[START] = 0  # it is given, never said
    counts = [_Counts(nowhere, nowhere, words, occurrences, words == START)]
    rows = tokens  # (T,) the row of the n-gram that ends at each token
    ends = np.flatnonzero(tokens != START)  # where the n-grams one order up end: this order's has a word to its left
    while len(counts) < order and ends.size:
        keys = rows[ends - 1].astype(np.int64) * num_words + tokens[ends]
        keys, inverse, occurrences = np.unique(keys, return_inverse=True, return_counts=True)
        prefix, word = (part.astype(np.int32) for part in np.divmod(keys, num_words))
        suffix = np.empty(len(keys), dtype=np.int32)
        suffix[inverse] = rows[ends]
        counts.append(_Counts(prefix, suffix, word, occurrences, counts[-1].at_start[prefix]))
        rows = np.zeros_like(tokens)
        rows[ends] = inverse
        ends = ends[~counts[-1].at_start[inverse]]
    return counts


def _choose_words(
    words: list[str], occurrences: np.ndarray, vocab_size: int | None, vocabulary: Collection[str] | None
) -> np.ndarray:
    """Which words stay, (V,) bool; the special ones always do."""
    chosen = np.ones(len(words), dtype=bool)
    if vocabulary is not None:
        chosen &= np.array([word in vocabulary for word in words])
    if vocab_size is not None:
        spoken = np.where(chosen, occurrences, -1)[len(SPECIAL_WORDS) :]
        # Stable: of words as frequent as each other, the first by code point stay.
        chosen[len(SPECIAL_WORDS) + np.argsort(-spoken, kind="stable")[vocab_size:]] = False
    chosen[: len(SPECIAL_WORDS)] = True
    if not chosen[len(SPECIAL_WORDS) :].any():
        raise UserError("no word of the text is in the vocabulary asked for.")
    return chosen


def _choose_ngrams(counts: list[_Counts], thresholds: list[int], chosen_words: np.ndarray) -> list[np.ndarray]:
    """Which n-grams stay, (M,) bool for each order; the prefix and suffix of one that stays do too."""
    special = np.arange(len(chosen_words)) < len(SPECIAL_WORDS)
    kept = [special | (chosen_words & (counts[0].occurrences > thresholds[0]))]
    for below, threshold in zip(counts[1:], thresholds[1:], strict=False):
        kept.append(kept[-1][below.prefix] & kept[0][below.word] & (below.occurrences > threshold))
    return kept


def _weigh(words: list[str], counts: list[_Counts], kept: list[np.ndarray]) -> NgramModel:
    """Turn counts into interpolated probabilities and backoffs, from the lowest order up; leave out what is pruned."""
    # Below unigrams stands the empty n-gram: every word that stays is as likely as another, and <s> is never said.
    probability = np.array([1 / (np.count_nonzero(kept[0]) - 1)])
    probabilities, backoffs = [], []  # backoffs[n] belongs to the contexts of length n
    for n, (ngrams, stays) in enumerate(zip(counts, kept, strict=True), 1):
        adjusted = _adjust_counts(ngrams, counts[n] if n < len(counts) else None)
        discount = compute_discounts(adjusted, n)[np.minimum(adjusted, 3)]
        total = np.bincount(ngrams.prefix, adjusted, len(probability))
        freed = np.bincount(ngrams.prefix, np.where(stays, discount, adjusted), len(probability))
        backoff = np.divide(freed, total, out=np.ones_like(freed), where=total > 0)
        backoffs.append(backoff)
        probability = (adjusted - discount) / total[ngrams.prefix] + backoff[ngrams.prefix] * probability[ngrams.suffix]
        probabilities.append(probability)
    probabilities[0][START] = 1e-99
    backoffs.append(np.ones_like(probability))

    new_words = np.cumsum(kept[0], dtype=np.int32) - 1
    new_rows = np.zeros(1, dtype=np.int32)  # where the n-grams one order below went
    tables = []
    for ngrams, stays, probability, backoff in zip(counts, kept, probabilities, backoffs[1:], strict=True):
        prefix, word = new_rows[ngrams.prefix[stays]], new_words[ngrams.word[stays]]
        tables.append(NgramTable(prefix, word, np.log10(probability[stays]), np.log10(backoff[stays])))
        new_rows = np.cumsum(stays, dtype=np.int32) - 1
    kept_words = [word for word, stays in zip(words, kept[0], strict=True) if stays]
    return NgramModel(kept_words, [table for table in tables if table.word.size])


def _adjust_counts(ngrams: _Counts, above: _Counts | None) -> np.ndarray:
    """Below the highest order, how many different words stand before an n-gram; before <s> there can be none."""
    if above is None:
        return ngrams.occurrences
    return np.where(ngrams.at_start, ngrams.occurrences, np.bincount(above.suffix, minlength=len(ngrams.word)))
