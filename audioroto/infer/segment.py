"""Words, and the stretches of speech that they make."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """A word, where it lies in the recording, and how sure the model is of it (0 to 1, good for ranking)."""

    text: str
    start_seconds: float
    end_seconds: float
    confidence: float


@dataclass(frozen=True)
class Segment:
    """A stretch of speech: its text, where it lies in the recording, its words, and the search's score of it."""

    text: str
    start_seconds: float
    end_seconds: float
    words: tuple[Word, ...]
    score: float
