"""Capitals to sentence case, as far as that can be known from the words alone."""

import re


def make_sentence_case(text: str, *, starts_sentence: bool = True) -> str:
    """Text in capitals in lower case, but for its first letter if it `starts_sentence`, and for the pronoun I.

    Names and acronyms lose their capitals, which words alone do not tell; no punctuation is added. A text that has a
    lower-case letter already is left as it is. The words stay the same words, one for one.
    """
    if text != text.upper():
        return text
    lowered = _PRONOUN.sub("I", text.lower())
    return _FIRST_LETTER.sub(lambda match: match[0].upper(), lowered, count=1) if starts_sentence else lowered


_PRONOUN = re.compile(r"(?<![\w'’])i(?=['’](?:m|ll|ve|d)\b|(?![\w'’]))")
_FIRST_LETTER = re.compile(r"[^\W\d_]")
