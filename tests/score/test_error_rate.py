import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.errors import UserError
from audioroto.score.error_rate import (
    ErrorRate,
    Unit,
    align_texts,
    align_utterances,
    score_utterances,
    sum_by_speaker,
    sum_rates,
)


def plain_distance(reference: str | list[str], hypothesis: str | list[str]) -> int:
    """Levenshtein's distance, cell by cell."""
    row = list(range(len(hypothesis) + 1))
    for i, expected in enumerate(reference, start=1):
        before, row[0] = row[0], i
        for j, heard in enumerate(hypothesis, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (expected != heard))
    return row[-1]


def count_errors(reference: str, hypothesis: str, unit: Unit = "word") -> ErrorRate:
    return align_texts([reference], [hypothesis], unit)[0].error_rate


def random_pairs(num_pairs: int) -> list[tuple[str, str]]:
    """Sentences of 0 to 12 words out of 2 to 6 different ones: many repeats, so many equally cheap alignments."""
    draw = random.Random(7)
    words = ["A", "B", "THE", "CAT", "IT'S", "ÉTÉ"]
    return [
        tuple(" ".join(draw.choices(words[: draw.randint(2, 6)], k=draw.choice([0, 1, 2, 5, 12]))) for _ in range(2))
        for _ in range(num_pairs)
    ]


@pytest.mark.parametrize(("unit", "split"), [("word", str.split), ("character", list)])
def test_counts_equal_a_plain_dynamic_programme(unit: str, split) -> None:
    pairs = random_pairs(4000)
    assert any(not a and not b for a, b in pairs)
    assert any(not a and b for a, b in pairs)
    assert any(a and not b for a, b in pairs)
    alignments = align_texts([a for a, _ in pairs], [b for _, b in pairs], unit)
    for (reference, hypothesis), alignment in zip(pairs, alignments, strict=True):
        rate = alignment.error_rate
        assert rate.errors == plain_distance(split(reference), split(hypothesis))
        assert rate.hits + rate.substitutions + rate.deletions == rate.reference_length == len(split(reference))
        assert rate.hits + rate.substitutions + rate.insertions == len(split(hypothesis))
        assert [pair.reference for pair in alignment.pairs if pair.operation != "insert"] == split(reference)
        assert [pair.hypothesis for pair in alignment.pairs if pair.operation != "delete"] == split(hypothesis)
        assert all((a == b) == (kind == "equal") for kind, a, b in alignment.pairs)


@settings(deadline=None)
@given(st.text("AB \t\u00a0\u2009\n", max_size=12), st.text("AB ", max_size=12))
def test_any_whitespace_separates_words(reference: str, hypothesis: str) -> None:
    tidy = " ".join(reference.split()), " ".join(hypothesis.split())
    assert count_errors(reference, hypothesis) == count_errors(*tidy)
    assert count_errors(reference, hypothesis).reference_length == len(reference.split())
    assert count_errors(reference, hypothesis, unit="character").reference_length == len(tidy[0])


def test_the_four_counts() -> None:
    assert count_errors("THE CAT SAT ON IT NOW", "THE BAT SAT IT NOW THEN") == ErrorRate(4, 1, 1, 1)
    assert count_errors("A CAT", "A BATS", unit="character") == ErrorRate(4, 1, 0, 1)


def test_rates_of_empty_references() -> None:
    assert count_errors("", "") == ErrorRate()
    assert ErrorRate().rate == 0.0
    assert count_errors("", "A B") == ErrorRate(insertions=2)
    assert count_errors("", "A B").rate == math.inf
    assert count_errors("A B", "").rate == 1.0
    assert ErrorRate(3, 1, 1, 1).rate == 3 / 5


def test_pooling_adds_counts() -> None:
    rates = {"b-1": ErrorRate(3, 1, 1, 1), "a-1": ErrorRate(1, 0, 0, 2), "b-2": ErrorRate(0, 1, 0, 0)}
    assert sum_rates(rates) == ErrorRate(4, 2, 1, 3)
    assert sum_rates({}) == ErrorRate()
    by_speaker = sum_by_speaker(rates, {name: name[0] for name in rates})
    assert list(by_speaker.items()) == [("a", ErrorRate(1, 0, 0, 2)), ("b", ErrorRate(3, 2, 1, 1))]


def test_a_missing_hypothesis_is_all_deletions() -> None:
    references = {"u2": "A B C", "u1": "A"}
    assert score_utterances(references, {"u1": "A"}) == {"u2": ErrorRate(deletions=3), "u1": ErrorRate(hits=1)}
    assert list(score_utterances(references, {})) == ["u2", "u1"]
    assert score_utterances({}, {}) == {}


def test_an_unknown_hypothesis_is_refused() -> None:
    with pytest.raises(UserError, match="2 hypotheses have no reference, the first is u3"):
        align_utterances({"u1": "A"}, {"u4": "A", "u1": "A", "u3": "A"})
