"""A data directory to hypotheses on disk, by one process or several, on from where it was stopped."""

import json
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from audioroto.corpus.batches import make_batches
from audioroto.corpus.datadir import Utterance, read_datadir, write_table
from audioroto.errors import UserError
from audioroto.files import write_text
from audioroto.infer.modes import MODES, find_mode
from audioroto.infer.parts import Part, PartFolder
from audioroto.infer.recognizer import Recognizer
from audioroto.infer.team import Team, divide
from audioroto.infer.transcript import Transcript
from audioroto.model.memory import PeakMemory
from audioroto.score.sclite import CtmWord, format_ctm

DISK_SECONDS = 90.0


@dataclass(frozen=True)
class Recognition:
    """What recognizing a data directory in one mode took; encoding is done once for all modes."""

    mode: str
    utterances: int
    gated: int  # utterances too quiet to hold speech
    audio_seconds: float
    encode_real_time_factor: float  # seconds of computing for a second of audio
    search_real_time_factor: float  # with the times and confidences of words
    peak_memory_bytes: int  # of encoding and searching, above what was in use before: without the model itself

    @property
    def real_time_factor(self) -> float:
        """Seconds of encoding and searching for a second of audio; reading the files is not counted."""
        return self.encode_real_time_factor + self.search_real_time_factor


def recognize_datadir(
    recognizer: Recognizer,
    data_dir: str | Path,
    out_dir: str | Path,
    modes: Sequence[str] = ("ctc_greedy",),
    batch_seconds: float = 60.0,
    *,
    origin: Mapping[str, Any] | None = None,
    team: Team | None = None,
) -> list[Recognition]:
    """Recognize every utterance of `data_dir`, encoded once, in each of `modes`.

    Writes OUT_DIR/<mode>/ with `text` (a Kaldi table), `words.ctm` (times from the utterance's start) and
    `recognition.json`. What libraries keep of one mode's memory counts for the modes after it: for a figure to compare,
    recognize in one mode at a time. The processes of `team` share the utterances; its leader merges what they found,
    and returns it, the others nothing. With `origin`, what the texts depend on (`describe_origin`), a run that was
    stopped goes on where it was when it is called again. Raises UserError for an unknown mode,
    or for none.
    """
    if not modes:
        raise UserError(f"there is no mode to recognize in; give one or more of {', '.join(MODES)}")
    for mode in modes:
        find_mode(mode)
    team = team or Team()
    utterances = {utterance.id: utterance for utterance in read_datadir(data_dir)}
    origin = origin or {"unknown": team.agree("unknown", secrets.token_hex)}
    parts = PartFolder(out_dir, [origin, list(modes), _describe(utterances.values())])

    def plan() -> list[list[str]]:
        done = {key for part in parts.read() for key in part.ids}
        rest = [utterance for utterance in utterances.values() if utterance.id not in done]
        return [[rest[i].id for i in share] for share in divide([u.seconds for u in rest], team.size)]

    share = [utterances[key] for key in team.agree("plan", plan)[team.rank]]
    memory = PeakMemory(recognizer.engine.device)
    for batch, waveforms in iter_waveforms(share, recognizer.sample_rate, batch_seconds, show_progress=team.leads):
        parts.write(_recognize_batch(recognizer, batch, waveforms, modes, memory))
    if team.gather("done", len(share)) is None:
        return []
    found = _read_all(parts, len(utterances), out_dir)
    recognitions = [_write(Path(out_dir) / mode, mode, found, recognizer, origin) for mode in modes]
    parts.remove()
    return recognitions


def iter_waveforms(
    utterances: Sequence[Utterance], sample_rate: int, batch_seconds: float, show_progress: bool = True
) -> Iterator[tuple[list[Utterance], list[np.ndarray]]]:
    """Utterances of similar length and their waveforms (S,), `batch_seconds` at once at most; progress on stderr."""
    batches = make_batches([utterance.seconds for utterance in utterances], batch_seconds)
    for indices in track(batches, "recognize", console=Console(stderr=True), disable=not show_progress):
        batch = [utterances[index] for index in indices]
        yield batch, [utterance.load(sample_rate) for utterance in batch]


def _recognize_batch(
    recognizer: Recognizer,
    batch: Sequence[Utterance],
    waveforms: Sequence[np.ndarray],
    modes: Sequence[str],
    memory: PeakMemory,
) -> Part:
    memory.forget()
    started = time.perf_counter()
    encoding = recognizer.engine.encode(waveforms)
    encode_seconds, encode_peak = time.perf_counter() - started, memory.bytes()
    found: dict[str, dict[str, Transcript]] = {}
    search_seconds: dict[str, float] = {}
    peak_memory_bytes: dict[str, int] = {}
    for mode in modes:
        memory.forget()
        started = time.perf_counter()
        transcripts = recognizer.search(waveforms, encoding, mode)
        search_seconds[mode] = time.perf_counter() - started
        peak_memory_bytes[mode] = max(encode_peak, memory.bytes())
        found[mode] = {utterance.id: transcript for utterance, transcript in zip(batch, transcripts, strict=True)}
    return Part(found, encode_seconds, search_seconds, peak_memory_bytes)


def _read_all(parts: PartFolder, num_utterances: int, out_dir: str | Path) -> list[Part]:
    """All parts. A network disk may show what another machine has written only after a while."""
    deadline = time.monotonic() + DISK_SECONDS
    while True:
        found = list(parts.read())
        num_missing = num_utterances - len({key for part in found for key in part.ids})
        if not num_missing:
            return found
        if time.monotonic() > deadline:
            raise UserError(
                f"{out_dir}: what other processes found for {num_missing} utterances is not there; give all of them an "
                "--out-dir on a disk that they share"
            )
        time.sleep(1.0)


def _describe(utterances: Iterable[Utterance]) -> list[Any]:
    return [[u.id, str(u.path), u.start_seconds, u.end_seconds] for u in utterances]


def _write(
    folder: Path, mode: str, parts: Sequence[Part], recognizer: Recognizer, origin: Mapping[str, Any]
) -> Recognition:
    transcripts = {key: found for part in parts for key, found in part.transcripts[mode].items()}
    audio_seconds = sum(transcript.seconds for transcript in transcripts.values())
    encode_seconds = sum(part.encode_seconds for part in parts)
    search_seconds = sum(part.search_seconds[mode] for part in parts)
    recognition = Recognition(
        mode=mode,
        utterances=len(transcripts),
        gated=sum(transcript.gated for transcript in transcripts.values()),
        audio_seconds=round(audio_seconds, 3),
        encode_real_time_factor=round(encode_seconds / audio_seconds, 5) if audio_seconds else 0.0,
        search_real_time_factor=round(search_seconds / audio_seconds, 5) if audio_seconds else 0.0,
        peak_memory_bytes=max((part.peak_memory_bytes[mode] for part in parts), default=0),
    )
    words = [
        CtmWord(key, word.start_seconds, word.end_seconds - word.start_seconds, word.text, word.confidence)
        for key, transcript in sorted(transcripts.items())
        for word in transcript.words
    ]
    facts = {
        **asdict(recognition),
        "real_time_factor": round(recognition.real_time_factor, 5),
        "model": origin.get("model"),
        "lm": recognizer.name_lm(mode),
        "parameters": recognizer.engine.num_parameters,
        "normalizer": recognizer.engine.config.text.normalizer,
        "settings": recognizer.settings.model_dump(mode="json", exclude={"mode"}),
    }
    write_table(folder / "text", {key: transcript.text for key, transcript in transcripts.items()})
    write_text(folder / "words.ctm", format_ctm(words))
    write_text(folder / "recognition.json", json.dumps(facts, indent=2) + "\n")
    return recognition
