"""A transcript as text in the formats that others read."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Literal

from audioroto.infer.transcript import Transcript


def format_transcript(
    transcript: Transcript,
    format: str,
    *,
    name: str,
    about: Mapping[str, Any] | None = None,
    case: Literal["model", "sentence"] = "model",
) -> str:
    """The content of a file in `format`; `name` is the recording's, `about` says what heard it."""
    return FORMATS[format](transcript, name, about)


def _format_txt(transcript: Transcript, name: str, about: Mapping[str, Any] | None) -> str:
    return transcript.text + "\n"


def _format_json(transcript: Transcript, name: str, about: Mapping[str, Any] | None) -> str:
    content = {"name": name, "text": transcript.text, **asdict(transcript), "about": about}
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


FORMATS: dict[str, Callable[[Transcript, str, Mapping[str, Any] | None], str]] = {
    "txt": _format_txt,
    "json": _format_json,
}
