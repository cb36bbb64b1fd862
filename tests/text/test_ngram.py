import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.errors import UserError
from audioroto.text.ngram import MAX_ORDER, NgramModel, compute_discounts, estimate_ngrams

texts = st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=12).map(" ".join), min_size=1, max_size=40)
orders = st.integers(1, MAX_ORDER)
thresholds = st.lists(st.integers(0, 2), min_size=1, max_size=2).map(sorted)


def as_dict(model: NgramModel) -> dict[tuple[str, ...], tuple[float, float]]:
    """Every n-gram of a model with its probability and backoff."""
    below = [()]
    found = {}
    for table in model.tables:
        below = [(*below[prefix], model.words[word]) for prefix, word in zip(table.prefix, table.word, strict=True)]
        weights = zip(10**table.log10_probability, 10**table.log10_backoff, strict=True)
        found.update(zip(below, weights, strict=True))
    return found


class Reference:
    """Interpolated modified Kneser-Ney from its definition: dictionaries, loops, and recursion over the context."""

    def __init__(self, sentences, order, prune=(0,), vocabulary=None):
        prune = [*prune, *[prune[-1]] * order]
        self.raw = defaultdict(int)
        for sentence in sentences:
            tokens = ["<s>", *sentence.split(), "</s>"]
            for n in range(1, order + 1):
                for start in range(len(tokens) - n + 1):
                    self.raw[tuple(tokens[start : start + n])] += 1
        self.order = max(map(len, self.raw))
        del self.raw[("<s>",)]
        before = defaultdict(set)
        for ngram in self.raw:
            before[ngram[1:]].add(ngram[0])
        self.count = {
            ngram: number if len(ngram) == self.order or ngram[0] == "<s>" else len(before[ngram])
            for ngram, number in self.raw.items()
        }
        self.after = defaultdict(set)
        for ngram in self.raw:
            self.after[ngram[:-1]].add(ngram[-1])
        self.kept = {
            ngram
            for ngram, number in self.raw.items()
            if ngram == ("</s>",)
            or (
                number > prune[len(ngram) - 1]
                and all(vocabulary is None or word in {"<s>", "</s>", *vocabulary} for word in ngram)
            )
        }
        self.words = [*sorted(ngram[0] for ngram in self.kept if len(ngram) == 1), "<unk>"]
        self.discounts = {n: self.discounts_of(n) for n in range(1, order + 1)}

    def discounts_of(self, n):
        have = [sum(len(ngram) == n and number == k for ngram, number in self.count.items()) for k in range(5)]
        if not (have[1] and have[2] and have[3]):
            return 0.5, 1.0, 1.5
        y = have[1] / (have[1] + 2 * have[2])
        discounts = tuple(k - (k + 1) * y * have[k + 1] / have[k] for k in (1, 2, 3))
        return discounts if all(0 < d <= k for k, d in enumerate(discounts, 1)) else (0.5, 1.0, 1.5)

    def discount(self, ngram):
        return self.discounts[len(ngram)][min(self.count[ngram], 3) - 1]

    def backoff(self, context):
        ngrams = [(*context, word) for word in self.after[context]]
        if not ngrams:
            return 1.0
        freed = sum(self.discount(ngram) if ngram in self.kept else self.count[ngram] for ngram in ngrams)
        return freed / sum(self.count[ngram] for ngram in ngrams)

    def probability(self, context, word):
        lower = self.probability(context[1:], word) if context else 1 / len(self.words)
        ngram = (*context, word)
        if ngram not in self.kept:
            return self.backoff(context) * lower
        total = sum(self.count[(*context, other)] for other in self.after[context])
        return (self.count[ngram] - self.discount(ngram)) / total + self.backoff(context) * lower


def assert_equal_to_reference(model, reference):
    estimated = as_dict(model)
    assert set(estimated) == reference.kept | {("<unk>",), ("<s>",)}
    for ngram, (probability, backoff) in estimated.items():
        if ngram != ("<s>",):
            assert probability == pytest.approx(reference.probability(ngram[:-1], ngram[-1]), rel=1e-9)
        if len(ngram) < reference.order:
            assert backoff == pytest.approx(reference.backoff(ngram), rel=1e-9)


def assert_normalised(model):
    """In every context that the model knows, the probabilities of all words and </s> sum to one, with backoff."""
    ngrams = as_dict(model)

    def probability(context, word):
        if (*context, word) in ngrams:
            return ngrams[(*context, word)][0]
        return ngrams.get(context, (0.0, 1.0))[1] * probability(context[1:], word)

    said = [word for word in model.words if word != "<s>"]
    contexts = [(), *(ngram for ngram in ngrams if len(ngram) < len(model.tables) and ngram[-1] != "</s>")]
    for context in contexts:
        assert math.fsum(probability(context, word) for word in said) == pytest.approx(1, abs=1e-9)


@settings(deadline=None)
@given(texts, orders, thresholds)
def test_equals_a_slow_estimate_from_the_definition(sentences, order, prune):
    prune = prune[:order]
    assert_equal_to_reference(estimate_ngrams(sentences, order, prune=prune), Reference(sentences, order, prune))


@settings(deadline=None)
@given(texts, orders, st.sets(st.sampled_from("abcd"), min_size=1))
def test_equals_a_slow_estimate_with_a_vocabulary(sentences, order, vocabulary):
    vocabulary |= {sentences[0][0]}
    model = estimate_ngrams(sentences, order, vocabulary=vocabulary)
    assert_equal_to_reference(model, Reference(sentences, order, vocabulary=vocabulary))


@pytest.mark.parametrize("order", range(1, MAX_ORDER + 1))
def test_equals_a_slow_estimate_where_discounts_come_from_the_text(order, natural_text, caplog):
    model = estimate_ngrams(natural_text, order)
    assert not caplog.records  # no order fell back
    assert_equal_to_reference(model, Reference(natural_text, order))


@settings(deadline=None, max_examples=50)
@given(texts, orders, thresholds, st.integers(1, 9))
def test_probabilities_sum_to_one_in_every_context(sentences, order, prune, vocab_size):
    assert_normalised(estimate_ngrams(sentences, order, prune=prune[:order], vocab_size=vocab_size))


def test_probabilities_sum_to_one_where_discounts_come_from_the_text(natural_text):
    assert_normalised(estimate_ngrams(natural_text, 4, prune=[0, 0, 1, 2]))


@settings(deadline=None, max_examples=50)
@given(texts, orders, thresholds)
def test_prefix_and_suffix_of_every_ngram_are_there(sentences, order, prune):
    ngrams = as_dict(estimate_ngrams(sentences, order, prune=prune[:order], vocab_size=4))
    for ngram in ngrams:
        assert len(ngram) == 1 or {ngram[:-1], ngram[1:]} <= set(ngrams)


def test_ngrams_are_sorted_by_their_words(natural_text):
    model = estimate_ngrams(natural_text, 3)
    assert model.words[:3] == ["<unk>", "<s>", "</s>"]
    assert model.words[3:] == sorted(model.words[3:])
    for table in model.tables:
        keys = table.prefix.astype(np.int64) * len(model.words) + table.word
        assert (np.diff(keys) > 0).all()


def test_the_most_frequent_words_stay_and_ties_go_to_the_first():
    model = estimate_ngrams(["c c b b a a a d"], 2, vocab_size=2)
    assert model.words == ["<unk>", "<s>", "</s>", "a", "b"]


def test_discounts_follow_chen_and_goodman():
    adjusted = np.repeat([0, 1, 2, 3, 4, 5], [7, 100, 40, 20, 10, 30])
    y = 100 / 180
    assert compute_discounts(adjusted, 1).tolist() == pytest.approx(
        [0, 1 - 2 * y * 40 / 100, 2 - 3 * y * 20 / 40, 3 - 4 * y * 10 / 20]
    )


@pytest.mark.parametrize(
    "counts_of_counts",
    [[0, 5, 3, 2], [5, 0, 3, 2], [5, 3, 0, 2], [10, 1, 9, 1], [1, 1, 1, 50]],
    ids=["no ones", "no twos", "no threes", "second below zero", "third below zero"],
)
def test_discounts_fall_back_with_a_warning(counts_of_counts, caplog):
    discounts = compute_discounts(np.repeat([1, 2, 3, 4], counts_of_counts), 2)
    assert discounts.tolist() == [0, 0.5, 1, 1.5]
    assert "2-grams" in caplog.text


def test_a_text_too_short_for_its_order_gives_a_lower_order(caplog):
    model = estimate_ngrams(["a", "b"], 5)
    assert len(model.tables) == 3
    assert "order 3" in caplog.text
    assert all(np.isfinite(table.log10_probability).all() for table in model.tables)


@pytest.mark.parametrize("sentences", [[], [""], ["  ", ""]])
def test_text_without_words_is_refused(sentences):
    with pytest.raises(UserError, match="no words"):
        estimate_ngrams(sentences, 3)


@pytest.mark.parametrize("word", ["<s>", "</s>", "<unk>"])
def test_text_with_a_reserved_word_is_refused(word):
    with pytest.raises(UserError, match="reserved"):
        estimate_ngrams([f"a {word} b"], 2)


@pytest.mark.parametrize("order", [-1, 0, 6])
def test_an_order_outside_one_to_five_is_refused(order):
    with pytest.raises(UserError, match="order"):
        estimate_ngrams(["a b c"], order)


@pytest.mark.parametrize("prune", [[1, 0], [-1], [0, 0, 0, 0], []])
def test_thresholds_that_fall_or_do_not_fit_are_refused(prune):
    with pytest.raises(UserError, match="threshold"):
        estimate_ngrams(["a b c"], 3, prune=prune)


def test_a_vocabulary_that_shares_no_word_with_the_text_is_refused():
    with pytest.raises(UserError, match="vocabulary"):
        estimate_ngrams(["a b c"], 2, vocabulary={"x"})


@pytest.fixture(scope="module")
def natural_text():
    """Sentences of a random chain of words with Zipf's frequencies: enough of them for every discount."""
    rng = np.random.default_rng(5)
    weights = 1 / np.arange(1, 41)
    follows = rng.dirichlet(0.3 * weights, size=40)
    sentences = []
    for _ in range(150):
        word, said = rng.choice(40, p=weights / weights.sum()), []
        for _ in range(rng.integers(3, 12)):
            said.append(f"w{word}")
            word = rng.choice(40, p=follows[word])
        sentences.append(" ".join(said))
    return sentences
