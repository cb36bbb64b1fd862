"""audioroto: speech recognition from a folder of speech to a measured recogniser, and from any audio file to text.

`load_model()` gives a recognizer, `transcribe(audio)` turns one recording into text, both by the English model that
comes with the package or by the one that is named. Importing the package
loads no torch; the first use of one of these names does.
"""

from importlib import import_module
from importlib.metadata import version
from typing import Any

_LAZY = {
    "Recognizer": "audioroto.infer.recognizer",
    "Transcript": "audioroto.infer.transcribe",
    "load_model": "audioroto.infer.recognizer",
    "transcribe": "audioroto.infer.transcribe",
}

__all__ = ["Recognizer", "Transcript", "__version__", "load_model", "transcribe"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("audioroto")
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'audioroto' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
