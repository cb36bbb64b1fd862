"""The figures of metrics.jsonl for TensorBoard, an extra."""

from pathlib import Path
from typing import Any

from audioroto.errors import UserError


class TensorBoard:
    """Writes event files to `folder`. A run that goes on after `update` takes the place of what came behind it.

    Raises UserError when the package tensorboard is not installed.
    """

    def __init__(self, folder: Path, update: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError(
                "--tensorboard needs a package that is not installed; run pip install 'audioroto[tensorboard]'"
            ) from None
        self.writer: Any = SummaryWriter(str(folder), purge_step=update + 1)

    def write(self, values: dict[str, Any]) -> None:
        """Show each number of a line of metrics.jsonl as a scalar; train_loss as train/loss, and so on."""
        for key, value in values.items():
            if key != "update" and isinstance(value, int | float):
                split, _, name = key.partition("_")
                tag = f"{split}/{name}" if split in ("train", "valid") else f"run/{key}"
                self.writer.add_scalar(tag, value, values["update"])
        self.writer.flush()
