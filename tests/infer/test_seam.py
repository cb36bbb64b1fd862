import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audioroto.infer.seam import join_all, join_segments
from audioroto.infer.segment import Segment, Word


def make_words(spans):
    return tuple(Word(text, start, end, 0.5) for text, start, end in spans)


def make_segment(words, start, end):
    return Segment(" ".join(word.text for word in words), start, end, tuple(words), -1.0)


def make_speech(seed):
    """Words of a small vocabulary one after the other, over 22 s."""
    generator = np.random.default_rng(seed)
    words, time = [], 0.0
    while time < 21.0:
        time += generator.uniform(0.0, 0.3)
        end = time + generator.uniform(0.1, 0.7)
        words.append(Word(generator.choice(["A", "B", "C"]), time, end, 0.5))
        time = end
    return words


@given(st.integers(0, 2**32 - 1), st.floats(6.0, 14.0))
def test_what_both_hear_alike_comes_back_whole(seed, place):
    words = make_speech(seed)
    # As windows do it: what a window's edge cuts off is garbled, and times shift a little.
    begin, end = place - 2.0, place + 2.0
    heard_left = [word for word in words if word.end_seconds < end - 0.3]
    heard_right = [
        Word(word.text, word.start_seconds + 0.04, word.end_seconds + 0.04, 0.4)
        for word in words
        if word.start_seconds > begin + 0.3
    ]
    left, right = join_segments(
        make_segment([*heard_left, Word("X", end - 0.2, end, 0.1)], 0.0, end),
        make_segment([Word("Y", begin, begin + 0.2, 0.1), *heard_right], begin, 22.0),
    )
    assert [word.text for word in (*left.words, *right.words)] == [word.text for word in words]
    assert f"{left.text} {right.text}".split() == [word.text for word in words]
    assert begin <= left.end_seconds == right.start_seconds <= end


def test_where_they_agree_on_nothing_no_word_is_cut_in_two():
    left = make_segment(make_words([("A", 1.0, 2.0), ("B", 9.0, 10.4), ("C", 11.5, 12.0)]), 0.0, 12.0)
    right = make_segment(make_words([("D", 8.0, 8.5), ("E", 10.6, 11.4), ("F", 14.0, 15.0)]), 8.0, 16.0)
    joined = join_segments(left, right)
    assert [segment.text for segment in joined] == ["A B", "E F"]
    assert 10.4 <= joined[0].end_seconds <= 10.6


def test_silence_in_either_loses_nothing():
    words = make_segment(make_words([("A", 9.2, 9.4)]), 0.0, 12.0)
    nothing = make_segment([], 8.0, 16.0)
    assert [segment.text for segment in join_segments(words, nothing)] == ["A", ""]
    assert [segment.text for segment in join_segments(nothing, make_segment(words.words, 9.0, 20.0))] == ["", ""]


def test_a_chain_of_cuts():
    spans = [(f"W{number}", number + 0.2, number + 0.8) for number in range(30)]
    segments = [
        (make_segment(make_words([span for span in spans if start < span[1] < end - 1]), start, end), end < 30)
        for start, end in ((0, 12), (8, 20), (16, 30))
    ]
    joined = list(join_all([*segments, (make_segment([], 30, 40), False)]))
    assert " ".join(segment.text for segment in joined if segment.text).split() == [span[0] for span in spans[:29]]
    assert list(join_all([])) == []


def test_a_window_that_is_left_out_moves_no_edge_of_its_neighbours():
    left = make_segment(make_words([("A", 1.0, 2.0), ("B", 33.0, 34.0)]), 0.0, 36.0)
    right = make_segment(make_words([("C", 57.0, 58.0)]), 56.0, 90.0)
    assert list(join_all([(left, True), (right, False)])) == [left, right]
