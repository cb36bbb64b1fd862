"""POST /v1/audio/transcriptions, as OpenAI's clients speak it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import AsyncExitStack, aclosing
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from audioroto.errors import UserError
from audioroto.infer.segment import Segment
from audioroto.infer.transcript import Transcript
from audioroto.serve.answer import format_event, make_delta, make_done, make_response
from audioroto.serve.job import Job
from audioroto.serve.refusal import Refusal, refuse_audio, refuse_failure
from audioroto.serve.service import Service
from audioroto.serve.upload import Wish, read_upload

T = TypeVar("T")

_logger = logging.getLogger(__name__)


async def answer_transcription(service: Service, request: Request) -> Response:
    """The answer to a request, in a place that is free again when the answer is out or the client gone.

    Raises Refusal for what is not answered, AudioError for a file that is no audio, ClientDisconnect.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(service.places.take())
        upload, wish = await stack.enter_async_context(read_upload(request, service.limits))
        service.check_model(wish.model)
        job = service.make_job(upload)
        segments = await stack.enter_async_context(aclosing(job.iter_segments(service.pool)))
        if wish.stream:
            # Before the status is sent, so that a file that is no audio is refused like any other.
            first = await wait_unless_gone(request, anext(segments, None), service.limits.timeout_seconds)
            events = _iter_events(first, segments, job, wish, service.limits.timeout_seconds)
            return _EventStream(events, stack.pop_all())
        found = await wait_unless_gone(request, _collect(segments), service.limits.timeout_seconds)
        return make_response(Transcript(tuple(found), job.seconds), wish)
    raise AssertionError("no stack keeps an exception to itself")


async def wait_unless_gone(request: Request, work: Coroutine[Any, Any, T], timeout_seconds: float) -> T:
    """What `work` returns; it is cancelled when the client goes away (ClientDisconnect) or time is up (Refusal)."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(_wait_until_gone(request))
    try:
        await asyncio.wait({working, leaving}, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        if leaving.done():
            raise ClientDisconnect
        raise _time_is_up(timeout_seconds)
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


class _EventStream(StreamingResponse):
    """Events, and what has to be closed when they end, however they do.

    Note: a generator that was never started runs no `finally`, and a client may be gone before the first event.
    """

    def __init__(self, events: AsyncIterator[str], stack: AsyncExitStack) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._stack:
            await super().__call__(scope, receive, send)


async def _iter_events(
    first: Segment | None, segments: AsyncGenerator[Segment, None], job: Job, wish: Wish, timeout_seconds: float
) -> AsyncIterator[str]:
    found: list[Segment] = []
    end = asyncio.get_running_loop().time() + timeout_seconds
    segment = first
    try:
        while segment is not None:
            yield make_delta(len(found), segment, wish)
            found.append(segment)
            async with asyncio.timeout_at(end):
                segment = await anext(segments, None)
        yield make_done(Transcript(tuple(found), job.seconds), wish)
    except Exception as error:
        if isinstance(error, TimeoutError):
            refusal = _time_is_up(timeout_seconds)
        elif isinstance(error, Refusal):
            refusal = error
        elif isinstance(error, UserError):
            refusal = refuse_audio(error)
        else:
            _logger.exception("a transcription failed")
            refusal = refuse_failure()
        yield format_event({"type": "error", "error": refusal.error})


async def _collect(segments: AsyncIterator[Segment]) -> list[Segment]:
    return [segment async for segment in segments]


async def _wait_until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _time_is_up(timeout_seconds: float) -> Refusal:
    return Refusal(
        503,
        f"not done within {timeout_seconds:g} s; try again when less is going on, or send the recording in parts",
        type="server_error",
        code="timeout",
    )
