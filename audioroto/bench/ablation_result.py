"""What the ablation keeps on disk: a plan, and a result of each run, from which alone its report is made."""

from datetime import date
from pathlib import Path
from typing import Any

from audioroto.bench.ablation_arms import ARMS
from audioroto.errors import UserError
from audioroto.files import write_text
from audioroto.score.results import Record, TestSetResult, read_record

JOINED_TIMES = (1, 2, 4, 8)


class Plan(Record):
    """The runs that are wanted: each arm with each seed."""

    arms: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()

    def joined_with(self, other: "Plan") -> "Plan":
        """The plan with the arms and seeds of both, in the order in which they are run."""
        arms = {*self.arms, *other.arms}
        return Plan(arms=tuple(name for name in ARMS if name in arms), seeds=tuple(sorted({*self.seeds, *other.seeds})))


class ArmRun(Record):
    """One training run, measured on the validation set with free-running greedy search; losses in nats a token."""

    arm: str
    seed: int
    settings: dict[str, dict[str, Any]]  # the whole resolved configuration
    inputs: str  # fingerprint of what it was trained on
    parameters: int
    updates: int
    audio_seconds: float  # of audio trained on
    minutes: float  # of training and of the validations in between
    rotary_base: float | None  # of the model that is measured; None without rotary positions
    train_loss: float  # of the averaged model on training utterances, without augmentation or dropout
    valid_loss: float
    seconds: tuple[float, ...]  # of each validation utterance, in the order of results[0].utterances
    joined_seconds: tuple[float, ...]  # mean length at each of JOINED_TIMES
    results: tuple[TestSetResult, ...]  # at each of JOINED_TIMES
    hardware: str
    commit: str
    date: date

    @property
    def feedforward_width(self) -> int:
        """What was adjusted to make the numbers of parameters equal."""
        return int(self.settings["encoder"]["feedforward_width"])

    @property
    def loss_gap(self) -> float:
        """How much more a token costs that was not trained on."""
        return self.valid_loss - self.train_loss


def write_plan(out_dir: Path, plan: Plan) -> None:
    """Write OUT/plan.json."""
    write_text(out_dir / "plan.json", plan.model_dump_json(indent=2) + "\n")


def read_plan(out_dir: Path) -> Plan:
    """The plan in OUT/plan.json; an empty one when there is none."""
    path = out_dir / "plan.json"
    return Plan.model_validate_json(path.read_bytes()) if path.exists() else Plan()


def read_result(path: Path) -> ArmRun:
    """The run in a JSON file; raises UserError as `read_record` does."""
    try:
        return read_record(ArmRun, path)
    except UserError as error:
        raise UserError(f"{error}. Remove the run's folder to run it again") from None


def read_results(out_dir: Path) -> list[ArmRun]:
    """All finished runs of the folder, by arm in the order in which they are run, then by seed."""
    runs = [read_result(path) for path in out_dir.glob("*-seed*/result.json")]
    return sorted(runs, key=lambda run: (list(ARMS).index(run.arm), run.seed))
