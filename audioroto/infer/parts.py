"""What is recognized of a data directory already: a file for each batch, from whichever process, until all is there."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from audioroto.files import write_text
from audioroto.infer.transcript import Transcript


@dataclass(frozen=True)
class Part:
    """A batch's transcripts, {mode: {utterance: transcript}}, and what encoding and searching took."""

    transcripts: dict[str, dict[str, Transcript]]
    encode_seconds: float
    search_seconds: dict[str, float]
    peak_memory_bytes: dict[str, int]

    @property
    def ids(self) -> set[str]:
        """The utterances that it holds."""
        return {key for found in self.transcripts.values() for key in found}


_PART = TypeAdapter(Part)


class PartFolder:
    """The parts of one job in OUT_DIR/.recognize: of the same model, settings, modes and utterances, told by a hash."""

    def __init__(self, out_dir: str | Path, job: Any) -> None:
        self._root = Path(out_dir, ".recognize")
        self._folder = self._root / _hash(job)[:16]

    def write(self, part: Part) -> None:
        """Keep a part, atomically."""
        content = json.dumps(asdict(part), default=float)  # default: NumPy's numbers
        write_text(self._folder / f"{_hash(sorted(part.ids))[:16]}.json", content)

    def read(self) -> Iterator[Part]:
        """All parts that are there; one that is damaged is as if it were not."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                yield _PART.validate_python(json.loads(path.read_text(encoding="utf-8")))
            except (ValueError, ValidationError):
                path.unlink()

    def remove(self) -> None:
        """Forget its parts; those of other jobs, stopped or still running, stay."""
        shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):  # others have some
            self._root.rmdir()


def _hash(content: Mapping[str, Any] | list[Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
