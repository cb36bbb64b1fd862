"""Where each token of a text lies in the audio: the best CTC alignment, and how sure the model was of each token."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from audioroto.search.hypothesis import Hypothesis

MAX_CELLS = 1 << 19  # of a trellis at once, 4 MB: what caches hold
BLOCK_FRAMES = 1024


@dataclass(frozen=True)
class CtcAlignment:
    """First frame of each token and the one after its last, and the alignment's log-probability."""

    frames: tuple[int, ...]
    end_frames: tuple[int, ...]
    score: float


def align_tokens(
    log_probs: np.ndarray, tokens: Sequence[int], blank: int = 0, *, max_cells: int = MAX_CELLS
) -> CtcAlignment | None:
    """The most probable CTC alignment (Viterbi) of `tokens` to log-probabilities (T, V) of one utterance.

    Tokens follow one another without overlap, each has a frame or more. None when the frames are too few: CTC needs one
    for each token and one between two that are the same. At equal probability a state lasts as long as it can.

    Exact at any length: a trellis of more than `max_cells` is not kept but for a frame of each block; on the way back
    each block is computed again, only for the states from which the block's last can be reached.
    """
    labels = np.full(2 * len(tokens) + 1, blank)
    labels[1::2] = tokens
    if count_needed_frames(tokens) > len(log_probs):
        return None
    # A blank may be left out between two tokens that differ; the first token may be reached from before the start.
    skip = np.full(len(labels), -np.inf)
    skip[1:2] = 0.0
    skip[3::2] = np.where(labels[3::2] == labels[1:-2:2], -np.inf, 0.0)

    # Before the first frame: it may go on to the first blank or, over it, to the first token.
    before = np.full(len(labels) + 2, -np.inf)
    before[1] = 0.0
    if len(log_probs) * len(labels) <= max_cells:
        block_frames = max(1, len(log_probs))
        trellis = _compute_trellis(before, log_probs, labels, skip)
        starts, last = [before], trellis[-1]
    else:
        block_frames, trellis = min(BLOCK_FRAMES, max_cells), None
        *starts, last = _iter_block_starts(before, log_probs, labels, skip, block_frames, max_cells)
    state = len(labels) - 1
    if tokens and last[state + 1] > last[state + 2]:
        state -= 1
    score = float(last[state + 2]) if len(log_probs) else 0.0
    if score == -np.inf:
        return None

    path = np.empty(len(log_probs), dtype=np.int64)  # (T,)
    for number in reversed(range(len(starts))):
        block = slice(number * block_frames, (number + 1) * block_frames)
        low = 0
        if trellis is None:
            # A frame leads two states on at most: what lies below these has no part in the best way to `state`.
            low = max(0, state - 2 * block_frames)
            high = state + 1
            part = _compute_trellis(starts[number][low : high + 2], log_probs[block], labels[low:high], skip[low:high])
        else:
            part = trellis
        state = low + _trace(part, skip[low:], state - low, path[block])
        path[block] += low
    wanted = np.arange(1, len(labels), 2)
    return CtcAlignment(
        frames=tuple(np.searchsorted(path, wanted, side="left").tolist()),
        end_frames=tuple(np.searchsorted(path, wanted, side="right").tolist()),
        score=score,
    )


def align_hypothesis(hypothesis: Hypothesis, log_probs: np.ndarray, blank: int = 0) -> Hypothesis:
    """The hypothesis with the frames of its tokens and with their confidences, from log-probabilities (T, V).

    A token's confidence is its mean probability in its frames. More tokens than the frames allow, which only a
    search without CTC can say, are spread evenly over the audio with confidence 0.
    """
    alignment = align_tokens(log_probs, hypothesis.tokens, blank)
    if alignment is None:
        edges = np.linspace(0, len(log_probs), len(hypothesis.tokens) + 1).astype(int).tolist()
        return replace(
            hypothesis,
            frames=tuple(edges[:-1]),
            end_frames=tuple(edges[1:]),
            confidences=(0.0,) * len(hypothesis.tokens),
        )
    spans = zip(hypothesis.tokens, alignment.frames, alignment.end_frames, strict=True)
    return replace(
        hypothesis,
        frames=alignment.frames,
        end_frames=alignment.end_frames,
        confidences=tuple(float(np.exp(log_probs[start:end, token]).mean()) for token, start, end in spans),
    )


def count_needed_frames(tokens: Sequence[int]) -> int:
    """The fewest frames that CTC can say these tokens in: one for each, and a blank between two that are the same."""
    return len(tokens) + sum(left == right for left, right in pairwise(tokens))


def _compute_trellis(before: np.ndarray, log_probs: np.ndarray, labels: np.ndarray, skip: np.ndarray) -> np.ndarray:
    """The best score of each of S states after each of N frames and `before` them, (N + 1, S + 2) float64.

    Two columns that nothing enters stand before the first state, so that every state has three predecessors.
    """
    emissions = log_probs.astype(np.float64)[:, labels]  # (N, S)
    best = np.full((len(log_probs) + 1, len(labels) + 2), -np.inf)
    best[0] = before
    skipped = np.empty(len(labels))
    for frame, emission in enumerate(emissions):
        earlier, later = best[frame], best[frame + 1, 2:]
        np.add(earlier[:-2], skip, out=skipped)
        np.maximum(earlier[2:], earlier[1:-1], out=later)
        np.maximum(later, skipped, out=later)
        later += emission
    return best


def _iter_block_starts(
    before: np.ndarray,
    log_probs: np.ndarray,
    labels: np.ndarray,
    skip: np.ndarray,
    block_frames: int,
    max_cells: int,
) -> Iterator[np.ndarray]:
    """The row (S + 2,) of the trellis before each block of frames, and the one after the last."""
    step = max(1, max_cells // len(labels))
    for start in range(0, len(log_probs), block_frames):
        yield before
        block = log_probs[start : start + block_frames]
        for first in range(0, len(block), step):
            before = _compute_trellis(before, block[first : first + step], labels, skip)[-1].copy()
    yield before


def _trace(trellis: np.ndarray, skip: np.ndarray, state: int, path: np.ndarray) -> int:
    """Write the states of the best way to `state` to `path` (N,); returns the state that it comes from."""
    for frame in reversed(range(len(path))):
        path[frame] = state
        jump, step, stay = trellis[frame, state] + skip[state], trellis[frame, state + 1], trellis[frame, state + 2]
        state -= 0 if stay >= max(step, jump) else 1 if step >= jump else 2
    return state
