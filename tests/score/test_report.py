import io
import json
import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from audioroto.score.error_rate import ErrorRate, align_texts
from audioroto.score.evaluation import Evaluation, compare, evaluate
from audioroto.score.report import (
    count_confusions,
    format_alignment,
    format_comparison,
    format_confusions,
    format_error_line,
    format_rates,
    format_scores,
    make_summary_table,
    write_report,
)

REFERENCES = {"a-1": "THE CAT SAT ON THE MAT", "a-2": "A CAT", "b-1": "YES"}
HYPOTHESES = {"a-1": "THE BAT SAT THE MAT NOW", "a-2": "A BAT"}


def make_evaluation() -> Evaluation:
    return evaluate(REFERENCES, HYPOTHESES, "librispeech-v1", {"a-1": "a", "a-2": "a", "b-1": "b"})


def test_the_kaldi_line() -> None:
    line = format_error_line("WER", ErrorRate(hits=18954, substitutions=980, deletions=204, insertions=183))
    assert line == "%WER 6.79 [ 1367 / 20138, 183 ins, 204 del, 980 sub ]"
    assert format_error_line("WER", ErrorRate(insertions=2)) == "%WER inf [ 2 / 0, 2 ins, 0 del, 0 sub ]"


def test_the_scores_name_the_normaliser_and_what_was_missing() -> None:
    assert format_scores(make_evaluation()).splitlines() == [
        "%WER 55.56 [ 5 / 9, 1 ins, 2 del, 2 sub ]",
        "%SER 100.00 [ 3 / 3 ]",
        "%CER 40.00 [ 12 / 30, 4 ins, 6 del, 2 sub ]",
        "Scored 3 sentences, 1 not present in hyp.",
        "95 % interval of WER over utterances: 50.00 to 100.00",
        "95 % interval of WER over 2 speakers: 50.00 to 100.00",
        "normalizer: librispeech-v1",
    ]


def test_alignments_stand_in_columns() -> None:
    alignment = align_texts([REFERENCES["a-1"]], [HYPOTHESES["a-1"]], "word")[0]
    assert format_alignment(alignment).splitlines() == [
        "REF:  THE CAT SAT ON THE MAT ***",
        "HYP:  THE BAT SAT ** THE MAT NOW",
        "EVAL:     S       D          I",
    ]


@settings(deadline=None, max_examples=200)
@given(*[st.lists(st.sampled_from(["A", "BB", "CCC", "DDDD"]), max_size=8).map(" ".join)] * 2)
def test_alignment_rows_tell_both_texts(reference: str, hypothesis: str) -> None:
    rows = format_alignment(align_texts([reference], [hypothesis], "word")[0]).splitlines()
    said, heard, marks = (row[6:] for row in rows)
    assert [word for word in said.split() if "*" not in word] == reference.split()
    assert [word for word in heard.split() if "*" not in word] == hypothesis.split()
    starts = [match.start() for match in re.finditer(r"\S+", said)]
    assert starts == [match.start() for match in re.finditer(r"\S+", heard)]
    assert {match.start() for match in re.finditer(r"\S", marks)} <= set(starts)


def test_confusions_are_counted_most_frequent_first() -> None:
    confusions = count_confusions(make_evaluation().alignments.values())
    assert [(pair.reference, pair.hypothesis, count) for pair, count in confusions["substitute"]] == [("CAT", "BAT", 2)]
    assert [(pair.reference, count) for pair, count in confusions["delete"]] == [("ON", 1), ("YES", 1)]
    assert [(pair.hypothesis, count) for pair, count in confusions["insert"]] == [("NOW", 1)]
    assert format_confusions(make_evaluation().alignments.values()).splitlines() == [
        "confused: reference -> hypothesis (2)",
        "     2  CAT -> BAT",
        "",
        "deleted (2)",
        "     1  ON",
        "     1  YES",
        "",
        "inserted (1)",
        "     1  NOW",
    ]


def test_tables_have_a_row_for_each() -> None:
    assert format_rates(make_evaluation().speaker_words, "speaker").splitlines() == [
        "speaker\twer\twords\thits\tsubstitutions\tdeletions\tinsertions",
        "a\t0.5000\t8\t5\t2\t1\t1",
        "b\t1.0000\t1\t0\t0\t1\t0",
    ]
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(make_summary_table({"exp/[1]test": make_evaluation()}))
    text = console.export_text()
    assert "normalizer: librispeech-v1" in text
    assert re.search(r"exp/\[1\]test +55\.56 +50\.00 to 100\.00 +40\.00 +100\.00 +9 +2 +2 +1\b", text)


def test_the_comparison_is_one_line() -> None:
    better = evaluate(REFERENCES, REFERENCES, "librispeech-v1")
    line = format_comparison(compare(make_evaluation(), better), "A", "B")
    assert line == (
        "WER of B - WER of A: -55.56 % absolute, 95 % interval -100.00 to -50.00; "
        "probability that B is better: 1.000 (paired bootstrap)"
    )


def test_the_report_folder_has_everything(tmp_path: Path) -> None:
    write_report(tmp_path / "score", make_evaluation(), REFERENCES, HYPOTHESES)
    assert sorted(path.name for path in (tmp_path / "score").iterdir()) == [
        "alignments.txt",
        "confusions.txt",
        "hyp.trn",
        "per_speaker.tsv",
        "per_utterance.tsv",
        "ref.trn",
        "report.html",
        "score.json",
        "wer.txt",
    ]
    assert (tmp_path / "score" / "hyp.trn").read_text("utf-8").splitlines()[1:] == ["A BAT (a-2)", "(b-1)"]
    assert "a-2 %WER 50.00 [ 1 / 2, 0 ins, 0 del, 1 sub ]\nREF:  A CAT\n" in (
        tmp_path / "score" / "alignments.txt"
    ).read_text("utf-8")
    summary = json.loads((tmp_path / "score" / "score.json").read_text("utf-8"))
    assert summary["normalizer"] == "librispeech-v1"
    assert summary["words"]["rate"] == 5 / 9
    assert summary["missing"] == ["b-1"]
    assert summary["speakers"]["b"]["deletions"] == 1


def test_json_has_no_infinity(tmp_path: Path) -> None:
    write_report(tmp_path, evaluate({"u": ""}, {"u": "OH"}, "librispeech-v1"), {"u": ""}, {"u": "OH"})
    summary = json.loads((tmp_path / "score.json").read_text("utf-8"), parse_constant=lambda name: 1 / 0)
    assert summary["words"]["rate"] is None
    assert summary["interval_over_utterances"] == [None, None]
