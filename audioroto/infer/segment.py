"""Words, and the stretches of speech that they make."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Word:
    """A word, where it lies in the recording, and how sure the model is of it (0 to 1, good for ranking)."""

    text: str
    start_seconds: float
    end_seconds: float
    confidence: float


@dataclass(frozen=True)
class Segment:
    """A stretch of speech: its text, where it lies in the recording, its words and the search's score of it.

    The score is that of all that was found there, with what a neighbour that overlaps it took over.
    """

    text: str
    start_seconds: float
    end_seconds: float
    words: tuple[Word, ...]
    score: float

    @property
    def confidence(self) -> float:
        """How sure the model is of its words on average, 0 where there are none."""
        return sum(word.confidence for word in self.words) / max(1, len(self.words))

    def shift(self, seconds: float) -> "Segment":
        """The segment as of a recording that begins `seconds` before."""
        words = [
            replace(word, start_seconds=word.start_seconds + seconds, end_seconds=word.end_seconds + seconds)
            for word in self.words
        ]
        return Segment(self.text, self.start_seconds + seconds, self.end_seconds + seconds, tuple(words), self.score)
