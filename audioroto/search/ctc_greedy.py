"""Greedy CTC search: the best token of each frame, repeats merged, blanks removed."""

import numpy as np

from audioroto.search.hypothesis import Hypothesis


def ctc_greedy(log_probs: np.ndarray, blank: int = 0) -> Hypothesis:
    """The most probable alignment of one utterance, log-probabilities (T, V), as a Hypothesis (Graves et al. 2006).

    Its score is the alignment's log-probability. Of equal probabilities the lowest id wins.
    """
    best = log_probs.argmax(axis=-1)  # (T,)
    starts = np.ones(len(best), dtype=bool)
    starts[1:] = best[1:] != best[:-1]
    return Hypothesis(
        tokens=tuple(best[starts & (best != blank)].tolist()),
        score=float(log_probs.max(axis=-1).sum()) if len(best) else 0.0,
    )
