import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audioroto.errors import UserError
from audioroto.score.confidence import NUM_BINS, Grades, format_grades, grade_utterances, grade_words, write_grades
from audioroto.score.error_rate import align_texts, align_utterances

CONFIDENCES = st.lists(st.integers(0, 6).map(lambda number: number / 6), max_size=30).map(np.array)


@given(CONFIDENCES, CONFIDENCES)
def test_auc_counts_pairs_and_is_the_area_under_the_curve(right, wrong):
    grades = Grades(right, wrong)
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in itertools.product(right, wrong)]
    if not pairs:
        assert math.isnan(grades.auc)
        return
    assert grades.auc == pytest.approx(np.mean(pairs))
    kept_wrong, kept_right = grades.roc
    assert np.trapezoid(kept_right, kept_wrong) == pytest.approx(grades.auc)
    for kept in grades.roc:
        assert (kept[0], kept[-1]) == (0, 1)
        assert (np.diff(kept) >= 0).all()


@given(CONFIDENCES, CONFIDENCES)
def test_every_word_is_in_a_bin(right, wrong):
    in_bins = Grades(right, wrong).counts
    assert [counts.sum() for counts in in_bins] == [len(right), len(wrong)]
    assert [len(counts) for counts in in_bins] == [NUM_BINS, NUM_BINS]


def test_words_are_right_or_wrong_as_the_alignment_says():
    alignments = align_texts(["A B C", "A", ""], ["A X C D", "", "E"], "word")
    grades = grade_words(alignments, [[0.9, 0.4, 0.8, 0.3], [], [0.2]])
    assert grades.right.tolist() == [0.9, 0.8]
    assert grades.wrong.tolist() == [0.4, 0.3, 0.2]
    assert format_grades(grades) == "confidence: AUC 1.000, 2 right words against 3 wrong ones"
    with pytest.raises(ValueError, match="shorter"):
        grade_words(alignments, [[0.9, 0.4, 0.8], [], [0.2]])


def test_words_of_another_hypothesis_are_refused():
    alignments = align_utterances({"a": "ONE TWO", "b": "ONE"}, {"a": "ONE TOO"})
    assert grade_utterances(alignments, {"a": [("ONE", 0.9), ("TOO", 0.1)]}).auc == 1.0
    for words in ({}, {"a": [("ONE", 0.9), ("TWO", 0.1)]}, {"a": [("ONE", 0.9)]}):
        with pytest.raises(UserError, match="utterance a: the words"):
            grade_utterances(alignments, words)


@pytest.mark.parametrize("wrong", [[0.1, 0.1, 1.0], []])
def test_the_picture_and_its_figures(tmp_path: Path, wrong: list[float]):
    write_grades(tmp_path, Grades(np.array([0.5, 1.0]), np.array(wrong)))
    assert (tmp_path / "confidence.png").read_bytes().startswith(b"\x89PNG")
    figures = json.loads((tmp_path / "confidence.json").read_text())
    assert (figures["auc"] is None) == (not wrong)
    assert (sum(figures["right_in_bins"]), sum(figures["wrong_in_bins"])) == (2, len(wrong))
