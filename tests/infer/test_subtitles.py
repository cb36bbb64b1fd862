import itertools

from hypothesis import given
from hypothesis import strategies as st

from audioroto.infer import subtitles
from audioroto.infer.segment import Word
from audioroto.infer.subtitles import make_cues


@st.composite
def draw_words(draw: st.DrawFn) -> list[Word]:
    """Words one after another, also longer than a line, with pauses between them or none; all have a frame or more."""
    words, time = [], 0.0
    for _ in range(draw(st.integers(0, 40))):
        text = "W" * draw(st.one_of(st.integers(1, 12), st.integers(1, 50)))
        time += draw(st.sampled_from([0.0, 0.0, 0.02, 0.1, 0.3, 1.0, 20.0]))
        seconds = draw(st.sampled_from([0.04, 0.2, 0.5, 1.0, 9.0]))
        words.append(Word(text, time, time + seconds, 0.5))
        time += seconds
    return words


@given(draw_words(), st.sets(st.integers(1, 40)))
def test_cues_hold_every_word_once_and_keep_the_limits(words, segment_ends):
    cues = make_cues(words, segment_ends)
    assert [text for cue in cues for line in cue.lines for text in line.split()] == [word.text for word in words]
    starts = iter(words)
    for cue, following in itertools.zip_longest(cues, cues[1:]):
        assert 1 <= len(cue.lines) <= 2
        assert all(len(line) <= 42 or " " not in line for line in cue.lines)
        spoken = list(itertools.islice(starts, len(" ".join(cue.lines).split())))
        assert cue.start_seconds == spoken[0].start_seconds
        assert cue.start_seconds < cue.end_seconds <= cue.start_seconds + 7.0 + 1e-9
        assert cue.end_seconds >= min(spoken[-1].end_seconds, cue.start_seconds + 6.9) - 1e-9
        if following is not None:
            gap = following.start_seconds - cue.end_seconds
            assert gap == 0 or gap >= 0.08
        if following is None or gap > 0:
            seconds = cue.end_seconds - cue.start_seconds
            assert seconds >= 5 / 6 - 1e-9
            assert len(" ".join(cue.lines)) <= 17 * seconds + 1e-6 or seconds >= 6.9


def say(text: str, pauses: dict[int, float] | None = None) -> list[Word]:
    """Words of 0.3 s, 0.05 s apart but for the pauses before some of them."""
    words, time = [], 0.0
    for number, word in enumerate(text.split()):
        time += (pauses or {}).get(number, 0.05)
        words.append(Word(word, time, time + 0.3, 0.5))
        time += 0.3
    return words


def test_a_cue_ends_where_the_speaker_pauses():
    words = say("one two three four five six seven eight nine ten eleven twelve", {5: 0.9, 8: 1.5})
    assert [cue.lines for cue in make_cues(words)] == [
        ("one two three four five",),
        ("six seven eight",),
        ("nine ten eleven twelve",),
    ]


def test_where_nobody_pauses_a_cue_ends_with_its_segment_or_sentence():
    text = " ".join(["word"] * 24)
    assert [len(" ".join(cue.lines).split()) for cue in make_cues(say(text), {10, 24})] == [10, 14]
    words = say(" ".join(["word"] * 9 + ["word."] + ["word"] * 14))
    assert [len(" ".join(cue.lines).split()) for cue in make_cues(words)] == [10, 14]


def test_lines_are_balanced_and_a_short_cue_stays_until_it_is_read():
    (cue,) = make_cues(say("it was the best of times it was the worst of times"))
    assert cue.lines == ("it was the best of times", "it was the worst of times")
    (cue,) = make_cues(say("yes"))
    assert cue.end_seconds - cue.start_seconds == subtitles.MIN_CUE_SECONDS


def test_words_without_a_duration_make_no_cue_without_one():
    words = [Word("W" * 42, 1.0, 1.0, 0.0) for _ in range(5)]
    cues = make_cues(words)
    assert all(cue.start_seconds < cue.end_seconds for cue in cues)
    assert all(cue.end_seconds <= following.start_seconds for cue, following in itertools.pairwise(cues))
