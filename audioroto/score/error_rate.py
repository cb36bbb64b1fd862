"""How far a hypothesis is from its reference: the cheapest alignment, its counts and their rate."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal, NamedTuple

from audioroto.errors import UserError

Operation = Literal["equal", "substitute", "delete", "insert"]
Unit = Literal["word", "character"]


@dataclass(frozen=True)
class ErrorRate:
    """Counts of an alignment of hypothesis words (or characters) with the reference; adding pools them."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def reference_length(self) -> int:
        """Words in the reference, H + S + D."""
        return self.hits + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        """The edit distance, S + D + I."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors for each reference word; 0 where nothing was to be said and nothing was, else infinite."""
        if self.reference_length == 0:
            return math.inf if self.errors else 0.0
        return self.errors / self.reference_length

    def __add__(self, other: "ErrorRate") -> "ErrorRate":
        return ErrorRate(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


class AlignedPair(NamedTuple):
    """One step of an alignment; the side that has no word there is empty."""

    operation: Operation
    reference: str
    hypothesis: str


@dataclass(frozen=True)
class Alignment:
    """A cheapest way from reference to hypothesis, step by step. Several may be equally cheap; this is one of them."""

    pairs: tuple[AlignedPair, ...]

    @property
    def error_rate(self) -> ErrorRate:
        """The counts of this alignment."""
        operations = [pair.operation for pair in self.pairs]
        return ErrorRate(*(operations.count(kind) for kind in ("equal", "substitute", "delete", "insert")))


def score_utterances(
    references: Mapping[str, str], hypotheses: Mapping[str, str], unit: Unit = "word"
) -> dict[str, ErrorRate]:
    """Errors of each reference utterance, in the references' order; a missing hypothesis counts as an empty one.

    Raises UserError for a hypothesis whose id is not among the references.
    """
    return {name: alignment.error_rate for name, alignment in align_utterances(references, hypotheses, unit).items()}


def align_utterances(
    references: Mapping[str, str], hypotheses: Mapping[str, str], unit: Unit = "word"
) -> dict[str, Alignment]:
    """The alignment of each reference utterance with its hypothesis, as `score_utterances` counts them."""
    unknown = sorted(hypotheses.keys() - references.keys())
    if unknown:
        raise UserError(
            f"{len(unknown)} hypotheses have no reference, the first is {unknown[0]}: score a hypothesis against the "
            "data directory that was recognized"
        )
    spoken = [hypotheses.get(name, "") for name in references]
    return dict(zip(references, align_texts(list(references.values()), spoken, unit), strict=True))


def align_texts(references: Sequence[str], hypotheses: Sequence[str], unit: Unit) -> list[Alignment]:
    """Align each reference with the hypothesis at its place, by jiwer's Levenshtein alignment."""
    import jiwer

    if not references:
        return []
    # Note: jiwer splits at plain spaces only, so a tab or a no-break space would make one word of two.
    references = [" ".join(text.split()) for text in references]
    hypotheses = [" ".join(text.split()) for text in hypotheses]
    process = jiwer.process_words if unit == "word" else jiwer.process_characters
    output = process(references, hypotheses)
    return [
        Alignment(tuple(pair for chunk in chunks for pair in _iter_pairs(chunk, reference, hypothesis)))
        for chunks, reference, hypothesis in zip(output.alignments, output.references, output.hypotheses, strict=True)
    ]


def sum_rates(rates: Mapping[str, ErrorRate]) -> ErrorRate:
    """The pooled counts of all utterances."""
    return sum(rates.values(), start=ErrorRate())


def sum_by_speaker(rates: Mapping[str, ErrorRate], speakers: Mapping[str, str]) -> dict[str, ErrorRate]:
    """The pooled counts of each speaker, sorted by name; `speakers` gives each utterance's."""
    pooled: dict[str, ErrorRate] = {}
    for name, rate in rates.items():
        pooled[speakers[name]] = pooled.get(speakers[name], ErrorRate()) + rate
    return dict(sorted(pooled.items()))


def _iter_pairs(chunk: Any, reference: list[str], hypothesis: list[str]) -> Iterator[AlignedPair]:
    """Single steps of one of jiwer's chunks, each a run of steps of one kind."""
    expected = reference[chunk.ref_start_idx : chunk.ref_end_idx]
    spoken = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
    for pair in zip_longest(expected, spoken, fillvalue=""):
        yield AlignedPair(chunk.type, *pair)
