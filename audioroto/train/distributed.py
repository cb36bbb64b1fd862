"""Several processes that train one model: who each is, and what they tell one another.

`--num-processes` or `torchrun` starts them; on a CPU they speak through gloo, on GPUs gradients go through nccl. All
methods are collective: every process calls them, in the same order. A process that is alone has nobody to tell, and
nothing is changed.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from audioroto.config import Train
from audioroto.errors import UserError
from audioroto.model.device import choose_device

LONGEST_WAIT = timedelta(hours=1)  # for a process that reads its data, or validates, more slowly than the others


@dataclass(frozen=True)
class Processes:
    """This process among `count` of them: its `rank`."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes, logs and shows."""
        return self.rank == 0

    def refuse_too_many(self, settings: Train) -> None:
        """Raise UserError when there are more processes than parts of an update, which is what they share out."""
        wanted = self.count * settings.micro_batch_seconds
        if self.count > 1 and not 0 < wanted <= settings.batch_seconds * (1 + 1e-9):
            raise UserError(
                f"{self.count} processes share out the parts of an update, and train.micro_batch_seconds = "
                f"{settings.micro_batch_seconds:g} leaves too few of them; use --set train.micro_batch_seconds="
                f"{settings.batch_seconds / self.count:g} or less, and the same for any number of processes"
            )

    def sum(self, values: list[float]) -> list[float]:
        """Each value added up over all processes."""
        if self.count == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total)
        return total.tolist()

    def any(self, flag: bool) -> bool:
        """Whether `flag` holds in any of the processes."""
        return self.sum([float(flag)])[0] > 0

    def wait(self) -> None:
        """Until all processes have come here."""
        self.sum([0.0])

    def gather(self, value: Any) -> list[Any]:
        """The value of each process, in order of their ranks."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients; a parameter has one afterwards if it had one in any process."""
        if self.count == 1:
            return
        trained = list(parameters)
        present = torch.tensor([parameter.grad is not None for parameter in trained], device=trained[0].device)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        flat = torch.cat([present.float(), *(gradient.reshape(-1) for gradient in gradients)])
        dist.all_reduce(flat)
        sums = flat[len(trained) :].split([parameter.numel() for parameter in trained])
        for parameter, counted, total in zip(trained, flat[: len(trained)].tolist(), sums, strict=True):
            parameter.grad = total.view_as(parameter) if counted else None

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Give the other processes the first one's values, in place."""
        if self.count > 1:
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)

    @contextmanager
    def first_goes_first(self) -> Iterator[None]:
        """The block is for the first process to do; the others do it after, and find what it has left on the disk."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()


ALONE = Processes()


@contextmanager
def join_processes() -> Iterator[Processes]:
    """Meet the other processes that have been started; alone where none have.

    Where one fails, all end: the first to fail raises its error, the others leave in silence with status 1. Where one
    is gone without a word, the others raise UserError.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    store, rank, count = next(iter(rendezvous("env://", timeout=LONGEST_WAIT)))
    if (device := choose_device("auto")).type == "cuda":
        torch.cuda.set_device(device)  # where nccl gathers objects
    # Note: without a backend's name both are there: gloo for tensors on the CPU, nccl for those on GPUs.
    dist.init_process_group(store=store, rank=rank, world_size=count, timeout=LONGEST_WAIT)
    try:
        yield Processes(rank, count)
    except BaseException as error:
        # Note: the others find their connections closed, and may be the first to be heard of.
        if store.add("audioroto/failures", 1) > 1 and isinstance(error, Exception):
            raise SystemExit(1) from None
        if isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error)):
            raise UserError(
                "another process of this training is gone, or cannot be reached any more; the same command goes on "
                "from what was saved"
            ) from error
        raise
    dist.destroy_process_group()
