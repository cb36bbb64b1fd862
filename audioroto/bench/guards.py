"""What a model says where nobody speaks: words a minute on silence, noise, hum, clicks, and recordings of noise."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain, islice
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from audioroto.audio.load import load_audio
from audioroto.audio.nonspeech import make_clicks, make_hum, set_peak
from audioroto.audio.perturb import make_noise
from audioroto.bench.measure import write_figures
from audioroto.corpus.surroundings import find_noises
from audioroto.errors import UserError
from audioroto.infer.modes import find_mode
from audioroto.infer.recognizer import Recognizer
from audioroto.infer.transcript import Transcript

PIECE_SECONDS = 10.0
BATCH_PIECES = 6
LEVELS = (-60.0, -40.0, -20.0, -12.0, -6.0, -3.0)  # dB of full scale, of the power, as the energy gate measures
GATE_OFF = -200.0
# In the names of classes of recordings: people make these, and a recogniser may hear words in them.
VOICES = re.compile(r"(?<![a-z])(babble|baby|cough|cry(?!s)|laugh|miaow|sing(er|ing)|sneez|speech|talk|voice)")
RESPONSES = re.compile(r"(?<![a-z])(rir(?![a-z])|impulse response|room response)")


@dataclass(frozen=True)
class Piece:
    """At most PIECE_SECONDS of a sound: samples (S,); `decibels` is None where it is as loud as it was recorded."""

    kind: str
    decibels: float | None
    samples: np.ndarray


@dataclass
class Outcome:
    """What was said on a sound at a level, by mode: number of words without the energy gate, and with it.

    `confidence` is that of the surest text of all: a `search.min_confidence` above it would have silenced them.
    """

    kind: str
    decibels: float | None
    voice: bool
    seconds: float = 0.0
    words_ungated: dict[str, int] = field(default_factory=dict)
    words_gated: dict[str, int] = field(default_factory=dict)
    confidence: float = 0.0

    def add(self, said: dict[str, Transcript], gated: bool) -> None:
        """Count a piece on which each mode said something, unless the gate keeps it back."""
        self.seconds += next(iter(said.values())).seconds
        for mode, transcript in said.items():
            number = len(transcript.words)
            self.words_ungated[mode] = self.words_ungated.get(mode, 0) + number
            self.words_gated[mode] = self.words_gated.get(mode, 0) + (0 if gated else number)
            self.confidence = max(self.confidence, *(segment.confidence for segment in transcript.segments), 0.0)


def bench_guards(
    recognizer: Recognizer, out_dir: Path, modes: Sequence[str], noise_dir: Path | None = None, minutes: float = 1.0
) -> list[Outcome]:
    """Recognize `minutes` of each made sound and all of `noise_dir`, write figures.json, print a table.

    Raises UserError for an unknown mode and for a folder without recordings.
    """
    for mode in modes:
        find_mode(mode)
    rate = recognizer.sample_rate
    recordings = find_recordings(noise_dir) if noise_dir else {}
    open_gate = recognizer.settings.model_copy(update={"gate_decibels": GATE_OFF})
    ungated = Recognizer(recognizer.engine, open_gate, recognizer.words, recognizer.language_model)
    outcomes: dict[tuple[str, float | None], Outcome] = {}
    pieces = chain(iter_made(rate, minutes), iter_recorded(recordings, rate))
    batches = iter(lambda: list(islice(pieces, BATCH_PIECES)), [])
    for batch in track(batches, "listen", console=Console(stderr=True)):
        waveforms = [piece.samples for piece in batch]
        encoding = ungated.engine.encode(waveforms)
        said = {mode: ungated.search(waveforms, encoding, mode) for mode in modes}
        for place, piece in enumerate(batch):
            new = Outcome(piece.kind, piece.decibels, is_voice(piece.kind))
            outcome = outcomes.setdefault((piece.kind, piece.decibels), new)
            outcome.add(
                {mode: transcripts[place] for mode, transcripts in said.items()},
                gated=recognizer.is_too_quiet(piece.samples),
            )
    found = list(outcomes.values())
    figures = {
        "gate_decibels": recognizer.settings.gate_decibels,
        "min_confidence": recognizer.settings.min_confidence,
        "lm": {mode: recognizer.name_lm(mode) for mode in modes},
        "modes": list(modes),
        "sounds": [asdict(outcome) for outcome in found],
    }
    write_figures(out_dir / "figures.json", figures)
    print_outcomes(found, modes, recognizer.settings.gate_decibels)
    return found


def iter_made(rate: int, minutes: float) -> Iterator[Piece]:
    """Digital silence, clicks, and white noise, pink noise and hum at each level; the same at every call.

    What is louder than full scale is clipped, as a sound card does.
    """
    num_samples = round(60 * minutes * rate)
    generator = np.random.default_rng(0)
    clicks = set_peak(make_clicks(generator, num_samples, rate), 0.0)
    sounds = {
        "white noise": make_noise(generator, num_samples, slope=0.0),
        "pink noise": make_noise(generator, num_samples, slope=1.0),
        "hum of 50 Hz": make_hum(generator, num_samples, rate, (50.0, 50.0)),
        "hum of 60 Hz": make_hum(generator, num_samples, rate, (60.0, 60.0)),
    }
    yield from _iter_pieces("digital silence", None, np.zeros(num_samples), rate)
    yield from _iter_pieces("clicks", None, clicks, rate)
    for kind, samples in sounds.items():
        samples = samples / np.sqrt(np.square(samples).mean())
        for decibels in LEVELS:
            yield from _iter_pieces(kind, decibels, (10 ** (decibels / 20) * samples).clip(-1, 1), rate)


def find_recordings(folder: Path) -> dict[Path, str]:
    """The recordings of noise in a folder and the class of each, impulse responses left out.

    Classes stand in the columns path and class of its manifest.tsv; else a recording's is the name of its folder.
    Raises UserError where there is no recording.
    """
    classes: dict[str, str] = {}
    manifest = folder / "manifest.tsv"
    if manifest.exists():
        with manifest.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines, delimiter="\t"):
                classes[row.get("path") or ""] = row.get("class") or ""
    named = {path: classes.get(path.relative_to(folder).as_posix()) or path.parent.name for path in find_noises(folder)}
    recordings = {path: kind for path, kind in named.items() if not RESPONSES.search(kind.lower())}
    if not recordings:
        raise UserError(f"--noise-dir {folder} holds no recordings of noise")
    return recordings


def iter_recorded(recordings: dict[Path, str], rate: int) -> Iterator[Piece]:
    """The recordings in pieces, class by class."""
    for path, kind in sorted(recordings.items(), key=lambda item: (item[1], item[0])):
        yield from _iter_pieces(kind, None, load_audio(path, rate)[0], rate)


def is_voice(kind: str) -> bool:
    """Whether people make this kind of sound with their voices."""
    return VOICES.search(kind.lower().replace("_", " ")) is not None


def find_quiet_kinds(outcomes: Iterable[Outcome], gated: bool) -> list[str]:
    """The kinds on which no mode says anything at any level."""
    words: dict[str, int] = {}
    for outcome in outcomes:
        said = outcome.words_gated if gated else outcome.words_ungated
        words[outcome.kind] = words.get(outcome.kind, 0) + sum(said.values())
    return [kind for kind, number in words.items() if number == 0]


def print_outcomes(outcomes: Sequence[Outcome], modes: Sequence[str], gate_decibels: float) -> None:
    """Words a minute for each kind and mode, all levels together, on the terminal; then where nothing was said."""
    console = Console()
    table = Table("", "minutes", *modes, "surest", title=f"words a minute, gate off / gate at {gate_decibels:g} dB")
    kinds = list(dict.fromkeys(outcome.kind for outcome in outcomes))
    kinds.sort(key=is_voice)
    for place, kind in enumerate(kinds):
        own = [outcome for outcome in outcomes if outcome.kind == kind]
        minutes = sum(outcome.seconds for outcome in own) / 60
        cells = []
        for mode in modes:
            ungated = sum(outcome.words_ungated[mode] for outcome in own) / minutes
            gated = sum(outcome.words_gated[mode] for outcome in own) / minutes
            cells.append(f"{ungated:.1f} / {gated:.1f}")
        ends_section = place + 1 < len(kinds) and is_voice(kinds[place + 1]) and not is_voice(kind)
        name = f"{kind} (voice)" if is_voice(kind) else kind
        surest = max(outcome.confidence for outcome in own)
        table.add_row(name, f"{minutes:.1f}", *cells, f"{surest:.2f}" if surest else "–", end_section=ends_section)
    console.print(table)
    print("surest: the highest mean confidence of a text; search.min_confidence above it keeps the text back")
    for gated, when in ((False, "with the gate off says"), (True, "says")):
        print(f"{when} nothing on: {', '.join(find_quiet_kinds(outcomes, gated)) or 'none of these'}")


def _iter_pieces(kind: str, decibels: float | None, samples: np.ndarray, rate: int) -> Iterator[Piece]:
    num_samples = round(PIECE_SECONDS * rate)
    for start in range(0, len(samples), num_samples):
        yield Piece(kind, decibels, samples[start : start + num_samples].astype(np.float32))
