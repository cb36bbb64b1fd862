"""What a recording says, and when."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from audioroto.search.hypothesis import Hypothesis
from audioroto.text.tokenizer import END_ID, WORD_START


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

    def shift(self, seconds: float) -> "Segment":
        """The segment as of a recording that begins `seconds` before."""
        words = [
            replace(word, start_seconds=word.start_seconds + seconds, end_seconds=word.end_seconds + seconds)
            for word in self.words
        ]
        return Segment(self.text, self.start_seconds + seconds, self.end_seconds + seconds, tuple(words), self.score)


@dataclass(frozen=True)
class Transcript:
    """What a recording of `seconds` says, stretch by stretch.

    `gated`: the recording is too quiet or too steady to hold speech, so that nothing was searched for in it.
    """

    segments: tuple[Segment, ...]
    seconds: float
    gated: bool = False

    @property
    def text(self) -> str:
        """All that is said, on one line."""
        return " ".join(segment.text for segment in self.segments if segment.text)

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of all segments."""
        return tuple(word for segment in self.segments for word in segment.words)

    @property
    def score(self) -> float:
        """The search's scores of all segments together."""
        return sum(segment.score for segment in self.segments)


def make_words(hypothesis: Hypothesis, pieces: Sequence[str], frame_seconds: float, seconds: float) -> tuple[Word, ...]:
    """The words of an aligned hypothesis, in audio of `seconds` that has an encoder frame every `frame_seconds`."""
    words = []
    for places in _iter_words(hypothesis.tokens, pieces):
        spoken = [place for place in places if pieces[hypothesis.tokens[place]] != WORD_START]
        words.append(
            Word(
                text="".join(pieces[hypothesis.tokens[place]] for place in spoken).removeprefix(WORD_START),
                start_seconds=min(hypothesis.frames[spoken[0]] * frame_seconds, seconds),
                end_seconds=min(hypothesis.end_frames[spoken[-1]] * frame_seconds, seconds),
                # Of products, minima, means and entropies, means rank words best when there is an n-gram, too.
                confidence=float(np.mean([hypothesis.confidences[place] for place in places])),
            )
        )
    return tuple(words)


def _iter_words(tokens: Sequence[int], pieces: Sequence[str]) -> Iterator[list[int]]:
    """The places of each word's tokens; specials, and a mark of a word's start without the word, are in none."""
    word: list[int] = []
    for place, token in enumerate(tokens):
        if token <= END_ID:
            continue
        if pieces[token].startswith(WORD_START):
            if any(pieces[tokens[part]] != WORD_START for part in word):
                yield word
            word = []
        word.append(place)
    if any(pieces[tokens[part]] != WORD_START for part in word):
        yield word
