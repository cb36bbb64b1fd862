"""What a server does at most, and how many requests it has room for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from audioroto.serve.refusal import Refusal


@dataclass(frozen=True)
class Limits:
    """`max_requests` are waiting and in work together, streams among them; each may bring so much and take so long."""

    max_requests: int = 64
    max_bytes: int = 100 * 2**20
    max_audio_seconds: float = 7200.0
    timeout_seconds: float = 600.0  # of an upload, and of the work on it
    idle_seconds: float = 30.0  # of a stream in which nothing comes


class Places:
    """The room for requests: who finds no place is refused at once."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.num_taken = 0

    @contextmanager
    def take(self) -> Iterator[None]:
        """A place until the block ends. Raises Refusal (429) where all are taken."""
        if self.num_taken >= self.limit:
            raise Refusal(
                429,
                f"all {self.limit} places are taken; try again in a moment",
                type="rate_limit_error",
                code="queue_full",
                headers={"Retry-After": "1"},
            )
        self.num_taken += 1
        try:
            yield
        finally:
            self.num_taken -= 1
