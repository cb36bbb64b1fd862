"""WS /v1/audio/stream: 16-bit PCM in, partial and final words out, each message with its latency."""

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from fastapi import WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from audioroto.audio.resample import Resampler
from audioroto.infer.live import Heard, LiveTranscriber
from audioroto.infer.segment import Segment
from audioroto.infer.transcript import Transcript
from audioroto.serve.answer import describe_words
from audioroto.serve.refusal import Refusal, refuse_failure
from audioroto.serve.service import Service, check_origin

MAX_BACKLOG_SECONDS = 30.0  # of audio that came and was not heard yet; then the sender has to wait

_CLOSE_POLICY, _CLOSE_FULL, _CLOSE_FAILED = 1008, 1013, 1011
_logger = logging.getLogger(__name__)


class Start(BaseModel):
    """What the first message may say, as JSON: {"type": "start", …}. Without one, samples have the model's rate."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sample_rate: int | None = Field(None, ge=4000, le=192_000)
    interval_seconds: float = Field(0.5, ge=0.1, le=10.0)
    token: str = ""


async def answer_stream(service: Service, socket: WebSocket) -> None:
    """Talk to one client until it says stop, goes away or breaks a rule; a place is taken meanwhile."""
    await socket.accept()
    with suppress(WebSocketDisconnect, RuntimeError):  # RuntimeError: how starlette says it to who sends
        try:
            check_origin(socket.headers)
            with service.places.take():
                await _Stream(service, socket).run()
            await socket.close()
        except Refusal as refusal:
            await socket.send_json({"type": "error", "error": refusal.error})
            await socket.close(_CLOSE_FULL if refusal.status == 429 else _CLOSE_POLICY)
        except Exception as error:
            if isinstance(error, WebSocketDisconnect):
                raise
            _logger.exception("a stream failed")
            await socket.send_json({"type": "error", "error": refuse_failure().error})
            await socket.close(_CLOSE_FAILED)


class _Stream:
    """One client's stream: what came and was not heard yet, between the task that receives and the one that answers."""

    def __init__(self, service: Service, socket: WebSocket) -> None:
        self._service = service
        self._socket = socket
        self._rate = service.recognizer.sample_rate
        self._waiting: list[np.ndarray] = []
        self._arrived = 0.0  # when the last of it came
        self._num_samples = 0  # all that came
        self._ended = False
        self._changed = asyncio.Condition()

    async def run(self) -> None:
        """Receive and answer side by side: while words are looked for, more audio comes."""
        first = await self._read()
        start = self._read_start(first)
        self._service.check_token(self._socket.headers.get("authorization") or f"Bearer {start.token}")
        rate = start.sample_rate or self._rate
        await self._socket.send_json({"type": "ready", "model": self._service.name, "sample_rate": rate})
        tasks = (
            asyncio.create_task(self._receive(first, Resampler(rate, self._rate))),
            asyncio.create_task(self._answer(start.interval_seconds)),
        )
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self) -> bytes | dict[str, Any]:
        """The next message: samples, or JSON."""
        try:
            async with asyncio.timeout(self._service.limits.idle_seconds):
                message = await self._socket.receive()
        except TimeoutError:
            raise Refusal(408, "nothing came for too long", code="idle") from None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect
        if message.get("bytes") is not None:
            return message["bytes"]
        try:
            content = json.loads(message["text"])
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise Refusal(400, "a message is neither bytes nor a JSON object", code="invalid_message")
        return content

    def _read_start(self, first: bytes | dict[str, Any]) -> Start:
        if isinstance(first, bytes) or first.get("type") != "start":
            return Start()
        try:
            return Start.model_validate(first)
        except ValidationError as error:
            wrong = error.errors()[0]
            name = str(wrong["loc"][0])
            raise Refusal(400, f"{name}: {wrong['msg']}", param=name, code="invalid_value") from None

    async def _receive(self, first: bytes | dict[str, Any], resampler: Resampler) -> None:
        message = first
        while isinstance(message, bytes) or message.get("type") != "stop":
            if isinstance(message, bytes):
                if len(message) % 2:
                    raise Refusal(400, "a message ends within a sample; samples have 2 bytes", code="invalid_message")
                samples = np.frombuffer(message, "<i2").astype(np.float32) / 32768
                await self._keep(resampler.resample(samples))
            elif message is not first or message.get("type") != "start":
                raise Refusal(400, "after the start only samples may come, and stop", code="invalid_message")
            message = await self._read()
        await self._keep(resampler.finish(), ended=True)

    async def _keep(self, samples: np.ndarray, ended: bool = False) -> None:
        """Put samples where they are heard; wait while too many are there."""
        self._num_samples += len(samples)
        if self._num_samples > self._service.limits.max_audio_seconds * self._rate:
            raise Refusal(413, "the stream is too long; open another", code="audio_too_long")
        async with self._changed:
            self._waiting.append(samples)
            self._arrived = time.monotonic()
            self._ended = ended
            self._changed.notify_all()
            await self._changed.wait_for(lambda: sum(map(len, self._waiting)) <= MAX_BACKLOG_SECONDS * self._rate)

    async def _answer(self, interval_seconds: float) -> None:
        gate_decibels = self._service.recognizer.settings.gate_decibels
        live = LiveTranscriber(
            self._recognize, self._rate, gate_decibels=gate_decibels, interval_seconds=interval_seconds
        )
        hear = partial(asyncio.get_running_loop().run_in_executor, self._service.pool)
        num_heard, ended = 0, False
        while not ended:
            async with self._changed:
                await self._changed.wait_for(lambda: self._waiting)
                samples, arrived, ended = np.concatenate(self._waiting), self._arrived, self._ended
                self._waiting.clear()
                self._changed.notify_all()
            num_heard += len(samples)
            await self._send(await hear(live.add, samples), num_heard, arrived)
        await self._send(await hear(live.finish), num_heard, arrived)
        await self._socket.send_json({"type": "done", "duration": round(num_heard / self._rate, 3)})

    async def _send(self, heard: Sequence[Heard], num_samples: int, arrived: float) -> None:
        for one, segment in zip(heard, self._spell(heard), strict=True):
            latency = time.monotonic() - arrived
            self._service.metrics.stream_seconds.observe(latency)
            message = {
                "type": "final" if one.is_final else "partial",
                "text": segment.text,
                "start": round(segment.start_seconds, 3),
                "end": round(segment.end_seconds, 3),
                "words": describe_words(segment.words),
                "heard_seconds": round(num_samples / self._rate, 3),
                "latency_seconds": round(latency, 4),
            }
            await self._socket.send_json(message)

    def _spell(self, heard: Sequence[Heard]) -> list[Segment]:
        return [segment for one in heard for segment in self._service.spell([one.segment])]

    def _recognize(self, waveforms: Sequence[np.ndarray]) -> list[Transcript]:
        return [future.result() for future in self._service.batcher.submit(waveforms, urgent=True)]
