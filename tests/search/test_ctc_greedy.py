import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.search.ctc_greedy import ctc_greedy


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), max_size=12))
def test_repeats_merge_and_blanks_vanish(path):
    log_probs = np.log(np.full((len(path), 4), 0.1, dtype=np.float32) + 0.6 * np.eye(4, dtype=np.float32)[path])
    hypothesis = ctc_greedy(log_probs)
    assert hypothesis.tokens == tuple(token for token, _ in itertools.groupby(path) if token != 0)
    np.testing.assert_allclose(hypothesis.score, len(path) * np.log(0.7), atol=1e-5)
