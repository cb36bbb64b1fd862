"""Whether the confidences of words tell right words from wrong ones."""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audioroto.errors import UserError
from audioroto.files import atomic_path, write_text
from audioroto.score.error_rate import Alignment

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NUM_BINS = 10


@dataclass(frozen=True)
class Grades:
    """The confidences, float64, of the right words of a hypothesis and those of the wrong ones (see `grade_words`)."""

    right: np.ndarray  # (R,)
    wrong: np.ndarray  # (W,)

    @cached_property
    def auc(self) -> float:
        """The probability that a right word has a higher confidence than a wrong one, equals counting half.

        The rank statistic of Mann and Whitney (1947), the area under `roc`. NaN without a right or a wrong word.
        """
        if not (len(self.right) and len(self.wrong)):
            return math.nan
        ordered = np.sort(self.wrong)
        below, not_above = (np.searchsorted(ordered, self.right, side) for side in ("left", "right"))
        return float((below + not_above).mean() / 2 / len(ordered))

    @property
    def roc(self) -> tuple[np.ndarray, np.ndarray]:
        """Shares of the wrong and of the right words that are kept, by falling threshold, from (0, 0) to (1, 1)."""
        thresholds = np.unique(np.concatenate([self.right, self.wrong]))[::-1]
        wrong, right = (
            np.r_[0.0, 1 - np.searchsorted(np.sort(side), thresholds, "left") / max(1, len(side))]
            for side in (self.wrong, self.right)
        )
        return wrong, right

    @property
    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Right and wrong words in each of NUM_BINS equal bins of confidence from 0 to 1."""
        right, _ = np.histogram(self.right, NUM_BINS, (0.0, 1.0))
        wrong, _ = np.histogram(self.wrong, NUM_BINS, (0.0, 1.0))
        return right, wrong


def grade_words(alignments: Iterable[Alignment], confidences: Iterable[Sequence[float]]) -> Grades:
    """The confidences of each utterance's hypothesis words, apart by whether the alignment calls the word right.

    Raises ValueError when an utterance has more or fewer confidences than words.
    """
    right: list[float] = []
    wrong: list[float] = []
    for alignment, sure in zip(alignments, confidences, strict=True):
        said = [pair.operation for pair in alignment.pairs if pair.operation != "delete"]
        for operation, confidence in zip(said, sure, strict=True):
            (right if operation == "equal" else wrong).append(confidence)
    return Grades(np.array(right, dtype=np.float64), np.array(wrong, dtype=np.float64))


def grade_utterances(alignments: Mapping[str, Alignment], words: Mapping[str, Sequence[tuple[str, float]]]) -> Grades:
    """The same from the words and confidences of each utterance, normalised as what was aligned.

    Raises UserError for an utterance whose words are not those of its hypothesis.
    """
    for name, alignment in alignments.items():
        expected = [pair.hypothesis for pair in alignment.pairs if pair.operation != "delete"]
        found = [word for word, _ in words.get(name, ())]
        if found != expected:
            raise UserError(
                f"utterance {name}: the words with confidences ({' '.join(found[:8])} …) are not the hypothesis "
                f"({' '.join(expected[:8])} …); give --ctm the words.ctm that lies beside it, and a normalizer that "
                "takes words one by one"
            )
    return grade_words(alignments.values(), ([sure for _, sure in words.get(name, ())] for name in alignments))


def format_grades(grades: Grades) -> str:
    """One line: the AUC, and how many words it was found on."""
    auc = "unknown" if math.isnan(grades.auc) else f"{grades.auc:.3f}"
    return f"confidence: AUC {auc}, {len(grades.right)} right words against {len(grades.wrong)} wrong ones"


def summarize_grades(grades: Grades) -> dict[str, Any]:
    """The grades in plain values for JSON: AUC (None without both kinds), counts in all and in each bin."""
    right, wrong = grades.counts
    return {
        "auc": None if math.isnan(grades.auc) else grades.auc,
        "right": len(grades.right),
        "wrong": len(grades.wrong),
        "right_in_bins": right.tolist(),
        "wrong_in_bins": wrong.tolist(),
    }


def write_grades(folder: str | os.PathLike[str], grades: Grades) -> None:
    """Write confidence.json and confidence.png (calibration and ROC curve) into a folder."""
    from matplotlib.figure import Figure

    write_text(Path(folder, "confidence.json"), json.dumps(summarize_grades(grades), indent=2) + "\n")
    figure = Figure(figsize=(11, 5), layout="constrained")
    figure.suptitle(format_grades(grades))
    calibration, curve = figure.subplots(1, 2)
    _draw_calibration(calibration, grades)
    wrong, right = grades.roc
    curve.plot(wrong, right)
    curve.plot([0, 1], [0, 1], color="gray", linestyle=":")
    curve.set(xlabel="wrong words kept", ylabel="right words kept", title="ROC curve", aspect="equal")
    curve.grid(alpha=0.3)
    with atomic_path(Path(folder, "confidence.png")) as temporary:
        figure.savefig(temporary, dpi=100)


def _draw_calibration(axes: "Axes", grades: Grades) -> None:
    """The share of right words in each bin of confidence, with the number of words above its bar."""
    right, wrong = grades.counts
    totals = right + wrong
    centres = (np.arange(NUM_BINS) + 0.5) / NUM_BINS
    filled = totals > 0
    bars = axes.bar(centres[filled], right[filled] / totals[filled], width=0.9 / NUM_BINS)
    axes.bar_label(bars, [str(total) for total in totals[filled]], fontsize=8)
    axes.plot([0, 1], [0, 1], color="gray", linestyle=":")
    axes.set(
        xlabel="confidence", ylabel="share of right words", title="calibration, with the number of words", xlim=(0, 1)
    )
    axes.set_ylim(0, 1.1)
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
