import pytest

from audioroto.errors import UserError
from audioroto.score.error_rate import ErrorRate
from audioroto.score.evaluation import compare, evaluate

REFERENCES = {"a-1": "ONE TWO THREE", "a-2": "FOUR", "b-1": "FIVE SIX", "b-2": ""}
SPEAKERS = {"a-1": "a", "a-2": "a", "b-1": "b", "b-2": "b", "c-1": "c"}


def test_an_evaluation_has_all_counts() -> None:
    evaluation = evaluate(REFERENCES, {"a-1": "ONE TOO THREE", "b-1": "FIVE SIX", "b-2": "OH"}, "x-v1", SPEAKERS)
    assert evaluation.word_errors == ErrorRate(hits=4, substitutions=1, deletions=1, insertions=1)
    assert evaluation.character_errors.errors == 1 + 4 + 2
    assert evaluation.sentence_errors == 3
    assert evaluation.missing == ("a-2",)
    assert evaluation.speaker_words == {"a": ErrorRate(2, 1, 1, 0), "b": ErrorRate(2, 0, 0, 1)}
    assert evaluation.interval.low < evaluation.word_errors.rate < evaluation.interval.high
    assert evaluation.speaker_interval is not None
    assert (evaluation.speaker_interval.low, evaluation.speaker_interval.high) == (0.5, 0.5)
    assert evaluation.normalizer == "x-v1"


def test_without_speakers_there_is_no_interval_over_them() -> None:
    evaluation = evaluate(REFERENCES, REFERENCES, "x-v1")
    assert evaluation.speaker_words == {}
    assert evaluation.speaker_interval is None
    assert evaluation.word_errors == ErrorRate(hits=6)


def test_only_silence_can_be_scored() -> None:
    evaluation = evaluate({"u1": "", "u2": ""}, {"u1": "OH"}, "x-v1")
    assert (evaluation.interval.low, evaluation.interval.high) == (0.0, float("inf"))


def test_two_evaluations_compare_by_utterance() -> None:
    worse = evaluate(REFERENCES, {"a-1": "ONE TWO THREE"}, "x-v1")
    better = evaluate(dict(reversed(REFERENCES.items())), REFERENCES, "x-v1")
    comparison = compare(worse, better)
    assert comparison.difference == -3 / 6
    assert comparison.probability_b_better > 0.8
    with pytest.raises(UserError, match="not of the same references"):
        compare(worse, evaluate({"a-1": "ONE"}, {}, "x-v1"))


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(UserError, match="no reference utterances"):
        evaluate({}, {}, "x-v1")
    with pytest.raises(UserError, match=r"2 utterances have no speaker, the first is b-1"):
        evaluate(REFERENCES, {}, "x-v1", {"a-1": "a", "a-2": "a"})
    with pytest.raises(UserError, match="the first is c-1"):
        evaluate(REFERENCES, {"c-1": "X"}, "x-v1")
