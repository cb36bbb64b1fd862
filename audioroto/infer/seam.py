"""Two segments of speech that overlap, made to follow one another: no word lost, none doubled."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from audioroto.infer.segment import Segment, Word

SAME_WORD_SECONDS = 0.3  # two windows hear a word within a few frames of one another


def join_all(segments: Iterable[tuple[Segment, bool]]) -> Iterator[Segment]:
    """Segments in time order, one after the other; True stands beside those that the next one overlaps.

    Where that one said nothing and is left out, the one after it need not overlap, and both stay as they are.
    """
    left: Segment | None = None
    for segment, is_cut in segments:
        if left is not None:
            if segment.start_seconds < left.end_seconds:
                left, segment = join_segments(left, segment)
            yield left
        left = segment if is_cut else None
        if left is None:
            yield segment
    if left is not None:
        yield left


def join_segments(left: Segment, right: Segment) -> tuple[Segment, Segment]:
    """Both without what the other says better of their overlap, in which each word is heard by both.

    The cut is where they agree: in the longest run of words that are the same at the same time, as near as can be to
    the middle of the overlap, so that each hears on beyond the cut. Where they agree on nothing it is the place nearest
    to the middle that is in no word of either, or the least deep in one.
    """
    begin, end = right.start_seconds, left.end_seconds
    middle = (begin + end) / 2
    run = _find_longest_run(left.words, right.words, begin, end)
    if run:
        _, first, second = min((abs(_centre(left.words[i]) - middle), i, j) for i, j in run)
        cut = min(max((left.words[first].start_seconds + right.words[second].start_seconds) / 2, begin), end)
    else:
        cut = _find_gap([*left.words, *right.words], begin, end)
        first = sum(_centre(word) < cut for word in left.words)
        second = sum(_centre(word) < cut for word in right.words)
    words = left.words[:first], right.words[second:]
    return (
        replace(left, words=words[0], text=_join(words[0]), end_seconds=cut),
        replace(right, words=words[1], text=_join(words[1]), start_seconds=cut),
    )


def _find_longest_run(left: Sequence[Word], right: Sequence[Word], begin: float, end: float) -> list[tuple[int, int]]:
    """Places (left, right) of the longest run of words in the overlap that are the same; empty where there are none.

    A pair counts the less the farther apart it is, so that a word said again and again is not taken for the next one.
    """
    runs: dict[tuple[int, int], list[tuple[int, int]]] = {}  # by their last place
    agreement: dict[tuple[int, int], float] = {}
    for i, word in enumerate(left):
        for j, other in enumerate(right):
            apart = abs(_centre(word) - _centre(other))
            if word.text == other.text and apart <= SAME_WORD_SECONDS and begin <= _centre(other) <= end:
                runs[i, j] = [*runs.get((i - 1, j - 1), []), (i, j)]
                agreement[i, j] = agreement.get((i - 1, j - 1), 0.0) + SAME_WORD_SECONDS - apart
    return runs[max(agreement, key=agreement.__getitem__)] if runs else []


def _find_gap(words: Sequence[Word], begin: float, end: float) -> float:
    """The time in [begin, end] that lies least deep in any word, of equals the one nearest to the middle."""
    middle = (begin + end) / 2
    edges = [edge for word in words for edge in (word.start_seconds, word.end_seconds) if begin <= edge <= end]

    def cost(time: float) -> tuple[float, float]:
        depth = sum(max(0.0, min(time - word.start_seconds, word.end_seconds - time)) for word in words)
        return depth, abs(time - middle)

    return min([middle, *edges], key=cost)


def _centre(word: Word) -> float:
    return (word.start_seconds + word.end_seconds) / 2


def _join(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in words)
