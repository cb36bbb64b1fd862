"""An evaluation as text: Kaldi's lines, tables, confusions, aligned sentences; and a folder with all of it."""

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audioroto.files import write_text
from audioroto.score.error_rate import AlignedPair, Alignment, ErrorRate
from audioroto.score.evaluation import Evaluation
from audioroto.score.html import format_html
from audioroto.score.sclite import format_trn
from audioroto.score.significance import CONFIDENCE, Interval, PairedComparison

if TYPE_CHECKING:
    from rich.table import Table

EVAL_MARKS = {"equal": " ", "substitute": "S", "delete": "D", "insert": "I"}


def format_error_line(name: str, rate: ErrorRate) -> str:
    """Kaldi's line, `%WER 6.79 [ 1367 / 20138, 183 ins, 204 del, 980 sub ]`, for any kind of rate."""
    return (
        f"%{name} {100 * rate.rate:.2f} [ {rate.errors} / {rate.reference_length}, "
        f"{rate.insertions} ins, {rate.deletions} del, {rate.substitutions} sub ]"
    )


def format_scores(evaluation: Evaluation) -> str:
    """The lines a script reads: WER, SER and CER as Kaldi writes them, then the intervals and the normaliser."""
    sentences = len(evaluation.words)
    lines = [
        format_error_line("WER", evaluation.word_errors),
        f"%SER {100 * evaluation.sentence_errors / sentences:.2f} [ {evaluation.sentence_errors} / {sentences} ]",
        format_error_line("CER", evaluation.character_errors),
        f"Scored {sentences} sentences, {len(evaluation.missing)} not present in hyp.",
        f"{_CONFIDENCE} interval of WER over utterances: {format_interval(evaluation.interval)}",
    ]
    if evaluation.speaker_interval:
        over = f"{len(evaluation.speaker_words)} speakers"
        lines.append(f"{_CONFIDENCE} interval of WER over {over}: {format_interval(evaluation.speaker_interval)}")
    return "\n".join([*lines, f"normalizer: {evaluation.normalizer}"]) + "\n"


def format_interval(interval: Interval) -> str:
    """An interval of rates in percent: `6.42 to 7.18`."""
    return f"{100 * interval.low:.2f} to {100 * interval.high:.2f}"


def format_comparison(comparison: PairedComparison, name_a: str, name_b: str) -> str:
    """One line: how much better or worse B is than A, how sure that is."""
    return (
        f"WER of {name_b} - WER of {name_a}: {100 * comparison.difference:+.2f} % absolute, "
        f"{_CONFIDENCE} interval {100 * comparison.interval.low:+.2f} to {100 * comparison.interval.high:+.2f}; "
        f"probability that {name_b} is better: {comparison.probability_b_better:.3f} (paired bootstrap)"
    )


def make_summary_table(evaluations: Mapping[str, Evaluation]) -> "Table":
    """One row for each named evaluation, for the terminal."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    normalizers = ", ".join(sorted({evaluation.normalizer for evaluation in evaluations.values()}))
    table = Table("", title=f"normalizer: {normalizers}", box=box.SIMPLE_HEAD)
    for heading in ("WER %", f"{_CONFIDENCE} interval", "CER %", "SER %", "words", "sub", "del", "ins"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, evaluation in evaluations.items():
        words = evaluation.word_errors
        counts = (words.reference_length, words.substitutions, words.deletions, words.insertions)
        table.add_row(
            escape(name),
            f"{100 * words.rate:.2f}",
            format_interval(evaluation.interval),
            f"{100 * evaluation.character_errors.rate:.2f}",
            f"{100 * evaluation.sentence_errors / len(evaluation.words):.2f}",
            *map(str, counts),
        )
    return table


def format_rates(rates: Mapping[str, ErrorRate], heading: str) -> str:
    """A tab-separated table of counts, one row for each utterance or speaker."""
    rows = [f"{heading}\twer\twords\thits\tsubstitutions\tdeletions\tinsertions"]
    for name, rate in rates.items():
        counts = (rate.reference_length, rate.hits, rate.substitutions, rate.deletions, rate.insertions)
        rows.append("\t".join([name, f"{rate.rate:.4f}", *map(str, counts)]))
    return "\n".join(rows) + "\n"


def count_confusions(alignments: Iterable[Alignment]) -> dict[str, list[tuple[AlignedPair, int]]]:
    """How often each word was replaced by which, deleted, or inserted: by operation, most frequent first."""
    counts = Counter(pair for alignment in alignments for pair in alignment.pairs if pair.operation != "equal")
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {
        operation: [(pair, count) for pair, count in ordered if pair.operation == operation]
        for operation in ("substitute", "delete", "insert")
    }


def format_confusions(alignments: Iterable[Alignment]) -> str:
    """Confused, deleted and inserted words with their counts, all of them, most frequent first."""
    headings = {"substitute": "confused: reference -> hypothesis", "delete": "deleted", "insert": "inserted"}
    sections = []
    for operation, pairs in count_confusions(alignments).items():
        words = [(" -> ".join(filter(None, (pair.reference, pair.hypothesis))), count) for pair, count in pairs]
        rows = [f"{count:6d}  {word}" for word, count in words]
        sections.append("\n".join([f"{headings[operation]} ({sum(count for _, count in words)})", *rows]) + "\n")
    return "\n".join(sections)


def format_alignment(alignment: Alignment) -> str:
    """Three rows, REF, HYP and EVAL, whose words stand in columns; a word that one side lacks is asterisks."""
    rows: tuple[list[str], list[str], list[str]] = (["REF: "], ["HYP: "], ["EVAL:"])
    for operation, reference, hypothesis in alignment.pairs:
        width = max(len(reference), len(hypothesis))
        rows[0].append((reference or "*" * width).ljust(width))
        rows[1].append((hypothesis or "*" * width).ljust(width))
        rows[2].append(EVAL_MARKS[operation].ljust(width))
    return "".join(" ".join(row).rstrip() + "\n" for row in rows)


def format_alignments(evaluation: Evaluation) -> str:
    """Every utterance with its Kaldi line and its alignment."""
    return "\n".join(
        f"{name} {format_error_line('WER', evaluation.words[name])}\n{format_alignment(alignment)}"
        for name, alignment in evaluation.alignments.items()
    )


def make_summary(evaluation: Evaluation) -> dict[str, Any]:
    """The evaluation in plain dictionaries for JSON: rates are fractions, None where there are no reference words."""
    speaker_interval = evaluation.speaker_interval
    return {
        "normalizer": evaluation.normalizer,
        "words": _describe(evaluation.word_errors),
        "characters": _describe(evaluation.character_errors),
        "interval_over_utterances": _describe_interval(evaluation.interval),
        "interval_over_speakers": _describe_interval(speaker_interval) if speaker_interval else None,
        "sentences": len(evaluation.words),
        "sentence_errors": evaluation.sentence_errors,
        "missing": list(evaluation.missing),
        "speakers": {name: _describe(rate) for name, rate in evaluation.speaker_words.items()},
    }


def make_comparison_summary(comparison: PairedComparison) -> dict[str, Any]:
    """The comparison in plain dictionaries for JSON, as `make_summary` has the evaluation."""
    return {
        "difference": _finite(comparison.difference),
        "interval": {"low": _finite(comparison.interval.low), "high": _finite(comparison.interval.high)},
        "probability_b_better": comparison.probability_b_better,
    }


def write_report(
    folder: str | os.PathLike[str],
    evaluation: Evaluation,
    references: Mapping[str, str],
    hypotheses: Mapping[str, str],
) -> None:
    """Write the evaluation into a folder: scores, tables, confusions, alignments, HTML page, sclite's files, JSON.

    `references` and `hypotheses` are the normalised texts that were evaluated.
    """
    contents = {
        "wer.txt": format_scores(evaluation),
        "per_utterance.tsv": format_rates(evaluation.words, "utterance"),
        "confusions.txt": format_confusions(evaluation.alignments.values()),
        "alignments.txt": format_alignments(evaluation),
        "report.html": format_html(evaluation, count_confusions(evaluation.alignments.values())),
        "ref.trn": format_trn(references),
        "hyp.trn": format_trn({name: hypotheses.get(name, "") for name in references}),
        "score.json": json.dumps(make_summary(evaluation), indent=2, ensure_ascii=False) + "\n",
    }
    if evaluation.speaker_words:
        contents["per_speaker.tsv"] = format_rates(evaluation.speaker_words, "speaker")
    for name, content in contents.items():
        write_text(Path(folder, name), content)


_CONFIDENCE = f"{CONFIDENCE:.0%}".replace("%", " %")


def _describe(rate: ErrorRate) -> dict[str, float | int | None]:
    return {
        "rate": _finite(rate.rate),
        "reference_length": rate.reference_length,
        "errors": rate.errors,
        "hits": rate.hits,
        "substitutions": rate.substitutions,
        "deletions": rate.deletions,
        "insertions": rate.insertions,
    }


def _describe_interval(interval: Interval) -> list[float | None]:
    return [_finite(interval.low), _finite(interval.high)]


def _finite(rate: float) -> float | None:
    return rate if math.isfinite(rate) else None
