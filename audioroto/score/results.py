"""Runs as committed JSON, one file a run, and the RESULTS.md that is made from them alone.

The counts of every utterance are kept, so that intervals and paired tests can be computed again, for any two runs.
"""

import hashlib
import json
import os
import re
import textwrap
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from audioroto.errors import UserError
from audioroto.files import write_text
from audioroto.score.evaluation import Evaluation

COMMAND_COLUMNS = 140

Count = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1)]


class Record(BaseModel):
    """A JSON object: frozen, no unknown keys, no conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


AnyRecord = TypeVar("AnyRecord", bound=Record)


class UtteranceCounts(Record):
    """Counts of each utterance, in the bytewise order of the utterance ids."""

    ids_sha256: Name = Field(description="of the sorted ids, one a line: equal for two runs on the same utterances")
    words: tuple[Count, ...] = Field(description="reference words of each utterance")
    errors: tuple[Count, ...] = Field(description="word errors of each utterance")
    speakers: tuple[Count, ...] = Field(description="index of each utterance's speaker; empty when unknown")


class TestSetResult(Record):
    """One search on one test set; rates are fractions of the reference words (or characters)."""

    __test__ = False  # its name begins as pytest's test classes do

    test_set: Name
    mode: Name = Field(description="the search, for example ctc_greedy")
    lm: Name | None = Field(description="the language model, null for none")
    sentences: Count
    sentence_errors: Count
    words: Annotated[int, Field(gt=0)]
    substitutions: Count
    deletions: Count
    insertions: Count
    wer: Rate
    wer_low: Rate = Field(description="95 % bootstrap interval over utterances")
    wer_high: Rate
    cer: Rate
    real_time_factor: Rate | None = Field(None, description="seconds of computing for a second of audio")
    peak_memory_bytes: Count | None = Field(None, description="that recognizing took at most, beside the model")
    utterances: UtteranceCounts

    @model_validator(mode="after")
    def _counts_agree(self) -> Self:
        utterances, errors = self.utterances, self.substitutions + self.deletions + self.insertions
        if not len(utterances.words) == len(utterances.errors) == self.sentences:
            raise ValueError(f"sentences is {self.sentences}, but utterances.words and .errors have other lengths")
        if utterances.speakers and len(utterances.speakers) != self.sentences:
            raise ValueError(f"sentences is {self.sentences}, but utterances.speakers has {len(utterances.speakers)}")
        if sum(utterances.words) != self.words:
            raise ValueError(f"words is {self.words}, but utterances.words sum to {sum(utterances.words)}")
        if sum(utterances.errors) != errors:
            raise ValueError(f"there are {errors} errors, but utterances.errors sum to {sum(utterances.errors)}")
        if abs(self.wer - errors / self.words) > 1e-9:
            raise ValueError(f"wer is {self.wer}, but {errors} errors in {self.words} words are {errors / self.words}")
        return self


class SetSize(Record):
    """How much speech a set of the corpus holds."""

    name: Name
    utterances: Count
    hours: Rate
    speakers: Count


class RunResult(Record):
    """One training run, and what it reached on each test set with each search."""

    run: Name = Field(description="its name; the file is called <run>.json")
    corpus: Name
    train_set: Name
    train_hours: Rate
    train_minutes: Rate = Field(description="wall-clock minutes that training took")
    hardware: Name
    parameters: Count
    command: Name = Field(description="what makes the run again, from the root of the repository")
    commit: Name
    config: tuple[Name, ...] = Field(description="configuration files and section.key=value overrides, in order")
    normalizer: Name
    date: date
    results: tuple[TestSetResult, ...] = Field(min_length=1)
    sets: tuple[SetSize, ...] = Field((), description="training, validation and test sets")
    curve: str = Field("", description="picture of the training curve, a file beside this one; empty for none")
    notes: str = ""


def make_test_set_result(
    evaluation: Evaluation,
    test_set: str,
    mode: str,
    lm: str | None = None,
    real_time_factor: float | None = None,
    peak_memory_bytes: int | None = None,
) -> TestSetResult:
    """What a run's JSON keeps of an evaluation. Raises UserError when the references have no words at all."""
    total = evaluation.word_errors
    if total.reference_length == 0:
        raise UserError(f"test set {test_set} has no reference words: there is no word error rate to keep")
    ids = list(evaluation.words)  # sorted
    speakers = sorted(set(evaluation.speakers.values()))
    index = {speaker: number for number, speaker in enumerate(speakers)}
    return TestSetResult(
        test_set=test_set,
        mode=mode,
        lm=lm,
        sentences=len(ids),
        sentence_errors=evaluation.sentence_errors,
        words=total.reference_length,
        substitutions=total.substitutions,
        deletions=total.deletions,
        insertions=total.insertions,
        wer=total.rate,
        wer_low=evaluation.interval.low,
        wer_high=evaluation.interval.high,
        cer=evaluation.character_errors.rate,
        real_time_factor=real_time_factor,
        peak_memory_bytes=peak_memory_bytes,
        utterances=UtteranceCounts(
            ids_sha256=hashlib.sha256("".join(f"{name}\n" for name in ids).encode()).hexdigest(),
            words=tuple(evaluation.words[name].reference_length for name in ids),
            errors=tuple(evaluation.words[name].errors for name in ids),
            speakers=tuple(index[evaluation.speakers[name]] for name in ids) if speakers else (),
        ),
    )


def write_record(path: Path, record: Record) -> None:
    """Write a record as JSON; lists of numbers take one line each."""
    text = json.dumps(record.model_dump(mode="json"), indent=2, ensure_ascii=False)
    # Note: a list begins with a line break, which no string has.
    compact = re.sub(r"\[\n[\d,.\s]+\]", lambda match: re.sub(r"\s+", "", match[0]).replace(",", ", "), text)
    write_text(path, compact + "\n")


def read_record(kind: type[AnyRecord], path: Path) -> AnyRecord:
    """The record in a JSON file; raises UserError that names the file and every key at fault."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, each['loc'])) or 'JSON'}: {each['msg']}" for each in error.errors())
        raise UserError(f"{path}: {'; '.join(problems)}") from None


def write_run(folder: str | os.PathLike[str], run: RunResult) -> Path:
    """Write `<run>.json` into a folder and return its path."""
    path = Path(folder, f"{run.run}.json")
    write_record(path, run)
    return path


def read_run(path: str | os.PathLike[str]) -> RunResult:
    """The run in a JSON file; raises UserError that names the file and every key at fault."""
    path = Path(path)
    run = read_record(RunResult, path)
    if run.run != path.stem:
        raise UserError(f"{path}: run: is {run.run!r}, but the file is called {path.name}: rename one of the two")
    return run


def read_runs(folder: str | os.PathLike[str]) -> list[RunResult]:
    """All runs of a folder, by name; raises UserError when there is none."""
    paths = sorted(Path(folder).glob("*.json"))
    if not paths:
        raise UserError(f"{folder} holds no <run>.json; run the recipe to its scoring stage first")
    return [read_run(path) for path in paths]


def format_results(runs: Sequence[RunResult], learning_curve: str = "", folder: str = "results") -> str:
    """RESULTS.md: every result by test set and word error rate, then each run: its notes and how to make it again.

    `learning_curve` names a picture of error rates over hours of speech beside it, if there is one; `folder` is where
    the runs and their pictures lie, seen from it.
    """
    rows = [(result, run) for run in runs for result in run.results]
    rows.sort(key=lambda row: (row[0].test_set, row[0].wer, row[1].run))
    corpora = ", ".join(sorted({run.corpus for run in runs}))
    heads = (
        "test set, WER %, 95 % interval, CER %, words, sub, del, ins, mode, LM, RTF, memory MiB, normaliser, "
        "parameters, trained on, hours, minutes, run"
    )
    results = _format_table(
        heads.split(", "),
        (
            [
                result.test_set,
                f"**{100 * result.wer:.2f}**",
                f"{100 * result.wer_low:.2f} to {100 * result.wer_high:.2f}",
                f"{100 * result.cer:.2f}",
                *(result.words, result.substitutions, result.deletions, result.insertions),
                result.mode,
                result.lm or "none",
                "–" if result.real_time_factor is None else f"{result.real_time_factor:.3f}",
                "–" if result.peak_memory_bytes is None else f"{result.peak_memory_bytes / 2**20:.0f}",
                run.normalizer,
                f"{run.parameters / 1e6:.1f} M",
                run.train_set,
                f"{run.train_hours:.2f}",
                f"{run.train_minutes:.1f}",
                f"[{run.run}](#{_anchor(run.run)})",
            ]
            for result, run in rows
        ),
    )
    sizes = {(run.corpus, size.name): size for run in runs for size in run.sets}
    sets = _format_table(
        ["corpus", "set", "utterances", "hours", "speakers"],
        (
            [corpus, name, size.utterances, f"{size.hours:.2f}", size.speakers]
            for (corpus, name), size in sorted(sizes.items())
        ),
    )
    return "\n".join(
        [
            f"# Results: {corpora}\n",
            f"Made by `audioroto results` from `{folder}/*.json`: do not edit. Intervals: bootstrap over utterances. "
            "RTF: seconds of computing for a second of audio; memory: at most, beside the model.\n",
            results,
            *([f"![Word error rate over hours of training speech]({learning_curve})\n"] if learning_curve else []),
            *(["## Sets\n", sets] if sizes else []),
            "## Runs\n",
            *(_format_run(run, folder) for run in runs),
        ]
    )


def _format_run(run: RunResult, folder: str) -> str:
    """A section: where and when, its notes, how to make it again, its curve."""
    said = re.split(r"[\s']+", run.command)
    silent = [f"`{each}`" for each in run.config if each not in said]  # as a rule the files that the recipe lays down
    facts = [
        f"{run.date}",
        f"commit {run.commit}",
        run.hardware,
        *([f"configuration {' '.join(silent)}"] if silent else []),
    ]
    parts = [
        f"### {run.run}\n",
        f"{' · '.join(facts)}\n",
        *([f"{run.notes.strip()}\n"] if run.notes.strip() else []),
        f"{textwrap.indent(_wrap_command(run.command), '    ')}\n",
        *([f"![Training curve of {run.run}]({folder}/{run.curve})\n"] if run.curve else []),
    ]
    return "\n".join(parts)


def _wrap_command(command: str) -> str:
    """The same command on several lines, broken before options and never inside quotes."""
    words = re.findall(r"(?:\\.|'[^']*'|\"[^\"]*\"|[^\s'\"\\]|['\"\\])+", command)  # as a shell divides them
    options: list[str] = []
    for word in words:
        if word.startswith("--") or not options:
            options.append(word)
        else:
            options[-1] += f" {word}"
    lines = options[:1]
    for option in options[1:]:
        if len(lines[-1]) + 1 + len(option) > COMMAND_COLUMNS:
            lines.append(f"    {option}")
        else:
            lines[-1] += f" {option}"
    return " \\\n".join(lines)


def _anchor(heading: str) -> str:
    """Where GitHub's link to a heading leads."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _format_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(map(_format_cell, line))} |\n" for line in lines)


def _format_cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", r"\|")
