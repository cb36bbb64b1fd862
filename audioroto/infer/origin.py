"""What a text comes from: the model, the n-gram, the search and its settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audioroto.files import sha256_of
from audioroto.infer.recognizer import MODES_WITH_LM, Recognizer


def describe_origin(
    recognizer: Recognizer, model: str | Path, lm: str | Path | None, modes: Sequence[str], *, whole: bool = False
) -> dict[str, Any]:
    """All that the texts of a loaded model depend on beside the audio, as plain data; files by name and SHA-256."""
    origin: dict[str, Any] = {"model": Path(model).name, "model_sha256": sha256_of(model)}
    if lm and set(modes) & set(MODES_WITH_LM):
        origin |= {"lm": Path(lm).name, "lm_sha256": sha256_of(lm)}
    return {**origin, "modes": list(modes), "whole": whole, "search": recognizer.settings.model_dump(mode="json")}
