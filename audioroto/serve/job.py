"""A recording on its way to text, in a thread of its own, which can be told to give up at any moment."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import BinaryIO, TypeAlias

import numpy as np

from audioroto.audio.stream import iter_blocks
from audioroto.infer.recognizer import Recognizer
from audioroto.infer.segment import Segment
from audioroto.infer.transcript import Transcript
from audioroto.serve.batcher import Batcher
from audioroto.serve.refusal import Refusal

Spell: TypeAlias = Callable[[Iterable[Segment]], Iterator[Segment]]  # segments with the letters that users are to see


class GivenUp(Exception):
    """Nobody waits for the text any more."""


class Job:
    """`iter_segments` reads an open file and gives what it says, found by the batches that all users share.

    `seconds` is how much audio has been read so far. More than `max_audio_seconds` are refused (413).
    """

    def __init__(
        self,
        file: BinaryIO,
        recognizer: Recognizer,
        batcher: Batcher,
        *,
        spell: Spell,
        batch_seconds: float,
        max_audio_seconds: float,
    ) -> None:
        self._file = file
        self._recognizer = recognizer
        self._batcher = batcher
        self._spell = spell
        self._batch_seconds = batch_seconds
        self._max_audio_seconds = max_audio_seconds
        self._pending: list[Future[Transcript]] = []
        self._given_up = False
        self.seconds = 0.0

    async def iter_segments(self, pool: ThreadPoolExecutor) -> AsyncGenerator[Segment, None]:
        """Each segment as soon as it is found; when the iterator is closed the thread ends, and only then it returns.

        Raises AudioError for what cannot be read.
        """
        loop = asyncio.get_running_loop()
        found: asyncio.Queue[Segment | None] = asyncio.Queue()

        def work() -> None:
            try:
                for segment in self._iter_segments():
                    loop.call_soon_threadsafe(found.put_nowait, segment)
            finally:
                loop.call_soon_threadsafe(found.put_nowait, None)

        thread = loop.run_in_executor(pool, work)
        try:
            while (segment := await found.get()) is not None:
                yield segment
            await thread  # raises what ended it
        finally:
            self._give_up()
            await asyncio.wait([thread])
            if not thread.cancelled():
                thread.exception()  # seen; it was raised above where anybody is left to hear it

    def _iter_segments(self) -> Iterator[Segment]:
        rate = self._recognizer.sample_rate
        segments = self._recognizer.iter_transcribe(
            self._iter_blocks(), rate, batch_seconds=self._batch_seconds, recognize=self._recognize
        )
        return self._spell(segments)

    def _iter_blocks(self) -> Iterator[np.ndarray]:
        for block in iter_blocks(self._file, self._recognizer.sample_rate):
            self.seconds += len(block) / self._recognizer.sample_rate
            if self._given_up:
                raise GivenUp
            if self.seconds > self._max_audio_seconds:
                raise Refusal(
                    413,
                    f"the recording is longer than {self._max_audio_seconds / 60:g} minutes; send it in parts",
                    code="audio_too_long",
                    param="file",
                )
            yield block

    def _recognize(self, waveforms: Sequence[np.ndarray]) -> list[Transcript]:
        self._pending = self._batcher.submit(waveforms)
        if self._given_up:  # it may have been said before there was anything to cancel
            self._give_up()
        try:
            return [future.result() for future in self._pending]
        except CancelledError:
            raise GivenUp from None

    def _give_up(self) -> None:
        self._given_up = True
        for future in self._pending:
            future.cancel()
