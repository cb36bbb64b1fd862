"""The most memory that a computation takes."""

import platform
import resource
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class PeakMemory:
    """The most memory in bytes taken since `PeakMemory(device)` above what was in use then.

    On a GPU what torch has allocated there, elsewhere the resident memory of the process.
    """

    def __init__(self, device: "torch.device") -> None:
        self.device = device
        self.forget()
        self.before = self._peak()

    def bytes(self) -> int:
        """The peak until now, since the start or since it was last forgotten; 0 where less is in use than then."""
        return max(0, self._peak() - self.before)

    def forget(self) -> None:
        """Let the peak be what is in use now; it still counts from what was in use at the start."""
        if self.device.type == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            with suppress(OSError):  # Linux forgets the peak so far when asked; elsewhere it stays
                Path("/proc/self/clear_refs").write_text("5")

    def _peak(self) -> int:
        if self.device.type == "cuda":
            import torch

            return torch.cuda.max_memory_allocated(self.device)
        # Note: Linux hands ru_maxrss on to a child, even through exec: a small child of a large parent would look
        # large. VmHWM is the process's own.
        with suppress(OSError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        unit = 1 if platform.system() == "Darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
