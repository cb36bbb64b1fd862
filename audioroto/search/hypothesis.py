"""What every search returns."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hypothesis:
    """One candidate for one utterance: token ids, their frames (encoder frames, 0-based) and its log-probability."""

    tokens: tuple[int, ...]
    frames: tuple[int, ...]
    score: float
