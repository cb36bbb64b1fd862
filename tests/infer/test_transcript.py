import pytest
from hypothesis import given
from hypothesis import strategies as st

from audioroto.infer.segment import Segment, Word
from audioroto.infer.transcript import Transcript, make_words
from audioroto.search.hypothesis import Hypothesis
from audioroto.text.tokenizer import train_tokenizer

TEXTS = ["AB A", "BA AB", "A B", "B ABBA"]
TOKENIZERS = [train_tokenizer(TEXTS, "char", 10), train_tokenizer(TEXTS, "bpe", 8)]


@given(st.sampled_from(TOKENIZERS), st.data())
def test_words_are_those_of_the_text_and_follow_one_another(tokenizer, data):
    tokens = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1), max_size=12))
    steps = data.draw(st.lists(st.integers(1, 3), min_size=2 * len(tokens), max_size=2 * len(tokens)))
    edges = [sum(steps[:place]) for place in range(2 * len(tokens))]
    hypothesis = Hypothesis(tuple(tokens), 0.0, tuple(edges[::2]), tuple(edges[1::2]), (0.5,) * len(tokens))
    seconds = 0.04 * data.draw(st.integers(0, 80))
    words = make_words(hypothesis, tokenizer.pieces, 0.04, seconds)
    assert " ".join(word.text for word in words) == tokenizer.decode(tokens)
    times = [time for word in words for time in (word.start_seconds, word.end_seconds)]
    assert times == sorted(times)
    assert all(0 <= time <= seconds for time in times)
    assert all(word.confidence == pytest.approx(0.5) for word in words)


def test_a_word_lies_where_its_pieces_do_without_the_mark_before_it():
    pieces = ["<blank>", "<unk>", "<eos>", "▁", "A", "B"]
    hypothesis = Hypothesis((3, 4, 5, 3, 4), 0.0, (0, 5, 6, 8, 10), (1, 6, 8, 9, 11), (0.9, 0.5, 0.4, 0.8, 0.6))
    first, second = make_words(hypothesis, pieces, 0.04, 0.42)
    assert (first.text, second.text) == ("AB", "A")
    assert (first.start_seconds, first.end_seconds) == pytest.approx((0.20, 0.32))
    assert (second.start_seconds, second.end_seconds) == pytest.approx((0.40, 0.42))
    assert (first.confidence, second.confidence) == pytest.approx((0.6, 0.7))


def test_a_transcript_is_its_segments():
    words = tuple(Word(text, place, place + 0.5, 0.9) for place, text in enumerate("ABC"))
    segments = (
        Segment("A B", 0.0, 2.0, words[:2], -1.0),
        Segment("", 2.0, 2.5, (), -0.5),
        Segment("C", 2.5, 3.0, words[2:], -2.0),
    )
    transcript = Transcript(segments, seconds=4.0)
    assert (transcript.text, transcript.words, transcript.score) == ("A B C", words, -3.5)
    moved = segments[2].shift(10.0)
    assert (moved.start_seconds, moved.end_seconds, moved.words[0].start_seconds) == (12.5, 13.0, 12.0)
    assert Transcript((), 1.0).text == ""
