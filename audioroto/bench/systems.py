"""What `bench transcribe` sets side by side: a model of ours, and recognisers of others where they are installed."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from audioroto.config import Search
from audioroto.errors import UserError
from audioroto.infer.engine import TorchEngine
from audioroto.infer.recognizer import Recognizer, find_mode
from audioroto.search.word_model import WordModel

POCKETSPHINX = "5.1.1"


@dataclass(frozen=True)
class System:
    """A recogniser ready to listen: `transcribe` takes mono samples (S,) at `rate` hertz."""

    transcribe: Callable[[np.ndarray], str]
    rate: int
    model_bytes: int  # of all files it was loaded from
    parameters: int | None = None  # of the network; None where there is none


@dataclass(frozen=True)
class Candidate:
    """A system by name, and how to load it: also in another process, so `load` can be pickled."""

    name: str
    load: Callable[[], System]
    device: str = "cpu"


def make_candidates(
    model: Path, peers: list[str], *, mode: str, lm: Path | None, search: Search, device: str
) -> list[Candidate]:
    """The model in a mode, first, and the peers. Raises UserError for a peer that is not known or not installed."""
    find_mode(mode)
    name = f"{model.parent.name}/{model.stem} {mode}" + (f" with {lm.name}" if lm else "")
    candidates = [Candidate(name, partial(load_own, model, device, mode, lm, search), device)]
    for peer in dict.fromkeys(peers):
        if peer != "pocketsphinx":
            raise UserError(f"there is no peer '{peer}'; the peers are pocketsphinx")
        _import_pocketsphinx()
        candidates.append(Candidate(f"PocketSphinx {POCKETSPHINX}", load_pocketsphinx))
    return candidates


def load_own(model: Path, device: str, mode: str, lm: Path | None, search: Search) -> System:
    """The model in a file, searching in `mode`."""
    engine = TorchEngine(model, device)
    words = WordModel(lm, engine.tokenizer, search.open_vocabulary) if lm else None
    recognizer = Recognizer(engine, search, words)
    return System(
        lambda samples: recognizer.transcribe(samples, recognizer.sample_rate, mode).text,
        recognizer.sample_rate,
        os.path.getsize(model) + (os.path.getsize(lm) if lm else 0),
        engine.num_parameters,
    )


def load_pocketsphinx() -> System:
    """PocketSphinx with the American English model, dictionary and trigram that its wheel carries."""
    pocketsphinx = _import_pocketsphinx()
    decoder = pocketsphinx.Decoder(samprate=16000, loglevel="FATAL")

    def transcribe(samples: np.ndarray) -> str:
        decoder.start_utt()
        decoder.process_raw(_to_16_bits(samples), full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        return found.hypstr if found else ""

    files = Path(pocketsphinx.get_model_path(), "en-us").rglob("*")
    return System(transcribe, 16000, sum(file.stat().st_size for file in files if file.is_file()))


def _to_16_bits(samples: np.ndarray) -> bytes:
    return (np.clip(samples, -1.0, 1.0) * 32767).round().astype(np.int16).tobytes()


def _import_pocketsphinx() -> Any:
    try:
        return import_module("pocketsphinx")
    except ImportError:
        raise UserError(
            f"the peer is not installed; run 'pip install pocketsphinx=={POCKETSPHINX}' in this environment"
        ) from None
