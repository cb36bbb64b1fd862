from datetime import date
from pathlib import Path

import numpy as np
import pytest

from audioroto.bench.ablation_report import read_summary, write_report
from audioroto.bench.ablation_result import JOINED_TIMES, ArmRun, Plan, read_result, write_plan
from audioroto.bench.ablation_summary import ArmSummary, Summary, summarize_ablation
from audioroto.config import Config
from audioroto.errors import UserError
from audioroto.score.results import TestSetResult, UtteranceCounts, write_record

NUM_UTTERANCES = 60
WORDS = 10


def make_result(errors: np.ndarray, ids: str) -> TestSetResult:
    total = int(errors.sum())
    return TestSetResult(
        test_set="valid",
        mode="ctc_greedy",
        lm=None,
        sentences=len(errors),
        sentence_errors=int((errors > 0).sum()),
        words=WORDS * len(errors),
        substitutions=total,
        deletions=0,
        insertions=0,
        wer=total / (WORDS * len(errors)),
        wer_low=0.0,
        wer_high=1.0,
        cer=0.1,
        utterances=UtteranceCounts(
            ids_sha256=ids, words=(WORDS,) * len(errors), errors=tuple(map(int, errors)), speakers=()
        ),
    )


def put(folder: Path, arm: str, seed: int, errors: np.ndarray, ids: str = "same") -> None:
    run = ArmRun(
        arm=arm,
        seed=seed,
        settings=Config().model_dump(mode="json"),
        inputs="x",
        parameters=1000 + seed,
        updates=10,
        audio_seconds=3600.0,
        minutes=2.0,
        rotary_base=100.0 * seed,
        train_loss=1.0,
        valid_loss=1.5,
        seconds=tuple(np.arange(len(errors), 0, -1.0)),
        joined_seconds=tuple(float(times) for times in JOINED_TIMES),
        results=tuple(make_result(errors, ids) for _ in JOINED_TIMES),
        hardware="none",
        commit="none",
        date=date(2025, 1, 1),
    )
    write_record(folder / f"{arm}-seed{seed}" / "result.json", run)
    assert read_result(folder / f"{arm}-seed{seed}" / "result.json") == run


def arm_of(summary: Summary, name: str) -> ArmSummary:
    return next(arm for arm in summary.arms if arm.name == name)


def draw_errors(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(2, 7, NUM_UTTERANCES)


def test_readings_come_from_the_intervals(tmp_path):
    errors = draw_errors()
    sign = np.where(np.arange(NUM_UTTERANCES) % 2, 1, -1)
    for arm, change in {"baseline": 0, "local": 1, "hybrid": -1, "parallel": sign}.items():
        put(tmp_path, arm, 1, errors + change)
    summary = summarize_ablation(tmp_path)
    found = {arm.name: arm.measures[0].to_baseline for arm in summary.arms}
    assert found["baseline"] is None
    assert {name: each.reading for name, each in found.items() if each} == {
        "local": "worse",
        "hybrid": "better",
        "parallel": "undecided",
    }
    assert found["local"].value == found["local"].low == found["local"].high == pytest.approx(0.1)
    lines = read_summary(summary)
    assert any(line.startswith("Against the baseline, better: hybrid -10.00") for line in lines)


def test_only_seeds_that_both_arms_have_are_compared(tmp_path):
    for seed in (1, 2, 3):
        put(tmp_path, "baseline", seed, draw_errors(seed))
    for seed in (2, 3, 4):
        put(tmp_path, "hybrid", seed, draw_errors(seed) + (0 if seed == 4 else 1))
    hybrid = arm_of(summarize_ablation(tmp_path), "hybrid")
    difference = hybrid.measures[0].to_baseline
    assert difference.seeds == (2, 3)
    assert difference.value == pytest.approx(0.1)
    assert hybrid.seeds == (2, 3, 4)
    assert hybrid.measures[0].wer == pytest.approx(np.mean(hybrid.wers))
    assert hybrid.rotary_base == pytest.approx(300.0)


def test_a_pair_is_held_against_its_partner_too(tmp_path):
    errors = draw_errors()
    for arm, change in {"baseline": 2, "qk_norm": 0, "givens": 1}.items():
        put(tmp_path, arm, 1, errors + change)
    measure = arm_of(summarize_ablation(tmp_path), "givens").measures[0]
    assert (measure.to_baseline.reading, measure.to_partner.reading) == ("better", "worse")
    assert arm_of(summarize_ablation(tmp_path), "qk_norm").measures[0].to_partner is None


def test_thirds_are_of_the_utterances_by_their_length(tmp_path):
    errors = np.repeat([6, 4, 2], NUM_UTTERANCES // 3)  # the first utterances are the longest
    put(tmp_path, "baseline", 1, errors)
    summary = summarize_ablation(tmp_path)
    assert summary.arms[0].bucket_wers == pytest.approx((0.2, 0.4, 0.6))
    assert summary.bucket_seconds == (20.0, 40.0, 60.0)


def test_runs_on_other_utterances_are_not_compared(tmp_path):
    put(tmp_path, "baseline", 1, draw_errors())
    put(tmp_path, "hybrid", 1, draw_errors(), ids="others")
    with pytest.raises(UserError, match="not measured on the same validation set"):
        summarize_ablation(tmp_path)


def test_a_partial_ablation_says_so(tmp_path):
    write_plan(tmp_path, Plan(arms=("hybrid", "baseline"), seeds=(1, 2)).joined_with(Plan(arms=("all",), seeds=(1,))))
    summary = write_report(tmp_path)
    assert (summary.num_runs, summary.num_planned) == (0, 6)
    assert "No run is finished yet" in (tmp_path / "ablation.md").read_text()
    put(tmp_path, "hybrid", 2, draw_errors())
    summary = write_report(tmp_path)
    report = (tmp_path / "ablation.md").read_text()
    assert "# Ablation: 1 of 6 runs" in report
    assert "Not run yet: baseline, all." in report
    assert arm_of(summary, "hybrid").measures[0].to_baseline is None


def test_a_damaged_result_is_named(tmp_path):
    put(tmp_path, "baseline", 1, draw_errors())
    path = tmp_path / "baseline-seed1" / "result.json"
    path.write_text(path.read_text().replace('"updates": 10', '"updates": "ten"'))
    with pytest.raises(UserError, match=r"result\.json: updates: .*Remove the run's folder"):
        summarize_ablation(tmp_path)
