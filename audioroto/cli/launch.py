"""One command line in several processes of this machine (`--num-processes`), started by what torchrun is made of."""

import logging
import os
import signal
import sys
import uuid
from typing import Annotated

import typer

NumProcesses = Annotated[int, typer.Option(min=1, help="Processes of this machine that share the work.")]


def share_work(num_processes: int) -> None:
    """Run this command line in so many processes and exit as they do; returns for one process, and in each of those.

    Each computes with its share of the cores, unless OMP_NUM_THREADS says otherwise. Raises UserError where other
    processes share the work already, and where one of them was killed.
    """
    from audioroto.errors import UserError

    if num_processes == 1:
        return
    if "TORCHELASTIC_RUN_ID" in os.environ:
        started = int(os.environ["WORLD_SIZE"])
        if started != num_processes:
            raise UserError(f"torchrun has started {started} processes; leave out --num-processes {num_processes}")
        return

    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.disable()  # what the processes have to say they say themselves
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, count_cores() // num_processes)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=num_processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "audioroto", *sys.argv[1:])
    except SignalException:
        raise typer.Exit(130) from None
    except ChildFailedError as error:
        # Note: where one fails the others are ended by SIGTERM, and count as failed.
        for rank, failure in error.failures.items():
            if failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM:
                raise UserError(
                    f"process {rank} of {num_processes} was ended by {failure.signal_name()}; if nobody did that, the "
                    "memory was not enough: give fewer processes, or less audio at once"
                ) from None
        raise typer.Exit(max(1, *(failure.exitcode for failure in error.failures.values()))) from None
    raise typer.Exit


def count_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
