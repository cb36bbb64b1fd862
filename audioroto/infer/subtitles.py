"""Words to subtitles that can be read: cues of one or two lines, cut where the speaker pauses.

The limits are those of common practice (Netflix's Timed Text Style Guide, BBC's Subtitle Guidelines).
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from audioroto.infer.segment import Word

MAX_LINE_CHARACTERS = 42
MAX_LINES = 2
MIN_CUE_SECONDS = 5 / 6
MAX_CUE_SECONDS = 7.0
CHARACTERS_PER_SECOND = 17.0
GAP_SECONDS = 0.08  # two frames at 25 a second; a smaller gap flickers, so that the cues are joined instead
FRAME_SECONDS = 0.04


@dataclass(frozen=True)
class Cue:
    """What stands on the screen from one time to another."""

    start_seconds: float
    end_seconds: float
    lines: tuple[str, ...]


def make_cues(words: Sequence[Word], segment_ends: Collection[int] = ()) -> list[Cue]:
    """Every word in one cue, in order; `segment_ends` are the numbers of words up to the end of each segment.

    A line has MAX_LINE_CHARACTERS at most, or a single longer word. A cue begins with its first word and lasts
    MAX_CUE_SECONDS at most; it stays until it can be read, unless the next begins. Where cues end is the cheapest of
    all ways to divide the words (dynamic programming): few and full cues, long enough to be read, with pauses, ends of
    segments and punctuation between them.
    """
    ends = set(segment_ends)
    letters = [0, *accumulate(len(word.text) + 1 for word in words)]
    lowest = [0.0] + [math.inf] * len(words)  # cost of the first n words
    first_words = [0] * (len(words) + 1)  # of the cue that ends with the n-th word
    for first in range(len(words)):
        for stop in _iter_stops(words, first):
            num_characters = letters[stop] - letters[first] - 1
            cost = lowest[first] + _compute_cost(words, first, stop, num_characters) - (stop in ends)
            if cost < lowest[stop]:
                lowest[stop], first_words[stop] = cost, first
    stops, stop = [], len(words)
    while stop > 0:
        stops.append(stop)
        stop = first_words[stop]
    return _time([words[first_words[stop] : stop] for stop in reversed(stops)])


def _iter_stops(words: Sequence[Word], first: int) -> Iterator[int]:
    """Where a cue from word `first` on can stop: one word at least, then as many as fit on the lines and in time."""
    num_lines, used = 1, len(words[first].text)
    yield first + 1
    for place in range(first + 1, len(words)):
        word = words[place]
        used += 1 + len(word.text)
        if used > MAX_LINE_CHARACTERS:
            num_lines, used = num_lines + 1, len(word.text)
        if num_lines > MAX_LINES or word.end_seconds - words[first].start_seconds > MAX_CUE_SECONDS - GAP_SECONDS:
            return
        yield place + 1


def _compute_cost(words: Sequence[Word], first: int, stop: int, num_characters: int) -> float:
    """What a cue costs, in cues: a second too short to be read counts four, a pause of half a second behind it −1."""
    pause = room = math.inf
    if stop < len(words):
        pause = words[stop].start_seconds - words[stop - 1].end_seconds
        room = words[stop].start_seconds - words[first].start_seconds
    too_short = max(0.0, _reading_seconds(num_characters) - room)
    # Convex, so that two cues with the same words cost least when they are as long as one another.
    emptiness = 0.5 * (1 - num_characters / (MAX_LINES * MAX_LINE_CHARACTERS)) ** 2
    return 1 + 4 * too_short + emptiness - min(2.0, pause / 0.5) - _weigh_punctuation(words[stop - 1].text)


def _weigh_punctuation(text: str) -> float:
    """What ending with this word is worth; models write none, but known texts do."""
    last = text.rstrip("\"'”’»)]")[-1:]
    return 1.0 if last in tuple(".?!…") else 0.5 if last in tuple(",;:—–") else 0.0


def _reading_seconds(num_characters: int) -> float:
    return max(MIN_CUE_SECONDS, num_characters / CHARACTERS_PER_SECOND)


def _time(groups: Sequence[Sequence[Word]]) -> list[Cue]:
    starts: list[float] = []
    for group in groups:
        # Note: only words without a duration, which no CTC alignment has, can make cues begin together.
        starts.append(max(group[0].start_seconds, starts[-1] + FRAME_SECONDS if starts else 0.0))
    cues = []
    for group, start, next_start in zip(groups, starts, [*starts, math.inf][1:], strict=True):
        texts = [word.text for word in group]
        end = max(group[-1].end_seconds, start + _reading_seconds(len(" ".join(texts))))
        end = min(end, start + MAX_CUE_SECONDS - GAP_SECONDS)
        cues.append(Cue(start, next_start if next_start - end < GAP_SECONDS else end, _break_lines(texts)))
    return cues


def _break_lines(texts: Sequence[str]) -> tuple[str, ...]:
    """One line if it is short enough, else two of about the same length."""
    if _fits(texts):
        return (" ".join(texts),)
    places = [place for place in range(1, len(texts)) if _fits(texts[:place]) and _fits(texts[place:])]
    pairs = [(" ".join(texts[:place]), " ".join(texts[place:])) for place in places]
    return min(pairs, key=lambda pair: abs(len(pair[0]) - len(pair[1])))


def _fits(texts: Sequence[str]) -> bool:
    return len(texts) == 1 or len(" ".join(texts)) <= MAX_LINE_CHARACTERS
