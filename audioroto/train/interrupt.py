"""Stopping a run politely."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def note_stop_signals() -> Iterator[list[int]]:
    """The first SIGINT or SIGTERM is noted in the list, to be acted on between updates; a second one acts at once."""
    caught: list[int] = []

    def note(number: int, _: object) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
