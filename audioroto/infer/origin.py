"""What a text comes from: the model, the n-gram, the search and its settings."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audioroto.files import sha256_of
from audioroto.infer.modes import MODES_WITH_LM, MODES_WITH_NEURAL_LM
from audioroto.infer.recognizer import Recognizer
from audioroto.model.pretrained import find_model


def describe_origin(
    recognizer: Recognizer, model: str | Path, modes: Sequence[str], *, whole: bool = False
) -> dict[str, Any]:
    """All that the texts of a loaded model depend on beside the audio, as plain data: files, and settings."""
    files = {"model": describe_file(find_model(model))}
    if recognizer.words and set(modes) & set(MODES_WITH_LM):
        files["lm"] = describe_file(recognizer.words.path)
    language_model = recognizer.language_model
    if language_model and language_model.path and set(modes) & set(MODES_WITH_NEURAL_LM):
        files["neural_lm"] = describe_file(language_model.path)
    search = recognizer.settings.model_dump(mode="json", exclude={"mode"})
    return {**files, "settings": {"modes": list(modes), "whole": whole, "search": search}}


def describe_file(path: str | os.PathLike[str]) -> dict[str, str]:
    """A file's name and the SHA-256 of its content."""
    return {"name": Path(path).name, "sha256": sha256_of(path)}
