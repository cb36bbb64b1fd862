"""Where each token of a text lies in the audio: the best CTC alignment, and how sure the model was of each token."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from audioroto.search.hypothesis import Hypothesis


@dataclass(frozen=True)
class CtcAlignment:
    """First frame of each token and the one after its last, and the alignment's log-probability."""

    frames: tuple[int, ...]
    end_frames: tuple[int, ...]
    score: float


def align_tokens(log_probs: np.ndarray, tokens: Sequence[int], blank: int = 0) -> CtcAlignment | None:
    """The most probable CTC alignment (Viterbi) of `tokens` to log-probabilities (T, V) of one utterance.

    Tokens follow one another without overlap, each has a frame or more. None when the frames are too few: CTC needs one
    for each token and one between two that are the same. At equal probability a state lasts as long as it can.
    """
    num_frames, num_states = len(log_probs), 2 * len(tokens) + 1
    labels = np.full(num_states, blank)
    labels[1::2] = tokens
    # A blank may be left out between two tokens that differ.
    skip = np.full(num_states, -np.inf)
    skip[3::2] = np.where(labels[3::2] == labels[1:-2:2], -np.inf, 0.0)

    emissions = log_probs.astype(np.float64)[:, labels]  # (T, 2U + 1)
    # Two states that nothing enters stand before the first, so that every state has three predecessors.
    best = np.full((num_frames + 1, num_states + 2), -np.inf)
    best[0, 1] = 0.0  # it may go on to the first blank or, over it, to the first token
    skip[1:2] = 0.0
    skipped = np.empty(num_states)
    for frame, emission in enumerate(emissions):
        before, after = best[frame], best[frame + 1, 2:]
        np.add(before[:-2], skip, out=skipped)
        np.maximum(before[2:], before[1:-1], out=after)
        np.maximum(after, skipped, out=after)
        after += emission

    state = num_states - 1
    if num_states > 1 and best[-1, num_states] > best[-1, num_states + 1]:
        state = num_states - 2
    score = float(best[-1, state + 2])
    if num_frames == 0:
        return CtcAlignment((), (), 0.0) if not tokens else None
    if score == -np.inf:
        return None

    path = np.empty(num_frames, dtype=np.int64)  # (T,)
    for frame in range(num_frames - 1, -1, -1):
        path[frame] = state
        stay, step, jump = best[frame, state + 2], best[frame, state + 1], best[frame, state] + skip[state]
        state -= 0 if stay >= max(step, jump) else 1 if step >= jump else 2
    wanted = np.arange(1, num_states, 2)
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
