"""A data directory to hypotheses on disk."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

from audioroto.audio.load import load_audio
from audioroto.corpus.batches import make_batches
from audioroto.corpus.datadir import read_datadir, write_table
from audioroto.files import write_text
from audioroto.infer.recognizer import Recognizer
from audioroto.infer.transcript import Transcript


@dataclass(frozen=True)
class Recognition:
    """What a run over a data directory took."""

    utterances: int
    audio_seconds: float
    wall_seconds: float

    @property
    def real_time_factor(self) -> float:
        """Seconds of computing for a second of audio."""
        return self.wall_seconds / self.audio_seconds if self.audio_seconds else 0.0


def recognize_datadir(
    recognizer: Recognizer, data_dir: str | Path, out_dir: str | Path, batch_seconds: float = 60.0
) -> Recognition:
    """Recognize every utterance of `data_dir`; writes OUT_DIR/text (Kaldi form) and OUT_DIR/recognition.json."""
    utterances = read_datadir(data_dir)
    started = time.perf_counter()
    transcripts: dict[str, Transcript] = {}
    for batch in track(make_batches([u.seconds for u in utterances], batch_seconds), "recognize"):
        waveforms = [
            load_audio(
                utterances[index].path,
                recognizer.sample_rate,
                start_seconds=utterances[index].start_seconds,
                end_seconds=utterances[index].end_seconds,
            )[0]
            for index in batch
        ]
        found = recognizer.recognize(waveforms)
        transcripts.update({utterances[index].id: transcript for index, transcript in zip(batch, found, strict=True)})
    recognition = Recognition(
        utterances=len(utterances),
        audio_seconds=sum(transcript.seconds for transcript in transcripts.values()),
        wall_seconds=time.perf_counter() - started,
    )
    write_table(Path(out_dir) / "text", {key: transcript.text for key, transcript in transcripts.items()})
    write_text(
        Path(out_dir) / "recognition.json",
        json.dumps(
            {
                "mode": "ctc_greedy",
                "utterances": recognition.utterances,
                "audio_seconds": round(recognition.audio_seconds, 3),
                "wall_seconds": round(recognition.wall_seconds, 3),
                "real_time_factor": round(recognition.real_time_factor, 5),
                "parameters": recognizer.engine.num_parameters,
            },
            indent=2,
        )
        + "\n",
    )
    return recognition
