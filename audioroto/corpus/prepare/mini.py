"""The embedded corpus: spoken numbers and commands that espeak-ng synthesised, small enough to live in git.

`prepare_mini` turns the committed audio into data directories; `synthesise_mini` makes that audio again from a seed.
"""

import csv
import io
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from rich.progress import track

from audioroto.audio.resample import resample
from audioroto.corpus.datadir import DatadirSummary, Utterance, summarize, write_datadir
from audioroto.errors import UserError
from audioroto.files import atomic_path, write_text

SAMPLE_RATE = 16000
SEED = 10

# Speaker = accent-variant: espeak-ng's accent decides the sounds, its variant the throat. No variant is in two splits,
# and every accent of valid and test is in train. Left out: whispers, creaks, robots, variants that clip heavily by
# themselves and near copies (klatt, caleb and adam are one voice).
SPEAKERS = {
    "train": [
        *("us-m1", "us-f1", "us-klatt4", "us-pablo", "us-Hugo"),
        *("gb-m3", "gb-Annie", "gb-edward", "gb-norbert", "gb-gustave"),
        *("scotland-m5", "scotland-f4", "scotland-boris", "scotland-benjamin", "scotland-john"),
        *("caribbean-m2", "caribbean-f5", "caribbean-Mario", "caribbean-linda", "caribbean-klatt2"),
        *("rp-m6", "rp-shelby", "rp-rob", "rp-victor"),
        *("lancaster-m8", "lancaster-steph", "lancaster-klatt", "lancaster-sandro"),
        *("midlands-travis", "midlands-belinda", "midlands-Diogo", "midlands-edward2"),
        *("newyork-quincy", "newyork-marcelo", "newyork-Nguyen", "newyork-Denis"),
    ],
    "valid": ["us-Mike", "gb-aunty", "rp-Alex", "scotland-grandpa"],
    "test": [
        *("us-m4", "gb-f3", "scotland-max", "caribbean-f2"),
        *("rp-m7", "lancaster-Michael", "midlands-grandma", "newyork-david"),
    ],
}
UTTERANCES_PER_SPEAKER = {"train": 17, "valid": 15, "test": 15}
ACCENTS = {
    "us": "en-us",
    "gb": "en-gb",
    "scotland": "en-gb-scotland",
    "caribbean": "en-029",
    "rp": "en-gb-x-rp",
    "lancaster": "en-gb-x-gbclan",
    "midlands": "en-gb-x-gbcwmd",
    "newyork": "en-us-nyc",
}

# Upper case is spoken, lower case replaced by one of its alternatives; one listed twice is twice as likely.
GRAMMAR = {
    "sentence": ["digits", "digits", "number", *["command"] * 6],
    "digits": ["digit digit digit", "digits digit", "digits digit"],
    "digit": ["ZERO", "unit", "unit", "unit", "unit", "unit", "unit", "unit", "unit", "unit"],
    "unit": ["ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE"],
    "tens": ["TWENTY", "FIFTY"],
    "number": ["unit HUNDRED tens unit", "unit HUNDRED unit THEN TEN", "unit HUNDRED TEN THEN tens unit"],
    "command": [
        "TURN state THE LIGHT IN THE room",
        "TURN state LIGHT unit IN THE room",
        "TURN state THE LIGHT THEN action",
        "TURN state THE MUSIC THEN action",
        "PLAY THE MUSIC IN THE room",
        "PLAY THE MUSIC THEN action",
        "act THE opening IN THE room",
        "act opening unit IN THE room",
        "action THEN act THE opening",
        "WAIT several MINUTES THEN action",
        "action THEN PLAY THE MUSIC",
        "action THEN action",
    ],
    "action": ["turning", "turning", "GO BACK", "STOP", "STOP THE MUSIC", "act opening unit", "act opening unit"],
    "turning": ["GO LEFT", "GO RIGHT", "TURN LEFT", "TURN RIGHT"],
    "state": ["ON", "OFF"],
    "act": ["OPEN", "CLOSE"],
    "opening": ["DOOR", "WINDOW"],
    "room": ["KITCHEN", "BEDROOM", "GARDEN"],
    "several": ["TEN", "TEN", "tens", "tens unit"],
}
MAX_WORDS = 8

# About 12 kbit/s in files this short. Note: above 0.988 Opus drops everything over 6 kHz.
OPUS_COMPRESSION_LEVEL = 0.987

TABLE_NAME = "utterances.tsv"
TABLE_COLUMNS = ["split", "id", "speaker", "seconds", "path", "text"]
RESTORE = "Restore the corpus with 'git checkout', or remove it and run 'audioroto prepare mini --synthesise'."


@dataclass(frozen=True)
class Take:
    """One utterance to synthesise: what is said, by whom, how, and through how much noise."""

    split: str
    id: str
    speaker: str
    text: str
    pitch: int  # espeak-ng's scale, 0 to 99
    words_per_minute: int
    level_decibels: float  # RMS of the speech, relative to full scale
    snr_decibels: float
    pink: bool  # pink noise, else white
    pause_seconds: tuple[float, float]  # before and after the speech
    seed: int  # of the noise

    @property
    def path(self) -> str:
        """Where its audio lies, relative to the corpus folder."""
        return f"audio/{self.speaker}/{self.id}.opus"


def prepare_mini(out_dir: Path, corpus_dir: Path) -> dict[str, DatadirSummary]:
    """Write the data directories OUT_DIR/{train,valid,test} of the embedded corpus in `corpus_dir`.

    Needs no espeak-ng. A missing or damaged corpus is a UserError.
    """
    splits: dict[str, list[Utterance]] = {split: [] for split in SPEAKERS}
    for split, utterance in _iter_table(corpus_dir):
        splits[split].append(utterance)
    for split, utterances in splits.items():
        write_datadir(out_dir / split, utterances)
    return {split: summarize(utterances) for split, utterances in splits.items()}


def synthesise_mini(corpus_dir: Path) -> None:
    """Speak the whole corpus into `corpus_dir` with espeak-ng: audio/SPEAKER/ID.opus and utterances.tsv.

    Sentences, voices, levels and noise come from a fixed seed; the audio also depends on the version of espeak-ng.
    A corpus that is already there is refused, never overwritten or mixed with. The table is written last: a folder
    without it is unfinished, and may be synthesised into again.
    """
    table = corpus_dir / TABLE_NAME
    if table.exists():
        raise UserError(
            f"{corpus_dir} already holds a corpus: name another folder, "
            f"or remove {table} and {corpus_dir / 'audio'} first"
        )
    check_voices()
    rows = [TABLE_COLUMNS]
    console = Console(stderr=True)
    for take in track(plan_takes(), description="synthesising", console=console):
        seconds = synthesise_take(take, corpus_dir)
        rows.append([take.split, take.id, take.speaker, f"{seconds:.3f}", take.path, take.text])
    write_text(table, "".join("\t".join(row) + "\n" for row in rows))


def check_voices() -> None:
    """Refuse (UserError) when espeak-ng is missing or lacks one of the corpus's accents or variants.

    Note: espeak-ng itself does not: it speaks an unknown variant in its standard voice, without a word.
    """
    if shutil.which("espeak-ng") is None:
        raise UserError("espeak-ng is not on PATH, and synthesising needs it: apt-get install espeak-ng")
    listing = subprocess.run(["espeak-ng", "--voices=en"], capture_output=True, text=True, check=True).stdout
    listing += subprocess.run(["espeak-ng", "--voices=variant"], capture_output=True, text=True, check=True).stdout
    names = [name for speakers in SPEAKERS.values() for speaker in speakers for name in _voice(speaker)]
    missing = {name for name in names if name not in listing.split() and f"!v/{name}" not in listing.split()}
    if missing:
        raise UserError(
            f"this espeak-ng lacks the voices {', '.join(sorted(missing))}: install espeak-ng 1.51 or newer"
        )


def plan_takes() -> list[Take]:
    """Every utterance of the corpus, the same on each call; no sentence occurs twice, in one split or in two."""
    rng = np.random.default_rng(SEED)
    num_takes = sum(len(speakers) * UTTERANCES_PER_SPEAKER[split] for split, speakers in SPEAKERS.items())
    sentences = iter(_draw_sentences(num_takes, rng))
    takes = []
    for split, speakers in SPEAKERS.items():
        for speaker in speakers:
            pitch, words_per_minute = int(rng.integers(38, 63)), int(rng.integers(136, 167))
            for number in range(1, UTTERANCES_PER_SPEAKER[split] + 1):
                take = Take(
                    split=split,
                    id=f"{speaker}-{number:03d}",
                    speaker=speaker,
                    text=next(sentences),
                    pitch=pitch + int(rng.integers(-8, 9)),
                    words_per_minute=words_per_minute + int(rng.integers(-6, 7)),
                    level_decibels=rng.uniform(-32, -22),
                    snr_decibels=rng.uniform(20, 40),
                    pink=bool(rng.random() < 0.5),
                    pause_seconds=(rng.uniform(0.06, 0.2), rng.uniform(0.06, 0.2)),
                    seed=int(rng.integers(2**32)),
                )
                takes.append(take)
    return takes


def synthesise_take(take: Take, corpus_dir: Path) -> float:
    """Speak, level, add noise and write one utterance; returns its duration in seconds."""
    speech = _speak(take)
    level = 10 ** (take.level_decibels / 20)
    speech *= level / np.sqrt(np.mean(speech**2))
    before, after = (round(seconds * SAMPLE_RATE) for seconds in take.pause_seconds)
    samples = np.pad(speech, (before, after))
    samples += level * 10 ** (-take.snr_decibels / 20) * _make_noise(len(samples), take.pink, take.seed)
    with atomic_path(corpus_dir / take.path) as temporary:
        soundfile.write(
            temporary,
            samples,
            SAMPLE_RATE,
            format="OGG",
            subtype="OPUS",
            compression_level=OPUS_COMPRESSION_LEVEL,
        )
    return len(samples) / SAMPLE_RATE


def _iter_table(corpus_dir: Path) -> Iterator[tuple[str, Utterance]]:
    """Split and utterance of every row of the corpus's table, checked."""
    table = corpus_dir / TABLE_NAME
    if not table.is_file():
        raise UserError(
            f"{corpus_dir} holds no {TABLE_NAME}: name the folder data/mini of audioroto's repository, "
            "or make the corpus there with 'audioroto prepare mini --synthesise'"
        )
    rows = csv.reader(io.StringIO(table.read_text(encoding="utf-8")), delimiter="\t", quoting=csv.QUOTE_NONE)
    if next(rows, None) != TABLE_COLUMNS:
        raise UserError(f"{table} line 1: expected {' '.join(TABLE_COLUMNS)}, separated by tabs. {RESTORE}")
    for number, row in enumerate(rows, start=2):
        try:
            split, utterance_id, speaker, seconds, path, text = row
            utterance = Utterance(utterance_id, speaker, corpus_dir / path, float(seconds), text)
        except ValueError:
            split = ""
        if split not in SPEAKERS:
            raise UserError(f"{table} line {number}: expected {' '.join(TABLE_COLUMNS)}, separated by tabs. {RESTORE}")
        if not utterance.path.is_file():
            raise UserError(f"{table} line {number}: {utterance.path} is missing. {RESTORE}")
        yield split, utterance


def _draw_sentences(count: int, rng: np.random.Generator) -> list[str]:
    """`count` different sentences, dealt so that rare and early ones do not gather in the first split."""
    sentences: dict[str, None] = {}
    while len(sentences) < count:
        sentence = _expand("sentence", rng)
        if len(sentence.split()) <= MAX_WORDS:
            sentences[sentence] = None
    return [list(sentences)[place] for place in rng.permutation(count)]


def _expand(symbol: str, rng: np.random.Generator) -> str:
    """A random text that GRAMMAR makes of `symbol`."""
    if symbol not in GRAMMAR:
        return symbol
    alternatives = GRAMMAR[symbol]
    chosen = alternatives[int(rng.integers(len(alternatives)))]
    return " ".join(_expand(part, rng) for part in chosen.split())


def _voice(speaker: str) -> tuple[str, str]:
    """espeak-ng's names of a speaker's accent and variant."""
    accent, variant = speaker.split("-")
    return ACCENTS[accent], variant


def _speak(take: Take) -> np.ndarray:
    """What espeak-ng says, (S,) float32 at SAMPLE_RATE, without the silence around it."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        # Note: lower case, because espeak-ng may spell upper-case words; the full stop lets the voice fall at the end.
        command = ["espeak-ng", "-v", "+".join(_voice(take.speaker)), "-p", str(take.pitch)]
        command += ["-s", str(take.words_per_minute), "-w", str(wav), take.text.lower() + "."]
        subprocess.run(command, check=True)
        samples, rate = soundfile.read(wav, dtype="float32")
    audible = np.flatnonzero(np.abs(samples) > 0.003 * np.abs(samples).max())
    return resample(samples[audible[0] : audible[-1] + 1], rate, SAMPLE_RATE)


def _make_noise(num_samples: int, pink: bool, seed: int) -> np.ndarray:
    """White or pink noise of unit RMS, (S,) float32; pink: power falls as 1/f above 50 Hz."""
    noise = np.random.default_rng(seed).standard_normal(num_samples)
    if pink:
        frequencies = np.fft.rfftfreq(num_samples, 1 / SAMPLE_RATE)
        noise = np.fft.irfft(np.fft.rfft(noise) / np.sqrt(np.maximum(frequencies, 50.0)), num_samples)
    return (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)
