"""The figures of metrics.jsonl for TensorBoard, an extra."""

from pathlib import Path
from typing import Any

from audioroto.errors import UserError


def require_tensorboard() -> None:
    """Raise UserError where the package tensorboard is not installed."""
    try:
        import torch.utils.tensorboard  # noqa: F401 – whether it can be imported
    except ImportError:
        raise UserError(
            "--tensorboard needs a package that is not installed; run pip install 'audioroto[tensorboard]'"
        ) from None


class TensorBoard:
    """Writes event files to `folder`. A run that goes on after `update` takes the place of what came behind it."""

    def __init__(self, folder: Path, update: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer: Any = SummaryWriter(str(folder), purge_step=update + 1)

    def write(self, values: dict[str, Any]) -> None:
        """Show each number of a line of metrics.jsonl as a scalar; train_loss as train/loss, and so on."""
        for key, value in values.items():
            if key != "update" and isinstance(value, int | float):
                split, _, name = key.partition("_")
                tag = f"{split}/{name}" if split in ("train", "valid") else f"run/{key}"
                self.writer.add_scalar(tag, value, values["update"])
        self.writer.flush()
