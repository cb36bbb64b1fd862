"""Named, versioned text normalisers: what a transcript looks like to the model and to the scorer.

A name stands in every checkpoint and every result, so what a name does never changes: another behaviour is a new name.
Each normaliser leaves its own output as it is.

`librispeech-v1`: A–Z, apostrophes between letters and single spaces. Accents are folded (É → E), curly apostrophes
straightened, invisible characters dropped; every other character separates words.

`english-v1`, for scoring free text: the same, after spelling out what is written shorter than it is said.

- numbers below 1,000,000,000, without "and": 105 → ONE HUNDRED FIVE; longer ones and those with a leading zero digit
  by digit; 3.5 → THREE POINT FIVE; -2 → MINUS TWO; 21st → TWENTY FIRST; 5:30 → FIVE THIRTY;
- four digits without a comma, 1100 to 1999 and 2010 to 2099, as years: 1984 → NINETEEN EIGHTY FOUR,
  1906 → NINETEEN OH SIX, 1980s → NINETEEN EIGHTIES; 1,984 → ONE THOUSAND NINE HUNDRED EIGHTY FOUR;
- money: $1 → ONE DOLLAR, £3.50 → THREE POUNDS AND FIFTY PENCE, €2 million → TWO MILLION EUROS;
- % & + = @ → PERCENT AND PLUS EQUALS AT; dotted initials joined: U.S.A. → USA, p.m. → PM; No. 5 → NUMBER FIVE;
- the abbreviations in `ABBREVIATIONS`, with or without their dot; ST is always SAINT.

Contractions and British or American spelling stay as they are.
"""

import difflib
import re
import unicodedata
from collections.abc import Callable

from audioroto.errors import UserError
from audioroto.text.numbers import spell_digits, spell_number, spell_ordinal, spell_plural, spell_year

ABBREVIATIONS = {
    "CAPT": "CAPTAIN",
    "DR": "DOCTOR",
    "ETC": "ET CETERA",
    "JR": "JUNIOR",
    "LT": "LIEUTENANT",
    "MESSRS": "MESSIEURS",
    "MR": "MISTER",
    "MRS": "MISSUS",
    "MT": "MOUNT",
    "OK": "OKAY",
    "PROF": "PROFESSOR",
    "SGT": "SERGEANT",
    "SR": "SENIOR",
    "ST": "SAINT",
    "VS": "VERSUS",
}


def normalize(text: str, name: str) -> str:
    """The text as the normaliser called `name` writes it; normalising twice changes nothing more.

    Raises UserError that names the nearest known normaliser.
    """
    if name not in NORMALIZERS:
        nearest = difflib.get_close_matches(name, NORMALIZERS, n=1, cutoff=0.0)[0]
        raise UserError(f"unknown normaliser {name!r}; the nearest is {nearest!r} (known: {', '.join(NORMALIZERS)})")
    return NORMALIZERS[name](text)


def normalize_librispeech_v1(text: str) -> str:
    """Upper case A–Z with apostrophes inside words, single spaces between them."""
    text = _NOT_LETTERS.sub(" ", _fold(text))
    return " ".join(_EDGE_APOSTROPHES.sub(" ", text).split())


def normalize_english_v1(text: str) -> str:
    """Free text as it is said: numbers, money, symbols and common abbreviations spelled out, then librispeech-v1."""
    text = _fold(text)
    text = _INITIALS.sub(lambda match: match[0].replace(".", ""), text)
    text = re.sub(r"\bNO\.\s*(?=[0-9])", "NUMBER ", text)
    text = re.sub(r"(?<![A-Z0-9.)])[-−](?=[$£€]?\.?[0-9])", " MINUS ", text)
    text = _MONEY.sub(_spell_money, text)
    text = _NUMBER.sub(_spell_number, text)
    text = _SYMBOL.sub(lambda match: f" {_SYMBOLS[match[0]]} ", text)
    # Note: abbreviations come last, on finished words, so that no step can make a new one that a second pass would see.
    return _ABBREVIATION.sub(lambda match: ABBREVIATIONS[match[0]], normalize_librispeech_v1(text))


NORMALIZERS: dict[str, Callable[[str], str]] = {
    "librispeech-v1": normalize_librispeech_v1,
    "english-v1": normalize_english_v1,
}

_APOSTROPHE = re.compile("[’‘‛ʼʻ′`´]")
_WITHOUT_DECOMPOSITION = {"Æ": "AE", "Œ": "OE", "Ø": "O", "Đ": "D", "Ð": "D", "Ł": "L", "Þ": "TH"}
_NOT_ASCII = re.compile(r"[^\x00-\x7F]")
_NOT_LETTERS = re.compile(r"[^A-Z']+")
_EDGE_APOSTROPHES = re.compile(r"(?<![A-Z])'|'(?![A-Z])")

_INITIALS = re.compile(r"\b[A-Z](?:\.[A-Z])+\b\.?")
_ABBREVIATION = re.compile(rf"(?<!')\b(?:{'|'.join(ABBREVIATIONS)})\b")
_SYMBOLS = {"%": "PERCENT", "&": "AND", "+": "PLUS", "=": "EQUALS", "@": "AT", "$": "DOLLAR", "£": "POUND", "€": "EURO"}
_SYMBOL = re.compile("[" + re.escape("".join(_SYMBOLS)) + "]")
_CURRENCIES = {
    "$": ("DOLLAR", "DOLLARS", "CENT", "CENTS"),
    "£": ("POUND", "POUNDS", "PENNY", "PENCE"),
    "€": ("EURO", "EUROS", "CENT", "CENTS"),
}
_WHOLE = r"[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+"
_MONEY = re.compile(
    rf"(?P<sign>[$£€])\s?(?P<whole>{_WHOLE})(?:\.(?P<part>[0-9]+))?"
    r"(?:\s(?P<magnitude>HUNDRED|THOUSAND|MILLION|BILLION|TRILLION)\b)?"
)
_NUMBER = re.compile(
    r"(?P<hour>\b[0-9]{1,2}):(?P<minute>[0-5][0-9])\b"
    rf"|(?P<whole>{_WHOLE})(?:\.(?P<part>[0-9]+)|(?P<ordinal>ST|ND|RD|TH)\b|(?P<plural>'?S)\b)?"
    r"|(?<![A-Z0-9.])\.(?P<fraction>[0-9]+)"
)


def _fold(text: str) -> str:
    """Upper case without accents and invisible characters, straight apostrophes."""
    # Note: apostrophes first, because the decomposition of ´ is a space with a combining accent.
    folded = unicodedata.normalize("NFKD", _APOSTROPHE.sub("'", text)).upper()
    folded = _APOSTROPHE.sub("'", unicodedata.normalize("NFKD", folded))  # upper() can make both: ŉ, ΐ
    return _NOT_ASCII.sub(_fold_letter, folded)


def _fold_letter(match: re.Match[str]) -> str:
    is_invisible = unicodedata.category(match[0]) in ("Mn", "Me", "Cf")
    return "" if is_invisible else _WITHOUT_DECOMPOSITION.get(match[0], match[0])


def _spell_money(match: re.Match[str]) -> str:
    one, many, one_part, many_parts = _CURRENCIES[match["sign"]]
    whole, part, magnitude = match["whole"], match["part"], match["magnitude"]
    if magnitude or (part and len(part) != 2):
        return f" {_spell(whole, part)} {magnitude or ''} {many} "
    amount = f"{_spell(whole)} {one if whole == '1' else many}"
    if part and part != "00":
        amount += f" AND {spell_number(int(part))} {one_part if part == '01' else many_parts}"
    return f" {amount} "


def _spell_number(match: re.Match[str]) -> str:
    if match["hour"]:
        minute = int(match["minute"])
        spelled = spell_number(int(match["hour"]))
        if minute:
            spelled += f" {'OH ' if minute < 10 else ''}{spell_number(minute)}"
    elif match["fraction"]:
        spelled = f"POINT {spell_digits(match['fraction'])}"
    elif match["ordinal"]:
        spelled = spell_ordinal(_spell(match["whole"]))
    elif match["plural"]:
        spelled = spell_plural(_spell_year_or_number(match["whole"]))
    elif match["part"]:
        spelled = _spell(match["whole"], match["part"])
    else:
        spelled = _spell_year_or_number(match["whole"])
    return f" {spelled} "


def _spell(whole: str, part: str | None = None) -> str:
    digits = whole.replace(",", "")
    by_digit = len(digits) > 9 or (len(digits) > 1 and digits[0] == "0")
    spelled = spell_digits(digits) if by_digit else spell_number(int(digits))
    return f"{spelled} POINT {spell_digits(part)}" if part else spelled


def _spell_year_or_number(whole: str) -> str:
    is_year = len(whole) == 4 and whole.isdigit() and (1100 <= int(whole) <= 1999 or 2010 <= int(whole) <= 2099)
    return spell_year(int(whole)) if is_year else _spell(whole)
