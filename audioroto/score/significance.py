"""How sure an error rate is, and whether a difference is real: bootstrap (Bisani and Ney, ICASSP 2004).

The units that are drawn anew are utterances, or speakers where the question is how another crowd would fare.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

NUM_SAMPLES = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A confidence interval; rates are fractions, not percent."""

    low: float
    high: float


@dataclass(frozen=True)
class PairedComparison:
    """Recogniser B against recogniser A on the same speech; rates are fractions, negative where B is better."""

    difference: float  # error rate of B − error rate of A
    interval: Interval
    probability_b_better: float  # share of the samples in which B makes fewer errors than A


def bootstrap_interval(
    errors: ArrayLike,
    lengths: ArrayLike,
    num_samples: int = NUM_SAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Interval:
    """The confidence interval of a pooled error rate, by percentiles of its bootstrap distribution.

    `errors` and `lengths` (U,) are the errors and the reference words of each utterance (or speaker). The same counts
    and seed give the same interval.
    """
    sums = _sample_sums(np.stack([_as_counts(errors), _as_counts(lengths)], axis=1), num_samples, seed)
    return _percentiles(_compute_rates(sums[:, 0], sums[:, 1]), confidence)


def paired_bootstrap(
    errors_a: ArrayLike,
    errors_b: ArrayLike,
    lengths: ArrayLike,
    num_samples: int = NUM_SAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> PairedComparison:
    """Compare two recognisers on the same utterances (or speakers), drawn together in every sample.

    `errors_a`, `errors_b` and `lengths` (U,) are in the same order. Pairing takes out how hard each utterance is, so
    that it finds differences which the two intervals by themselves hide.
    """
    more_errors = _as_counts(errors_b) - _as_counts(errors_a)
    counts = np.stack([more_errors, _as_counts(lengths)], axis=1)
    sums = _sample_sums(counts, num_samples, seed)
    total = counts.sum(axis=0)
    return PairedComparison(
        difference=float(_compute_rates(total[:1], total[1:])[0]),
        interval=_percentiles(_compute_rates(sums[:, 0], sums[:, 1]), confidence),
        probability_b_better=float(np.mean(sums[:, 0] < 0)),
    )


def _sample_sums(counts: NDArray[np.int64], num_samples: int, seed: int) -> NDArray[np.int64]:
    """Sums of (U, C) counts over `num_samples` draws of U units with replacement, (num_samples, C)."""
    random = np.random.default_rng(seed)
    num_units = len(counts)
    sums = np.empty((num_samples, counts.shape[1]), dtype=np.int64)
    for sample in range(num_samples):  # one at a time: memory stays at U however many utterances there are
        sums[sample] = counts[random.integers(num_units, size=num_units)].sum(axis=0)
    return sums


def _compute_rates(errors: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    """Errors for each word; without a word, 0 for no errors and ± infinity else, as in ErrorRate."""
    rates = np.where(errors == 0, 0.0, np.copysign(np.inf, errors))
    return np.divide(errors, lengths, out=rates, where=lengths > 0)


def _percentiles(rates: NDArray[np.float64], confidence: float) -> Interval:
    # Note: the nearest sample, because interpolating between infinities gives NaN.
    ordered = np.sort(rates)
    low, high = (round(share * (len(ordered) - 1)) for share in ((1 - confidence) / 2, (1 + confidence) / 2))
    return Interval(float(ordered[low]), float(ordered[high]))


def _as_counts(values: ArrayLike) -> NDArray[np.int64]:
    return np.asarray(values, dtype=np.int64)
