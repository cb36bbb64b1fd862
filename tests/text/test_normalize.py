import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.errors import UserError
from audioroto.text.normalize import NORMALIZERS, normalize

# Free text that meets every rule often: digits, signs, abbreviations and odd characters in any company.
CHARACTERS = st.sampled_from(" .,:'’-−$£€%&+=@½²ﬁéßŉ´ÆxA019\u00ad\u200b\u0345\u00a0\t\n")
NUMBERS = st.sampled_from(["12", "100", "1,000", "1906", "1984", "2005", "05", "999999999", "1234567890"])
WORDS = st.sampled_from(
    ["st", "nd", "th", "'s", "mr.", "MRS", "ok", "vs", "No.", "u.s.a.", "p.m.", "million", "thousand"]
)
FREE_TEXT = st.lists(CHARACTERS | NUMBERS | WORDS, max_size=12).map("".join) | st.text(max_size=40)


@settings(deadline=None, max_examples=1500)
@given(FREE_TEXT, st.sampled_from(sorted(NORMALIZERS)))
def test_normalising_twice_changes_nothing_more(text: str, name: str) -> None:
    once = normalize(text, name)
    assert normalize(once, name) == once


@settings(deadline=None, max_examples=1500)
@given(FREE_TEXT, st.sampled_from(sorted(NORMALIZERS)))
def test_the_result_is_words_of_letters_and_inner_apostrophes(text: str, name: str) -> None:
    assert re.fullmatch(r"([A-Z]+('[A-Z]+)*( [A-Z]+('[A-Z]+)*)*)?", normalize(text, name))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world!", "HELLO WORLD"),
        ("don’t  DON‘T\tdonʼt don`t don´t", "DON'T DON'T DON'T DON'T DON'T"),
        ("'quoted' ' rock 'n' roll o''clock", "QUOTED ROCK N ROLL O CLOCK"),
        ("Café naïve Ærøskøbing straße ﬁn", "CAFE NAIVE AEROSKOBING STRASSE FIN"),
        ("co\u00adoperate well-known end.Start", "COOPERATE WELL KNOWN END START"),
        ("I have 2 cats", "I HAVE CATS"),
        ("日本 ...", ""),
        ("", ""),
    ],
)
def test_librispeech_keeps_letters_and_inner_apostrophes(text: str, expected: str) -> None:
    assert normalize(text, "librispeech-v1") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 7 13 20 42 100 105", "ZERO SEVEN THIRTEEN TWENTY FORTY TWO ONE HUNDRED ONE HUNDRED FIVE"),
        ("1,001 3000", "ONE THOUSAND ONE THREE THOUSAND"),
        (
            "999,999,999",
            "NINE HUNDRED NINETY NINE MILLION NINE HUNDRED NINETY NINE THOUSAND NINE HUNDRED NINETY NINE",
        ),
        ("1000000000", "ONE ZERO ZERO ZERO ZERO ZERO ZERO ZERO ZERO ZERO"),
        ("007", "ZERO ZERO SEVEN"),
        ("1, 2, 3", "ONE TWO THREE"),
        ("3.5 0.05 .5 10.", "THREE POINT FIVE ZERO POINT ZERO FIVE POINT FIVE TEN"),
        ("-2 degrees, −$5, 5-6, x-3", "MINUS TWO DEGREES MINUS FIVE DOLLARS FIVE SIX X THREE"),
        ("1984 1906 1900 2005 2024 1,984", None),
        ("the 1980s, 1960's and 1900s; 90s; 6s", None),
        ("1st 2nd 3rd 5th 8th 9th 12th 20th 21st 100th 1,000th", None),
        ("5:30 p.m. 5:05 12:00", "FIVE THIRTY PM FIVE OH FIVE TWELVE"),
        ("$1 $5 $3.50 $1.01 £2.01 €2 million $3.5 billion $0.5 $4.00", None),
        ("50% of A&B, 2+2=4, me@home", "FIFTY PERCENT OF A AND B TWO PLUS TWO EQUALS FOUR ME AT HOME"),
        ("Mr. Smith, Mrs Jones and Dr. St. John's", "MISTER SMITH MISSUS JONES AND DOCTOR SAINT JOHN'S"),
        ("the U.S.A. at 5 p.m.", "THE USA AT FIVE PM"),
        ("No. 5, no.", "NUMBER FIVE NO"),
        ("OK, etc. cats vs. dogs; o'mr", "OKAY ET CETERA CATS VERSUS DOGS O'MR"),
        ("It's colour, don't", "IT'S COLOUR DON'T"),
        ("x² MP3 4K", "X TWO MP THREE FOUR K"),
    ],
)
def test_english_spells_out(text: str, expected: str | None) -> None:
    spelled = {
        "1984 1906 1900 2005 2024 1,984": "NINETEEN EIGHTY FOUR NINETEEN OH SIX NINETEEN HUNDRED TWO THOUSAND FIVE "
        "TWENTY TWENTY FOUR ONE THOUSAND NINE HUNDRED EIGHTY FOUR",
        "the 1980s, 1960's and 1900s; 90s; 6s": "THE NINETEEN EIGHTIES NINETEEN SIXTIES AND NINETEEN HUNDREDS "
        "NINETIES SIXES",
        "1st 2nd 3rd 5th 8th 9th 12th 20th 21st 100th 1,000th": "FIRST SECOND THIRD FIFTH EIGHTH NINTH TWELFTH "
        "TWENTIETH TWENTY FIRST ONE HUNDREDTH ONE THOUSANDTH",
        "$1 $5 $3.50 $1.01 £2.01 €2 million $3.5 billion $0.5 $4.00": "ONE DOLLAR FIVE DOLLARS "
        "THREE DOLLARS AND FIFTY CENTS ONE DOLLAR AND ONE CENT TWO POUNDS AND ONE PENNY TWO MILLION EUROS "
        "THREE POINT FIVE BILLION DOLLARS ZERO POINT FIVE DOLLARS FOUR DOLLARS",
    }
    assert normalize(text, "english-v1") == (expected or spelled[text])


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="'librispech-v1'; the nearest is 'librispeech-v1'"):
        normalize("a", "librispech-v1")


@pytest.mark.skipif("AUDIOROTO_SPEECH" not in os.environ, reason="needs real speech: set AUDIOROTO_SPEECH")
def test_librispeech_transcripts_are_left_as_they_are() -> None:
    transcripts = Path(os.environ["AUDIOROTO_SPEECH"], "LibriSpeech", "dev-clean").rglob("*.trans.txt")
    texts = [line.split(" ", 1)[1] for path in transcripts for line in path.read_text("utf-8").splitlines()]
    assert len(texts) > 1000
    assert [normalize(text, "librispeech-v1") for text in texts] == texts
