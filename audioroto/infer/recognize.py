"""A data directory to hypotheses on disk."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from audioroto.audio.load import load_audio
from audioroto.corpus.batches import make_batches
from audioroto.corpus.datadir import Utterance, read_datadir, write_table
from audioroto.files import write_text
from audioroto.infer.recognizer import MODES_WITH_LM, Recognizer, find_mode
from audioroto.infer.transcript import Transcript
from audioroto.model.memory import PeakMemory
from audioroto.score.sclite import CtmWord, format_ctm


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
) -> list[Recognition]:
    """Recognize every utterance of `data_dir`, encoded once, in each of `modes`.

    Writes OUT_DIR/<mode>/ with `text` (a Kaldi table), `words.ctm` (times from the utterance's start) and
    `recognition.json`. What libraries keep of one mode's memory counts for the modes after it: for a figure to compare,
    recognize in one mode at a time. Raises UserError for an unknown mode.
    """
    for mode in modes:
        find_mode(mode)
    utterances = read_datadir(data_dir)
    found: dict[str, dict[str, Transcript]] = {mode: {} for mode in modes}
    encode_seconds, search_seconds = 0.0, dict.fromkeys(modes, 0.0)
    memory, peaks = PeakMemory(recognizer.engine.device), dict.fromkeys(modes, 0)
    for batch, waveforms in iter_waveforms(utterances, recognizer.sample_rate, batch_seconds):
        memory.forget()
        started = time.perf_counter()
        encoding = recognizer.engine.encode(waveforms)
        encode_seconds += time.perf_counter() - started
        encode_peak = memory.bytes()
        for mode in modes:
            memory.forget()
            started = time.perf_counter()
            transcripts = recognizer.search(waveforms, encoding, mode)
            search_seconds[mode] += time.perf_counter() - started
            peaks[mode] = max(peaks[mode], encode_peak, memory.bytes())
            found[mode].update({u.id: transcript for u, transcript in zip(batch, transcripts, strict=True)})
    return [
        _write(Path(out_dir) / mode, mode, found[mode], recognizer, encode_seconds, search_seconds[mode], peaks[mode])
        for mode in modes
    ]


def iter_waveforms(
    utterances: Sequence[Utterance], sample_rate: int, batch_seconds: float
) -> Iterator[tuple[list[Utterance], list[np.ndarray]]]:
    """Utterances of similar length and their waveforms (S,), `batch_seconds` at once at most; progress on stderr."""
    batches = make_batches([utterance.seconds for utterance in utterances], batch_seconds)
    for indices in track(batches, "recognize", console=Console(stderr=True)):
        batch = [utterances[index] for index in indices]
        waveforms = [
            load_audio(u.path, sample_rate, start_seconds=u.start_seconds, end_seconds=u.end_seconds)[0] for u in batch
        ]
        yield batch, waveforms


def _write(
    folder: Path,
    mode: str,
    transcripts: dict[str, Transcript],
    recognizer: Recognizer,
    encode_seconds: float,
    search_seconds: float,
    peak_memory_bytes: int,
) -> Recognition:
    audio_seconds = sum(transcript.seconds for transcript in transcripts.values())
    recognition = Recognition(
        mode=mode,
        utterances=len(transcripts),
        gated=sum(transcript.gated for transcript in transcripts.values()),
        audio_seconds=round(audio_seconds, 3),
        encode_real_time_factor=round(encode_seconds / audio_seconds, 5) if audio_seconds else 0.0,
        search_real_time_factor=round(search_seconds / audio_seconds, 5) if audio_seconds else 0.0,
        peak_memory_bytes=peak_memory_bytes,
    )
    words = [
        CtmWord(key, word.start_seconds, word.end_seconds - word.start_seconds, word.text, word.confidence)
        for key, transcript in transcripts.items()
        for word in transcript.words
    ]
    facts = {
        **asdict(recognition),
        "real_time_factor": round(recognition.real_time_factor, 5),
        "lm": recognizer.words.name if recognizer.words and mode in MODES_WITH_LM else None,
        "parameters": recognizer.engine.num_parameters,
        "settings": recognizer.settings.model_dump(mode="json"),
    }
    write_table(folder / "text", {key: transcript.text for key, transcript in transcripts.items()})
    write_text(folder / "words.ctm", format_ctm(words))
    write_text(folder / "recognition.json", json.dumps(facts, indent=2) + "\n")
    return recognition
