import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from audioroto.cli.score import score
from audioroto.errors import UserError

app = typer.Typer()
app.command()(score)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "ref").mkdir()
    (tmp_path / "ref" / "text").write_text("a-1 Café, it's 5\na-2 no\nb-1 yes\n", encoding="utf-8")
    (tmp_path / "ref" / "utt2spk").write_text("a-1 a\na-2 a\nb-1 b\n", encoding="utf-8")
    (tmp_path / "hyp").write_text("a-1 CAFE IT'S\na-2\n", encoding="utf-8")
    (tmp_path / "hyp.trn").write_text("cafe it's five (a-1)\nno (a-2)\nyes (b-1)\n", encoding="utf-8")
    return tmp_path


def run(*arguments: object) -> str:
    done = CliRunner(env={"COLUMNS": "160"}).invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_scores_of_a_data_directory(data: Path) -> None:
    output = run(data / "ref", data / "hyp")
    assert "%WER 50.00 [ 2 / 4, 0 ins, 2 del, 0 sub ]\n%SER 66.67 [ 2 / 3 ]" in output
    assert "Scored 3 sentences, 1 not present in hyp." in output
    assert "over 2 speakers" in output
    assert "normalizer: librispeech-v1" in output


def test_the_normaliser_is_chosen(data: Path) -> None:
    spoken = json.loads(run(data / "ref", data / "hyp.trn", "--normalizer", "english-v1", "--json"))
    assert (spoken["words"]["errors"], spoken["words"]["reference_length"]) == (0, 5)
    assert spoken["normalizer"] == "english-v1"
    raw = json.loads(run(data / "ref", data / "hyp.trn", "--normalizer", "none", "--json"))
    assert raw["words"]["errors"] == 2
    assert raw["normalizer"] == "none"
    with pytest.raises(UserError, match="unknown normaliser 'english'"):
        run(data / "ref", data / "hyp", "--normalizer", "english")


def test_without_a_choice_the_normaliser_is_that_of_the_model(data: Path) -> None:
    for name, facts in {"new": {"normalizer": "english-v1"}, "old": {}}.items():
        (data / name).mkdir()
        (data / name / "text").write_text("a-1 cafe it's five\na-2 no\nb-1 yes\n", encoding="utf-8")
        (data / name / "recognition.json").write_text(json.dumps(facts))
    for hypothesis in (data / "new", data / "new" / "text"):
        scores = json.loads(run(data / "ref", hypothesis, "--json"))
        assert (scores["normalizer"], scores["words"]["errors"]) == ("english-v1", 0)
    assert json.loads(run(data / "ref", data / "old", "--json"))["normalizer"] == "librispeech-v1"
    assert json.loads(run(data / "ref", data / "hyp", data / "new", "--json"))["A"]["normalizer"] == "english-v1"
    with pytest.raises(UserError, match=r"differ \(english-v1, librispeech-v1\): choose one by --normalizer"):
        run(data / "ref", data / "old", data / "new")
    chosen = json.loads(run(data / "ref", data / "new", "--normalizer", "librispeech-v1", "--json"))
    assert chosen["words"]["errors"] == 1
    (data / "old" / "recognition.json").write_text('{"normalizer": ')
    with pytest.raises(UserError, match=r"recognition\.json is damaged; recognize again"):
        run(data / "ref", data / "old")


def test_two_hypotheses_are_compared(data: Path) -> None:
    output = run(data / "ref", data / "hyp", data / "hyp.trn", "--out-dir", data / "out")
    assert "WER of B - WER of A: -25.00 % absolute" in output
    for name in ("A", "B"):
        assert (data / "out" / name / "report.html").exists()
    result = json.loads(run(data / "ref", data / "hyp", data / "hyp.trn", "--json"))
    assert sorted(result) == ["A", "B", "comparison"]
    assert result["comparison"]["difference"] == -0.25


def test_json_of_references_without_words_has_no_infinity(data: Path) -> None:
    (data / "silence").write_text("a-1\n")
    (data / "said").write_text("a-1 OH\n")
    printed = run(data / "silence", data / "said", data / "silence", "--json")
    comparison = json.loads(printed, parse_constant=lambda name: 1 / 0)["comparison"]
    assert comparison["difference"] is None
    assert comparison["interval"] == {"low": None, "high": None}
    assert comparison["probability_b_better"] == 1.0


def test_the_report_goes_into_the_folder(data: Path) -> None:
    output = run(data / "ref" / "text", data / "hyp", "--out-dir", data / "out")
    assert output.startswith((data / "out" / "wer.txt").read_text("utf-8"))
    assert (data / "out" / "per_speaker.tsv").exists()


def test_speakers_may_lie_elsewhere(data: Path) -> None:
    (data / "speakers").write_text("a-1 x\na-2 y\nb-1 z\n", encoding="utf-8")
    assert "over 3 speakers" in run(data / "ref", data / "hyp", "--utt2spk", data / "speakers")
    with pytest.raises(UserError, match="nothing does not exist"):
        run(data / "ref", data / "hyp", "--utt2spk", data / "nothing")


def test_an_unknown_utterance_is_refused(data: Path) -> None:
    (data / "hyp").write_text("a-1 CAFE\nc-1 CAFE\n", encoding="utf-8")
    with pytest.raises(UserError, match="1 hypotheses have no reference, the first is c-1"):
        run(data / "ref", data / "hyp")


def test_confidences_are_graded(data: Path) -> None:
    # The ctm holds the words before the normaliser.
    (data / "words.ctm").write_text(";; words\na-1 1 0.00 0.20 cafe 0.900\na-1 1 0.20 0.30 its 0.200\n", "utf-8")
    (data / "hyp").write_text("a-1 cafe its\n", encoding="utf-8")
    output = run(data / "ref", data / "hyp", "--ctm", data / "words.ctm", "--out-dir", data / "out")
    assert "confidence: AUC 1.000, 1 right words against 1 wrong ones" in output
    assert (data / "out" / "confidence.png").exists()
    summary = json.loads(run(data / "ref", data / "hyp", "--ctm", data / "words.ctm", "--json"))
    assert summary["confidence"]["auc"] == 1.0
    with pytest.raises(UserError, match="of one hypothesis"):
        run(data / "ref", data / "hyp", data / "hyp.trn", "--ctm", data / "words.ctm")
    (data / "words.ctm").write_text("a-1 1 0.00 0.20 cafe\n", "utf-8")
    with pytest.raises(UserError, match="the word cafe of a-1 has no confidence"):
        run(data / "ref", data / "hyp", "--ctm", data / "words.ctm")
