"""What a recording says."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Transcript:
    """The text of one recording of `seconds`, and the search's score of it (log-probability)."""

    text: str
    seconds: float
    score: float
