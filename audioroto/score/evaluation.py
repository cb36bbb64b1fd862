"""One recogniser's output on one test set, scored: everything that tables, pages and result files are made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from audioroto.errors import UserError
from audioroto.score.error_rate import (
    Alignment,
    ErrorRate,
    align_utterances,
    score_utterances,
    sum_by_speaker,
    sum_rates,
)
from audioroto.score.significance import Interval, PairedComparison, bootstrap_interval, paired_bootstrap


@dataclass(frozen=True)
class Evaluation:
    """Alignments and counts of each reference utterance, sorted by id, and what follows from them."""

    normalizer: str  # name of what was applied to references and hypotheses before
    alignments: Mapping[str, Alignment]  # of words
    words: Mapping[str, ErrorRate]
    characters: Mapping[str, ErrorRate]
    speakers: Mapping[str, str]  # empty when they are not known
    missing: tuple[str, ...]  # utterances without a hypothesis: all their words are deletions

    @cached_property
    def word_errors(self) -> ErrorRate:
        """Pooled word errors."""
        return sum_rates(self.words)

    @cached_property
    def character_errors(self) -> ErrorRate:
        """Pooled character errors."""
        return sum_rates(self.characters)

    @cached_property
    def sentence_errors(self) -> int:
        """Utterances with at least one wrong word."""
        return sum(rate.errors > 0 for rate in self.words.values())

    @cached_property
    def speaker_words(self) -> dict[str, ErrorRate]:
        """Word errors of each speaker; empty when the speakers are not known."""
        return sum_by_speaker(self.words, self.speakers) if self.speakers else {}

    @cached_property
    def interval(self) -> Interval:
        """95 % interval of the word error rate over utterances."""
        return _interval_over(self.words)

    @cached_property
    def speaker_interval(self) -> Interval | None:
        """95 % interval of the word error rate over speakers; None with fewer than two known speakers."""
        return _interval_over(self.speaker_words) if len(self.speaker_words) > 1 else None


def evaluate(
    references: Mapping[str, str],
    hypotheses: Mapping[str, str],
    normalizer: str,
    speakers: Mapping[str, str] | None = None,
) -> Evaluation:
    """Score hypotheses against references, both normalised by `normalizer` already; only its name is kept here.

    `speakers` gives each utterance's speaker. A missing hypothesis counts as empty. Raises UserError when there are no
    references, when a hypothesis has none, and when an utterance has no speaker though others have.
    """
    if not references:
        raise UserError("there are no reference utterances to score against")
    unassigned = [name for name in references if name not in speakers] if speakers else []
    if unassigned:
        raise UserError(f"{len(unassigned)} utterances have no speaker, the first is {unassigned[0]}: complete utt2spk")
    references = dict(sorted(references.items()))  # one order for all, so that a seed draws the same samples
    alignments = align_utterances(references, hypotheses)
    return Evaluation(
        normalizer=normalizer,
        alignments=alignments,
        words={name: alignment.error_rate for name, alignment in alignments.items()},
        characters=score_utterances(references, hypotheses, "character"),
        speakers={name: speakers[name] for name in references} if speakers else {},
        missing=tuple(name for name in references if name not in hypotheses),
    )


def compare(a: Evaluation, b: Evaluation) -> PairedComparison:
    """Paired bootstrap over utterances of two evaluations against the same references; negative: `b` is better."""
    lengths = {name: rate.reference_length for name, rate in a.words.items()}
    if lengths != {name: rate.reference_length for name, rate in b.words.items()}:
        raise UserError("the two evaluations are not of the same references: score both against one")
    errors_b = [b.words[name].errors for name in lengths]
    return paired_bootstrap([rate.errors for rate in a.words.values()], errors_b, list(lengths.values()))


def _interval_over(units: Mapping[str, ErrorRate]) -> Interval:
    rates = units.values()
    return bootstrap_interval([rate.errors for rate in rates], [rate.reference_length for rate in rates])
