"""What a recording says, and when."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from audioroto.infer.segment import Segment, Word
from audioroto.infer.writers import format_transcript
from audioroto.search.hypothesis import Hypothesis
from audioroto.text.tokenizer import END_ID, WORD_START


@dataclass(frozen=True)
class Transcript:
    """What a recording of `seconds` says, segment by segment.

    `gated`: the recording is too quiet or too steady to hold speech, so that nothing was searched for in it.
    """

    segments: tuple[Segment, ...]
    seconds: float
    gated: bool = False

    @property
    def text(self) -> str:
        """The whole text on one line."""
        return " ".join(segment.text for segment in self.segments if segment.text)

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of all segments."""
        return tuple(word for segment in self.segments for word in segment.words)

    @property
    def score(self) -> float:
        """The sum of the segments' scores."""
        return sum(segment.score for segment in self.segments)

    def to_text(self) -> str:
        """The text, a line for each segment."""
        return self._format("txt")

    def to_srt(self) -> str:
        """SubRip subtitles, cut to be read."""
        return self._format("srt")

    def to_vtt(self) -> str:
        """WebVTT subtitles, cut to be read."""
        return self._format("vtt")

    def to_tsv(self) -> str:
        """A table of the segments: start and end in milliseconds, text."""
        return self._format("tsv")

    def to_json(self) -> str:
        """Segments and words with times in seconds and confidences."""
        return self._format("json")

    def to_ctm(self, name: str = "audio") -> str:
        """NIST's ctm, a line for each word, of the recording called `name`."""
        return self._format("ctm", name)

    def to_textgrid(self) -> str:
        """A TextGrid for Praat with the tiers words and segments."""
        return self._format("textgrid")

    def _format(self, format: str, name: str = "audio") -> str:
        return format_transcript(self, format, name=name)


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
