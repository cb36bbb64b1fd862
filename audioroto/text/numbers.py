"""English number words in upper case, for the normalisers."""

_ONES = (
    "ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE", "TEN", "ELEVEN", "TWELVE",
    "THIRTEEN", "FOURTEEN", "FIFTEEN", "SIXTEEN", "SEVENTEEN", "EIGHTEEN", "NINETEEN",
)  # fmt: skip
_TENS = ("TWENTY", "THIRTY", "FORTY", "FIFTY", "SIXTY", "SEVENTY", "EIGHTY", "NINETY")
_IRREGULAR_ORDINALS = {
    "ONE": "FIRST",
    "TWO": "SECOND",
    "THREE": "THIRD",
    "FIVE": "FIFTH",
    "EIGHT": "EIGHTH",
    "NINE": "NINTH",
    "TWELVE": "TWELFTH",
}


def spell_number(number: int) -> str:
    """A number from 0 to 999,999,999 in words, without "and": 1105 → ONE THOUSAND ONE HUNDRED FIVE."""
    assert 0 <= number <= 999_999_999
    for size, name in ((1_000_000, "MILLION"), (1_000, "THOUSAND"), (100, "HUNDRED")):
        if number >= size:
            rest = number % size
            return f"{spell_number(number // size)} {name}" + (f" {spell_number(rest)}" if rest else "")
    if number < 20:
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f" {_ONES[ones]}" if ones else "")


def spell_digits(digits: str) -> str:
    """One word a digit: 007 → ZERO ZERO SEVEN."""
    return " ".join(_ONES[int(digit)] for digit in digits)


def spell_year(year: int) -> str:
    """A year of four digits in two pairs: NINETEEN EIGHTY FOUR, NINETEEN OH SIX, NINETEEN HUNDRED."""
    century, rest = divmod(year, 100)
    if rest == 0:
        return f"{spell_number(century)} HUNDRED"
    return f"{spell_number(century)} {'OH ' if rest < 10 else ''}{spell_number(rest)}"


def spell_ordinal(words: str) -> str:
    """The ordinal of a spelled number: TWENTY ONE → TWENTY FIRST."""
    start, last = _split_last(words)
    if last in _IRREGULAR_ORDINALS:
        return start + _IRREGULAR_ORDINALS[last]
    return start + (f"{last[:-1]}IETH" if last.endswith("Y") else f"{last}TH")


def spell_plural(words: str) -> str:
    """The plural of a spelled number: NINETEEN EIGHTY → NINETEEN EIGHTIES."""
    start, last = _split_last(words)
    if last.endswith("Y"):
        return f"{start}{last[:-1]}IES"
    return start + (f"{last}ES" if last == "SIX" else f"{last}S")


def _split_last(words: str) -> tuple[str, str]:
    start, space, last = words.rpartition(" ")
    return start + space, last
