import pytest
from hypothesis import given
from hypothesis import strategies as st

from audioroto.text.sentence_case import make_sentence_case


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I SAID I'LL GO AND I'D SEE IT", "I said I'll go and I'd see it"),
        ("WHAT IF I'M AN I", "What if I'm an I"),
        ("'TIS SO", "'Tis so"),
        ("HI I I", "Hi I I"),
        ("Hello from Paris", "Hello from Paris"),
        ("", ""),
    ],
)
def test_sentence_case(text, expected):
    assert make_sentence_case(text) == expected


def test_the_middle_of_a_sentence_begins_small():
    assert make_sentence_case("AND THEN I LEFT", starts_sentence=False) == "and then I left"


@given(st.text(), st.booleans())
def test_only_the_case_changes_and_only_once(text, starts_sentence):
    once = make_sentence_case(text, starts_sentence=starts_sentence)
    assert len(once.split()) == len(text.split())
    assert once.upper() == text.upper()
    assert make_sentence_case(once, starts_sentence=starts_sentence) == once
