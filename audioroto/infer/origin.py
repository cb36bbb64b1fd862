"""What a text comes from: the model, the n-gram, the search and its settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audioroto.files import sha256_of
from audioroto.infer.recognizer import MODES_WITH_LM, Recognizer


def describe_origin(
    recognizer: Recognizer, model: str | Path, lm: str | Path | None, modes: Sequence[str], *, whole: bool = False
) -> dict[str, Any]:
    """All that the texts of a loaded model depend on beside the audio, as plain data: files, and settings."""
    files = {"model": describe_file(model)}
    if lm and set(modes) & set(MODES_WITH_LM):
        files["lm"] = describe_file(lm)
    search = recognizer.settings.model_dump(mode="json")
    return {**files, "settings": {"modes": list(modes), "whole": whole, "search": search}}


def describe_file(path: str | Path) -> dict[str, str]:
    """A file's name and the SHA-256 of its content."""
    return {"name": Path(path).name, "sha256": sha256_of(path)}
