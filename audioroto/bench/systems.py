"""What `bench transcribe` sets side by side: a model of ours, and recognisers of others where they are installed."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audioroto.config import Search
from audioroto.errors import UserError
from audioroto.files import sha256_of
from audioroto.infer.recognizer import load_model
from audioroto.model.checkpoint import describe_environment
from audioroto.model.pretrained import find_model

POCKETSPHINX = "5.1.1"


@dataclass(frozen=True)
class System:
    """A recogniser ready to listen: `transcribe` takes mono samples (S,) at `rate` hertz."""

    transcribe: Callable[[np.ndarray], str]
    rate: int
    model_bytes: int  # of all files it was loaded from
    fingerprint: str  # of all that its texts depend on
    parameters: int | None = None  # of the network; None where there is none


@dataclass(frozen=True)
class Candidate:
    """A system by name, and how to load it: also in another process, so `load` can be pickled."""

    name: str
    load: Callable[[], System]
    device: str = "cpu"


def make_candidates(
    model: Path, peers: list[str], *, lm: Path | None, search: Search, device: str, threads: int | None = None
) -> list[Candidate]:
    """The model, first, and the peers. Raises UserError for a peer that is not known or not installed."""
    name = f"{Path(model.parent.name) / model.stem} {search.mode}" + (f" with {lm.name}" if lm else "")
    candidates = [Candidate(name, partial(load_own, model, device, lm, search, threads), device)]
    for peer in dict.fromkeys(peers):
        if peer != "pocketsphinx":
            raise UserError(f"there is no peer '{peer}'; the peers are pocketsphinx")
        _import_pocketsphinx()
        candidates.append(Candidate(f"PocketSphinx {POCKETSPHINX}", load_pocketsphinx))
    return candidates


def load_own(model: Path, device: str, lm: Path | None, search: Search, threads: int | None = None) -> System:
    """The model in a file, searching as `search` says."""
    recognizer = load_model(
        model, device, search, lm, threads=threads or torch.get_num_threads()
    )  # onnxruntime would take all
    others = (recognizer.words, recognizer.language_model)
    files = [find_model(model), *(lm.path for lm in others if lm and lm.path)]
    return System(
        lambda samples: recognizer.transcribe(samples, recognizer.sample_rate).text,
        recognizer.sample_rate,
        sum(map(os.path.getsize, files)),
        " ".join([*map(sha256_of, files), device, str(search), *describe_environment().values()]),
        recognizer.engine.num_parameters,
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
    num_bytes = sum(file.stat().st_size for file in files if file.is_file())
    return System(transcribe, 16000, num_bytes, fingerprint=f"PocketSphinx {POCKETSPHINX}")


def _to_16_bits(samples: np.ndarray) -> bytes:
    return (np.clip(samples, -1.0, 1.0) * 32767).round().astype(np.int16).tobytes()


def _import_pocketsphinx() -> Any:
    try:
        return import_module("pocketsphinx")
    except ImportError:
        raise UserError(
            f"the peer is not installed; run 'pip install pocketsphinx=={POCKETSPHINX}' in this environment"
        ) from None
