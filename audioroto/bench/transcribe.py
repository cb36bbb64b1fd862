"""What transcribing costs and how well it is done, beside others: word errors, time, memory, on the same recordings."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from string import ascii_uppercase

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from audioroto.audio.load import audio_seconds
from audioroto.bench.measure import (
    call_in_fresh_process,
    describe_bytes,
    write_figures,
)
from audioroto.bench.systems import Candidate, System
from audioroto.bench.turns import Turn, TurnsLog, take_turns
from audioroto.corpus.datadir import Utterance, read_datadir
from audioroto.errors import UserError
from audioroto.files import make_unique, write_text
from audioroto.infer.inputs import STANDARD_INPUT, find_audio
from audioroto.model.device import choose_device
from audioroto.model.memory import PeakMemory
from audioroto.score.evaluation import Evaluation, compare, evaluate
from audioroto.score.report import (
    format_comparison,
    format_interval,
    make_comparison_summary,
    make_summary,
    write_report,
)
from audioroto.text.normalize import normalize
from audioroto.text.sentences import open_text

MEMORY_LIMIT_SECONDS = 3600.0
ALL = "all"  # what the scores of all sets together are called


@dataclass(frozen=True)
class Measured:
    """A system on all recordings, in their order; seconds are those from samples to text."""

    name: str
    parameters: int | None
    model_bytes: int
    clock: str
    texts: dict[str, str]
    seconds: dict[str, float]
    memory_bytes: int | None  # peak above the process after imports, with the longest recording

    def latency(self, share: float) -> float:
        """The seconds that this share of the recordings needs at most."""
        return float(np.quantile(list(self.seconds.values()), share))


def read_recordings(files: Sequence[str], data_dirs: Sequence[Path]) -> dict[str, list[Utterance]]:
    """What is to be transcribed, by test set: data directories by name, and `files`.

    A file's reference is the text file of its name beside it, x.txt for x.wav, if any. Ids differ over all sets.
    """
    sets: dict[str, list[Utterance]] = {}
    for folder in data_dirs:
        sets[make_unique(folder.resolve().name, {ALL, *sets})] = read_datadir(folder)
    if files:
        sets[make_unique("files", sets)] = [_describe_file(Path(audio.path)) for audio in find_audio(files)]
    if not sets:
        raise UserError("there is nothing to measure on; name audio files, or a data directory with --data-dir")
    taken: set[str] = set()
    for name, utterances in sets.items():
        for place, utterance in enumerate(utterances):
            utterances[place] = replace(utterance, id=make_unique(utterance.id, taken))
            taken.add(utterances[place].id)
        sets[name] = utterances
    return sets


def bench_transcribe(
    candidates: Sequence[Candidate], sets: Mapping[str, Sequence[Utterance]], out_dir: Path, normalizer: str
) -> list[Measured]:
    """Let the candidates transcribe every recording in turns; print tables, write all of it to a folder.

    OUT_DIR gets turns.jsonl, from which an interrupted run goes on, figures.json, leaderboard.md, and a folder of
    scores and alignments for each candidate.
    """
    utterances = [utterance for members in sets.values() for utterance in members]
    log = TurnsLog(out_dir / "turns.jsonl")
    systems = [candidate.load() for candidate in candidates]
    devices = [choose_device(candidate.device) for candidate in candidates]
    turns = take_turns(systems, devices, utterances, log)
    longest = max(utterances, key=lambda utterance: utterance.seconds)
    measured = [measure(*each, longest) for each in zip(candidates, systems, turns, strict=True)]
    evaluations: dict[str, dict[str, Evaluation]] = {}
    for number, one in enumerate(measured):
        references = _normalize({u.id: u.text for u in utterances if u.text is not None}, normalizer)
        texts = _normalize({key: text for key, text in one.texts.items() if key in references}, normalizer)
        scored = {ALL: evaluate(references, texts, normalizer)} if references else {}
        if scored:
            write_report(
                out_dir / f"{number}-{re.sub('[^A-Za-z0-9.]+', '-', one.name)}", scored[ALL], references, texts
            )
        for name, members in sets.items():
            ids = {u.id for u in members} & references.keys()
            if ids:
                part = {key: references[key] for key in ids}
                scored[name] = evaluate(part, {key: texts[key] for key in ids}, normalizer)
        evaluations[one.name] = scored
    total_seconds = sum(utterance.seconds for utterance in utterances)
    board = format_leaderboard(measured, evaluations, total_seconds)
    comparisons = {
        one.name: compare(evaluations[measured[0].name][ALL], evaluations[one.name][ALL])
        for one in measured[1:]
        if evaluations[one.name]
    }
    figures = {
        "audio_seconds": round(total_seconds, 3),
        "recordings": {name: len(members) for name, members in sets.items()},
        "turns_of_earlier_runs": log.num_recalled,
        "systems": [
            {
                **asdict(one),
                "real_time_factor": sum(one.seconds.values()) / total_seconds,
                "latency_p50_seconds": one.latency(0.5),
                "latency_p95_seconds": one.latency(0.95),
                "scores": {name: make_summary(evaluation) for name, evaluation in evaluations[one.name].items()},
            }
            for one in measured
        ],
        "differences": {name: make_comparison_summary(found) for name, found in comparisons.items()},
    }
    write_figures(out_dir / "figures.json", figures)
    write_text(out_dir / "leaderboard.md", board)
    console = Console()
    console.print(f"{len(utterances)} recordings, {total_seconds / 3600:.2f} h; one at a time, from samples to text")
    if log.num_recalled:
        console.print(f"{log.num_recalled} turns are of earlier runs: compare times with care, or use another folder")
    for letter, one in zip(ascii_uppercase, measured, strict=False):
        console.print(
            f"{letter}: {one.name}, {one.clock}, model files of {describe_bytes(one.model_bytes)}",
            markup=False,
            highlight=False,
        )
    console.print(make_table(measured, evaluations, total_seconds))
    console.print(
        "RTF: seconds of computing for a second of audio; p50, p95: of recordings; memory: peak above the process "
        "after imports, with the longest recording; numbers: parameters"
    )
    for name, comparison in comparisons.items():
        print(format_comparison(comparison, measured[0].name, name))
    print(f"\n{board}")
    return measured


def measure(candidate: Candidate, system: System, turns: Sequence[Turn], longest: Utterance) -> Measured:
    """What a candidate's turns say of it, and its memory with the longest recording."""
    memory = call_in_fresh_process(measure_memory, candidate, longest, limit_seconds=MEMORY_LIMIT_SECONDS)
    return Measured(
        name=candidate.name,
        parameters=system.parameters,
        model_bytes=system.model_bytes,
        clock=turns[0].clock,
        texts={turn.recording: turn.text for turn in turns},
        seconds={turn.recording: turn.seconds for turn in turns},
        memory_bytes=memory if isinstance(memory, int) else None,
    )


def measure_memory(candidate: Candidate, utterance: Utterance) -> int:
    """Peak bytes of loading the candidate and transcribing one recording, above the process after imports."""
    memory = PeakMemory(choose_device(candidate.device))
    system = candidate.load()
    system.transcribe(utterance.load(system.rate))
    return memory.bytes()


def make_table(
    measured: Sequence[Measured], evaluations: Mapping[str, Mapping[str, Evaluation]], audio_seconds: float
) -> Table:
    """A row for each system, by letter."""
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("", "WER %", "95 % interval", "RTF", "p50 s", "p95 s", "memory", "numbers"):
        table.add_column(heading, justify="right", no_wrap=True)
    for letter, one in zip(ascii_uppercase, measured, strict=False):
        scored = evaluations[one.name].get("all")
        table.add_row(
            letter,
            f"{100 * scored.word_errors.rate:.2f}" if scored else "–",
            format_interval(scored.interval) if scored else "–",
            f"{sum(one.seconds.values()) / audio_seconds:.4f}",
            f"{one.latency(0.5):.3f}",
            f"{one.latency(0.95):.3f}",
            "–" if one.memory_bytes is None else describe_bytes(one.memory_bytes),
            "–" if one.parameters is None else f"{one.parameters / 1e6:.2f} M",
        )
    return table


def format_leaderboard(
    measured: Sequence[Measured], evaluations: Mapping[str, Mapping[str, Evaluation]], audio_seconds: float
) -> str:
    """Rows in the columns of the Open ASR Leaderboard: average WER over the sets, RTFx = 1 / real-time factor, sets."""
    names = [name for name in next(iter(evaluations.values())) if name != ALL]
    lines = [
        "| model | Average WER | RTFx | " + "".join(f"{name} | " for name in names),
        "|---" * (3 + len(names)) + "|",
    ]
    for one in measured:
        rates = [100 * evaluations[one.name][name].word_errors.rate for name in names]
        average = f"{sum(rates) / len(rates):.2f}" if rates else "–"
        speed = audio_seconds / sum(one.seconds.values())
        lines.append(f"| {one.name} | {average} | {speed:.1f} | " + "".join(f"{rate:.2f} | " for rate in rates))
    return "\n".join(line.rstrip() for line in lines) + "\n\nRTFx = 1 / real-time factor; recordings one at a time.\n"


def _describe_file(path: Path) -> Utterance:
    if str(path) == STANDARD_INPUT:
        raise UserError("standard input cannot be measured on; name files")
    beside = path.with_suffix(".txt")
    text = None
    if beside.is_file():
        with open_text(beside) as lines:
            text = lines.read()
    name = re.sub(r"\s+", "_", path.stem)
    return Utterance(name, name, path, audio_seconds(path), text)


def _normalize(texts: Mapping[str, str], normalizer: str) -> dict[str, str]:
    return {key: normalize(text, normalizer) for key, text in texts.items()}
