import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.score.significance import bootstrap_interval, paired_bootstrap


def counts(num_utterances: int, error_rate: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    lengths = draw.integers(1, 40, size=num_utterances)
    return draw.binomial(lengths, error_rate), lengths


def test_the_interval_agrees_with_the_normal_approximation() -> None:
    errors, lengths = counts(2620, 0.07, seed=1)
    rate = errors.sum() / lengths.sum()
    deviation = np.sqrt(np.sum((errors - rate * lengths) ** 2)) / lengths.sum()
    interval = bootstrap_interval(errors, lengths, num_samples=4000)
    assert interval.low == pytest.approx(rate - 1.96 * deviation, abs=0.15 * deviation)
    assert interval.high == pytest.approx(rate + 1.96 * deviation, abs=0.15 * deviation)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(200):
        interval = bootstrap_interval(*counts(150, 0.2, seed), num_samples=200, seed=seed)
        covered += interval.low <= 0.2 <= interval.high
    assert 178 <= covered <= 199  # 95 % of 200 is 190, its standard deviation 3


def test_a_wider_confidence_gives_a_wider_interval_and_a_seed_the_same_one() -> None:
    errors, lengths = counts(300, 0.1, seed=2)
    narrow, wide = (bootstrap_interval(errors, lengths, confidence=share) for share in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high
    assert bootstrap_interval(errors, lengths, seed=5) == bootstrap_interval(list(errors), list(lengths), seed=5)
    assert bootstrap_interval(errors, lengths, seed=5) != bootstrap_interval(errors, lengths, seed=6)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8))
def test_the_interval_lies_within_the_rates_of_the_utterances(units: list[tuple[int, int]]) -> None:
    errors, lengths = zip(*units, strict=True)
    interval = bootstrap_interval(errors, lengths, num_samples=50)
    rates = [error / length if length else np.inf * error if error else 0.0 for error, length in units]
    # Errors where nothing was to be said add to any other utterance's, so they set no upper bound.
    upper = np.inf if np.inf in rates else max(rates)
    assert 0.0 <= interval.low <= interval.high <= upper + 1e-12


def test_pairing_finds_a_difference_that_the_intervals_hide() -> None:
    errors_a, lengths = counts(400, 0.2, seed=3)
    errors_b = np.where(np.arange(400) % 10 == 0, np.maximum(errors_a - 1, 0), errors_a)
    comparison = paired_bootstrap(errors_a, errors_b, lengths)
    assert comparison.difference == (errors_b.sum() - errors_a.sum()) / lengths.sum() < 0
    assert comparison.interval.low <= comparison.difference <= comparison.interval.high < 0
    assert comparison.probability_b_better == 1.0
    a, b = bootstrap_interval(errors_a, lengths), bootstrap_interval(errors_b, lengths)
    assert a.low < b.high
    turned = paired_bootstrap(errors_b, errors_a, lengths)
    assert turned.difference == -comparison.difference
    assert turned.probability_b_better == 0.0


def test_equal_recognisers_and_chance_differences() -> None:
    errors_a, lengths = counts(500, 0.2, seed=4)
    equal = paired_bootstrap(errors_a, errors_a, lengths)
    assert (equal.difference, equal.interval.low, equal.interval.high, equal.probability_b_better) == (0, 0, 0, 0)
    errors_b = np.random.default_rng(9).permutation(errors_a)
    assert 0.01 < paired_bootstrap(errors_a, errors_b, lengths).probability_b_better < 0.99


def test_a_thousand_samples_of_2620_utterances_take_under_two_seconds() -> None:
    errors, lengths = counts(2620, 0.07, seed=6)
    start = time.process_time()  # of one thread: what else the machine does is not counted
    bootstrap_interval(errors, lengths, num_samples=1000)
    paired_bootstrap(errors, errors[::-1], lengths, num_samples=1000)
    assert time.process_time() - start < 2.0
