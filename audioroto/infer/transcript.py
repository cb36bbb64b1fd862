"""What a recording says, and when."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
class Transcript:
    """The text of one recording of `seconds`, the search's score of it, and its words with their times.

    `gated`: the recording is too quiet to hold speech, so that nothing was searched for in it.
    """

    text: str
    seconds: float
    score: float
    words: tuple[Word, ...] = ()
    gated: bool = False


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
