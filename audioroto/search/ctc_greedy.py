"""Greedy CTC search: the best token of each frame, repeats merged, blanks removed."""

import numpy as np

from audioroto.search.hypothesis import Hypothesis


def ctc_greedy(log_probs: np.ndarray, blank: int = 0) -> Hypothesis:
    """The most probable alignment of one utterance, log-probabilities (T, V), as a Hypothesis (Graves et al. 2006).

    Its score is the alignment's log-probability; each token's frame is the first of its run. Of equal probabilities the
    lowest id wins.
    """
    best = log_probs.argmax(axis=-1)  # (T,)
    starts = np.ones(len(best), dtype=bool)
    starts[1:] = best[1:] != best[:-1]
    (frames,) = np.nonzero(starts & (best != blank))
    return Hypothesis(
        tokens=tuple(best[frames].tolist()),
        frames=tuple(frames.tolist()),
        score=float(log_probs.max(axis=-1).sum()) if len(best) else 0.0,
    )
