"""Systems transcribe recordings in turns; every turn is kept at once, so that hours of them may be interrupted."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track

from audioroto.bench.measure import clock_name, time_once
from audioroto.bench.systems import System
from audioroto.corpus.datadir import Utterance


@dataclass(frozen=True)
class Turn:
    """What a system heard in a recording, and the seconds from samples to text by `clock`."""

    system: str  # its fingerprint
    recording: str
    source: str  # what tells its audio from another's
    audio_seconds: float
    clock: str
    text: str
    seconds: float


class TurnsLog:
    """The turns in a file, a JSON object a line. What it holds of earlier runs need not be done again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.turns: dict[tuple[str, ...], Turn] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                self._keep(_read_turn(line))
        path.parent.mkdir(parents=True, exist_ok=True)
        self.num_recalled = 0

    def recall(self, system: str, utterance: Utterance, clock: str) -> Turn | None:
        """The turn of an earlier run, if the system of this fingerprint took it by the same clock."""
        turn = self.turns.get((system, utterance.id, describe_source(utterance), clock))
        self.num_recalled += turn is not None
        return turn

    def append(self, turn: Turn) -> None:
        """Keep a turn. A line that an interruption cut short before it is ended first."""
        with open(self.path, "ab+") as file:
            if file.tell() > 0:
                file.seek(-1, 2)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(json.dumps(asdict(turn)).encode() + b"\n")
        self._keep(turn)

    def _keep(self, turn: Turn | None) -> None:
        if turn:
            self.turns[turn.system, turn.recording, turn.source, turn.clock] = turn


def take_turns(
    systems: Sequence[System], devices: Sequence[torch.device], utterances: Sequence[Utterance], log: TurnsLog
) -> list[list[Turn]]:
    """For every system its turn on every recording; another begins each time.

    What the log holds is not repeated. The first recording is transcribed once before, which does not count.
    """
    turns: list[list[Turn]] = [[] for _ in systems]
    order = list(range(len(systems)))
    for number, utterance in enumerate(track([utterances[0], *utterances], "transcribe", console=Console(stderr=True))):
        order.append(order.pop(0))
        for place in order:
            system, clock = systems[place], clock_name(devices[place])
            if number == 0:
                _listen(system, utterance, devices[place])
                continue
            turn = log.recall(system.fingerprint, utterance, clock)
            if turn is None:
                text, seconds = _listen(system, utterance, devices[place])
                turn = Turn(
                    system=system.fingerprint,
                    recording=utterance.id,
                    source=describe_source(utterance),
                    audio_seconds=round(utterance.seconds, 3),
                    clock=clock,
                    text=text,
                    seconds=seconds,
                )
                log.append(turn)
            turns[place].append(turn)
    return turns


def describe_source(utterance: Utterance) -> str:
    """A recording's file as it is now, and which part of it."""
    status = os.stat(utterance.path)
    part = f"{utterance.start_seconds} {utterance.end_seconds}"
    return f"{os.path.abspath(utterance.path)} {status.st_size} {status.st_mtime_ns} {part}"


def _listen(system: System, utterance: Utterance, device: torch.device) -> tuple[str, float]:
    """The text of a recording, and the seconds from samples to it."""
    samples = utterance.load(system.rate)
    texts: list[str] = []
    spent = time_once(lambda: texts.append(system.transcribe(samples)), device)
    return texts[0], spent


def _read_turn(line: str) -> Turn | None:
    """A line of the file; None for one that was cut short, or is of another version."""
    try:
        return Turn(**json.loads(line))
    except (json.JSONDecodeError, TypeError):
        return None
