"""What every search returns."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hypothesis:
    """One candidate for one utterance: token ids and its score, a log-probability or a weighted sum of several.

    `frames` and `end_frames` (encoder frames, 0-based, the end not included) and `confidences` (0 to 1) say where and
    how surely each token was heard; `search/ctc_align` fills them in, and they are empty until then.
    """

    tokens: tuple[int, ...]
    score: float
    frames: tuple[int, ...] = ()
    end_frames: tuple[int, ...] = ()
    confidences: tuple[float, ...] = ()
