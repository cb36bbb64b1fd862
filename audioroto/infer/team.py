"""Several processes that share a job, on one machine or more; they talk through the store of what started them."""

import heapq
import json
import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from audioroto.errors import UserError

PATIENCE = timedelta(days=30)  # torchrun ends all when one of them dies, so nobody waits in vain


class Team:
    """This process among those of the job. Alone, unless RANK and WORLD_SIZE say otherwise, as torchrun sets them.

    Only a few words are exchanged, as JSON: what is to be done by whom, and in the end what came of it. The work itself
    lies on the disk that all of them see.
    """

    def __init__(self) -> None:
        self.rank = 0
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        if self.size > 1:
            from torch.distributed.rendezvous import rendezvous

            try:
                self._store, self.rank, self.size = next(rendezvous("env://", timeout=PATIENCE))
            except (ValueError, RuntimeError) as error:
                raise UserError(
                    f"WORLD_SIZE is {self.size}, but the processes do not find each other ({error}); start them by "
                    "--num-processes N, or by torchrun on several machines, or unset WORLD_SIZE"
                ) from None

    @property
    def leads(self) -> bool:
        """True for the one process that plans, merges and reports."""
        return self.rank == 0

    def agree(self, topic: str, decide: Callable[[], Any]) -> Any:
        """What the leader's `decide` returns, plain data, in every process; the others' is not called."""
        if self.size == 1:
            return decide()
        if self.leads:
            self._store.set(topic, json.dumps(decide()))
        return json.loads(self._store.get(topic))

    def gather(self, topic: str, part: Any) -> list[Any] | None:
        """The leader gets everyone's part, by rank, once all have come; the others get None and need not wait."""
        if self.size == 1:
            return [part]
        self._store.set(f"{topic}/{self.rank}", json.dumps(part))
        return [json.loads(self._store.get(f"{topic}/{rank}")) for rank in range(self.size)] if self.leads else None


def divide(seconds: Sequence[float], num_shares: int) -> list[list[int]]:
    """Indices in shares of about the same sum of seconds: the longest first, each to the share that has least.

    The same for the same seconds; indices ascend within a share.
    """
    loads = [(0.0, share) for share in range(num_shares)]
    shares: list[list[int]] = [[] for _ in range(num_shares)]
    for index in sorted(range(len(seconds)), key=lambda index: (-seconds[index], index)):
        load, share = heapq.heappop(loads)
        shares[share].append(index)
        heapq.heappush(loads, (load + seconds[index], share))
    return [sorted(share) for share in shares]
