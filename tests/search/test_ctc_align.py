import itertools

import numpy as np
import pytest
import torch
import torchaudio
from hypothesis import given
from hypothesis import strategies as st

from audioroto.search.ctc_align import align_hypothesis, align_tokens, count_needed_frames
from audioroto.search.ctc_greedy import ctc_greedy
from audioroto.search.hypothesis import Hypothesis


def make_log_probs(seed: int, num_frames: int, vocab_size: int) -> np.ndarray:
    logits = torch.from_numpy(np.random.default_rng(seed).normal(0, 2, (num_frames, vocab_size)).astype(np.float32))
    return logits.log_softmax(-1).numpy()


@given(st.integers(0, 10**6), st.integers(0, 12), st.lists(st.integers(1, 4), max_size=8), st.integers(1, 200))
def test_equals_the_forced_alignment_of_torchaudio(seed, num_frames, tokens, max_cells):
    log_probs = make_log_probs(seed, num_frames, 5)
    alignment = align_tokens(log_probs, tokens, max_cells=max_cells)
    num_needed = len(tokens) + sum(left == right for left, right in itertools.pairwise(tokens))
    assert (alignment is None) == (num_needed > num_frames)
    if alignment is None or not tokens:
        return
    (path,), (scores,) = torchaudio.functional.forced_align(torch.from_numpy(log_probs)[None], torch.tensor([tokens]))
    np.testing.assert_allclose(alignment.score, scores.sum().item(), rtol=1e-5)
    ours = np.zeros(num_frames, dtype=int)
    for token, start, end in zip(tokens, alignment.frames, alignment.end_frames, strict=True):
        ours[start:end] = token
    assert ours.tolist() == path.tolist()


def test_a_blank_between_repeats_needs_a_frame():
    assert [count_needed_frames(tokens) for tokens in ([], [3], [3, 3], [3, 4, 4, 4])] == [0, 1, 3, 6]


@given(st.integers(0, 10**6), st.integers(0, 30), st.lists(st.integers(1, 4), max_size=20))
def test_tokens_follow_one_another_inside_the_audio(seed, num_frames, tokens):
    found = align_hypothesis(Hypothesis(tuple(tokens), 0.0), make_log_probs(seed, num_frames, 5))
    assert len(found.frames) == len(found.end_frames) == len(found.confidences) == len(tokens)
    assert all(0 <= start <= end <= num_frames for start, end in zip(found.frames, found.end_frames, strict=True))
    assert all(end <= start for end, start in zip(found.end_frames, found.frames[1:], strict=False))
    assert all(0 <= confidence <= 1 for confidence in found.confidences)


@given(st.integers(0, 10**6), st.integers(0, 20))
def test_of_the_greedy_text_it_is_the_greedy_path(seed, num_frames):
    log_probs = make_log_probs(seed, num_frames, 4)
    greedy = ctc_greedy(log_probs)
    alignment = align_tokens(log_probs, greedy.tokens)
    assert alignment is not None
    assert alignment.score == pytest.approx(greedy.score, rel=1e-5)
    best = log_probs.argmax(-1)
    for token, start, end in zip(greedy.tokens, alignment.frames, alignment.end_frames, strict=True):
        assert set(best[start:end].tolist()) == {token}


def test_confidence_is_the_mean_probability_in_the_tokens_frames():
    log_probs = np.log(np.array([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.1, 0.7, 0.2], [0.5, 0.1, 0.4]]))
    found = align_hypothesis(Hypothesis((1, 2), 0.0), log_probs)
    assert (found.frames, found.end_frames) == ((1, 3), (3, 4))
    assert found.confidences == pytest.approx((0.65, 0.4))
