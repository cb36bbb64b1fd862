"""The experiment folder, and what is seen of a run on the terminal."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@dataclass(frozen=True)
class Experiment:
    """Where a run keeps what it makes."""

    folder: Path

    @property
    def state(self) -> Path:
        return self.folder / "resume.safetensors"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def checkpoint(self, update: int) -> Path:
        return self.checkpoints / f"update-{update:07d}.safetensors"

    def bad_batch(self, update: int, part: int) -> Path:
        return self.folder / "bad_batches" / f"update-{update:07d}-{part}.safetensors"

    def remove_earlier(self) -> None:
        """Remove what an earlier run in this folder kept; first its states, which speak of its checkpoints."""
        for name in ("resume*.safetensors", "checkpoints/update-*", "bad_batches/update-*", "diagnostics.*"):
            for path in self.folder.glob(name):
                path.unlink(missing_ok=True)

    def remove_unfinished(self) -> None:
        """Remove the temporary files of what a killed run was just writing."""
        names = (".dropped-*.tsv", ".config-*.toml", ".metrics-*.jsonl", ".curves-*.png", ".resume*-*.safetensors")
        for name in (*names, ".diagnostics-*.*", "checkpoints/.update-*-*.safetensors"):
            for path in self.folder.glob(name):
                path.unlink(missing_ok=True)


def make_progress_bar(console: Console) -> Progress:
    """Updates done of all, time taken and time left, and the task's `note`; silent where there is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=console.quiet or not console.is_terminal,
    )
