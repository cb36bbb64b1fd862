"""What the runs of an ablation say, arm by arm: everything that its report shows, computed from their JSON files."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from audioroto.bench.ablation_arms import ARMS, Arm
from audioroto.bench.ablation_result import JOINED_TIMES, ArmRun, read_plan, read_results
from audioroto.errors import UserError
from audioroto.score.results import Record
from audioroto.score.significance import bootstrap_interval, paired_bootstrap

NUM_BUCKETS = 3


class Difference(Record):
    """Error rate of an arm − error rate of another one at the same seeds, with its 95 % interval; all fractions."""

    seeds: tuple[int, ...]
    value: float
    low: float
    high: float
    reading: str  # better, worse or undecided: by the interval alone


class Measure(Record):
    """Error rate at one length of the audio, all seeds pooled, and differences where the other arm has been run."""

    times: int  # utterances that were joined into one
    wer: float
    low: float
    high: float
    to_baseline: Difference | None
    to_partner: Difference | None  # the arm's `against`, where that is not the baseline


class ArmSummary(Record):
    """An arm over all its seeds; what is not an error rate is the mean over the seeds."""

    name: str
    title: str
    kind: str
    changes: tuple[str, ...]
    against: str
    seeds: tuple[int, ...]
    wers: tuple[float, ...]  # of each seed
    measures: tuple[Measure, ...]  # at each of JOINED_TIMES
    bucket_wers: tuple[float, ...]  # of the short, middle and long utterances
    parameters: int
    feedforward_width: int
    minutes: float
    audio_hours: float  # trained on, an utterance in two views counted once
    audio_rate: float  # seconds of audio trained on in a second
    train_loss: float
    valid_loss: float
    loss_gap: float
    rotary_base: float | None


class Summary(Record):
    """The ablation so far."""

    num_runs: int
    num_planned: int
    seeds: tuple[int, ...]
    updates: tuple[int, ...]  # each number that occurs: one, if the runs are matched
    audio_hours: tuple[float, float]  # least and most that a run was trained on
    words: int  # of the validation set
    bucket_seconds: tuple[float, ...]  # longest utterance of each bucket
    joined_seconds: tuple[float, ...]  # mean length at each of JOINED_TIMES
    arms: tuple[ArmSummary, ...]  # those with a finished run
    waiting: tuple[str, ...]  # planned arms without one


def summarize_ablation(out_dir: Path) -> Summary:
    """Everything that OUT's `plan.json` and result files say. Raises UserError for runs that cannot be compared."""
    plan, runs = read_plan(out_dir), read_results(out_dir)
    by_arm = {name: [run for run in runs if run.arm == name] for name in dict.fromkeys(run.arm for run in runs)}
    hours = [run.audio_seconds / 3600 for run in runs]
    buckets = _split_by_length(runs[0]) if runs else []
    planned = {(arm, seed) for arm in plan.arms for seed in plan.seeds} | {(run.arm, run.seed) for run in runs}
    return Summary(
        num_runs=len(runs),
        num_planned=len(planned),
        seeds=tuple(sorted({run.seed for run in runs})),
        updates=tuple(sorted({run.updates for run in runs})),
        audio_hours=(min(hours, default=0.0), max(hours, default=0.0)),
        words=runs[0].results[0].words if runs else 0,
        bucket_seconds=tuple(max((runs[0].seconds[place] for place in bucket), default=0.0) for bucket in buckets),
        joined_seconds=runs[0].joined_seconds if runs else (),
        arms=tuple(_summarize_arm(ARMS[name], by_arm, buckets) for name in by_arm),
        waiting=tuple(name for name in plan.arms if name not in by_arm),
    )


def compare_arms(a: Sequence[ArmRun], b: Sequence[ArmRun], place: int) -> Difference | None:
    """Paired bootstrap of arm `b` against arm `a` at JOINED_TIMES[place]; negative: `b` is better.

    What is drawn anew is utterances, each with its errors at all seeds that both arms have: the interval tells what
    other utterances would give, not what other seeds would. None without a common seed.
    """
    seeds = sorted({run.seed for run in a} & {run.seed for run in b})
    if not seeds:
        return None
    words, errors_a = _pool([run for run in a if run.seed in seeds], place)
    _, errors_b = _pool([run for run in b if run.seed in seeds], place)
    if _identify(a[0], place) != _identify(b[0], place):
        raise UserError(f"{a[0].arm} and {b[0].arm} were not measured on the same validation set; give another --out")
    found = paired_bootstrap(errors_a, errors_b, words)
    low, high = found.interval.low, found.interval.high
    reading = "better" if high < 0 else "worse" if low > 0 else "undecided"
    return Difference(seeds=tuple(seeds), value=found.difference, low=low, high=high, reading=reading)


def _summarize_arm(arm: Arm, by_arm: dict[str, list[ArmRun]], buckets: list[np.ndarray]) -> ArmSummary:
    runs = by_arm[arm.name]
    words, errors = _pool(runs, 0)
    bases = [run.rotary_base for run in runs if run.rotary_base is not None]
    return ArmSummary(
        name=arm.name,
        title=arm.title,
        kind=arm.kind,
        changes=tuple(_resolve(change, runs[0]) for change in arm.changes),
        against=arm.against,
        seeds=tuple(run.seed for run in runs),
        wers=tuple(run.results[0].wer for run in runs),
        measures=tuple(_measure(arm, by_arm, place) for place in range(len(JOINED_TIMES))),
        bucket_wers=tuple(float(errors[bucket].sum() / max(1, words[bucket].sum())) for bucket in buckets),
        parameters=runs[0].parameters,
        feedforward_width=runs[0].feedforward_width,
        minutes=_mean([run.minutes for run in runs]),
        audio_hours=_mean([run.audio_seconds / 3600 for run in runs]),
        audio_rate=_mean([run.audio_seconds / (60 * run.minutes) for run in runs]),
        train_loss=_mean([run.train_loss for run in runs]),
        valid_loss=_mean([run.valid_loss for run in runs]),
        loss_gap=_mean([run.loss_gap for run in runs]),
        rotary_base=_mean(bases) if bases else None,
    )


def _measure(arm: Arm, by_arm: dict[str, list[ArmRun]], place: int) -> Measure:
    runs = by_arm[arm.name]
    words, errors = _pool(runs, place)
    interval = bootstrap_interval(errors, words)
    others = {name: compare_arms(by_arm.get(name, []), runs, place) for name in {"baseline", arm.against} - {arm.name}}
    return Measure(
        times=JOINED_TIMES[place],
        wer=float(errors.sum() / words.sum()),
        low=interval.low,
        high=interval.high,
        to_baseline=others.get("baseline"),
        to_partner=others.get(arm.against) if arm.against != "baseline" else None,
    )


def _pool(runs: Sequence[ArmRun], place: int) -> tuple[np.ndarray, np.ndarray]:
    """Words and errors of each utterance, (U,) each, summed over the runs."""
    counts = [run.results[place].utterances for run in runs]
    if len({_identify(run, place) for run in runs}) > 1:
        raise UserError(f"the runs of {runs[0].arm} were not measured on the same validation set; give another --out")
    return np.sum([each.words for each in counts], axis=0), np.sum([each.errors for each in counts], axis=0)


def _identify(run: ArmRun, place: int) -> tuple[str, tuple[int, ...]]:
    """What tells whether two runs were measured on the same utterances with the same references."""
    utterances = run.results[place].utterances
    return utterances.ids_sha256, utterances.words


def _split_by_length(run: ArmRun) -> list[np.ndarray]:
    """Places of the validation utterances, in thirds from the short to the long ones."""
    return np.array_split(np.argsort(run.seconds, kind="stable"), NUM_BUCKETS)


def _resolve(change: str, run: ArmRun) -> str:
    """`section.key=value` with the value that the run had."""
    field = change.partition("=")[0]
    section, _, key = field.partition(".")
    return f"{field}={json.dumps(run.settings[section][key])}"


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
