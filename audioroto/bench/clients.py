"""Clients of a server: many that send recordings, and some that speak into a stream, with what they wait for."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx
import numpy as np
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

CHUNK_SECONDS = 0.1  # of a stream that are sent at once, as soon as they would have been spoken


@dataclass(frozen=True)
class Clip:
    """A recording as it is sent, with how long it is."""

    name: str
    content: bytes
    seconds: float


@dataclass
class Load:
    """What clients got: texts by recording (several where answers differ), seconds of each request, errors."""

    num_clients: int
    seconds: float = 0.0
    audio_seconds: float = 0.0
    texts: dict[str, set[str]] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@dataclass
class Delays:
    """Seconds between sound and words in streams; `wall_seconds` − `audio_seconds` is how far they fell behind.

    `partial`: from the last sample that a partial text takes into account. `final`: from the end of the last word. Both
    count from when the sample was sent until the text was there. `server`: what the server itself says of all of them.
    """

    num_streams: int
    audio_seconds: float = 0.0
    wall_seconds: float = 0.0
    partial: list[float] = field(default_factory=list)
    final: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def send_recordings(
    url: str,
    clips: Sequence[Clip],
    num_requests: int,
    num_clients: int,
    watch: Callable[[int], None] = lambda num_done: None,
) -> Load:
    """Send so many requests, the clips in turn, from clients that each wait for an answer before they ask again.

    `watch` is told how many answers there are after each.
    """
    return asyncio.run(_send_recordings(url, clips, num_requests, num_clients, watch))


def speak(url: str, samples: np.ndarray, rate: int, num_streams: int) -> Delays:
    """Speak samples (S,) float32 into so many streams at the same time, as fast as one speaks."""
    return asyncio.run(_speak(url, samples, rate, num_streams))


async def _send_recordings(
    url: str, clips: Sequence[Clip], num_requests: int, num_clients: int, watch: Callable[[int], None]
) -> Load:
    load = Load(num_clients)
    numbers = iter(range(num_requests))

    async def ask(client: httpx.AsyncClient) -> None:
        for number in numbers:
            clip = clips[number % len(clips)]
            started = time.perf_counter()
            try:
                files = {"file": ("clip.flac", clip.content)}
                answer = await client.post(f"{url}/v1/audio/transcriptions", files=files)
                answer.raise_for_status()
                load.texts.setdefault(clip.name, set()).add(answer.json()["text"])
                load.latencies.append(time.perf_counter() - started)
                load.audio_seconds += clip.seconds
            except httpx.HTTPError as error:
                load.errors.append(f"{clip.name}: {type(error).__name__} {error}")
            watch(len(load.latencies) + len(load.errors))

    limits = httpx.Limits(max_connections=num_clients)
    async with httpx.AsyncClient(timeout=600, limits=limits, trust_env=False) as client:
        started = time.perf_counter()
        await asyncio.gather(*(ask(client) for _ in range(num_clients)))
        load.seconds = time.perf_counter() - started
    return load


async def _speak(url: str, samples: np.ndarray, rate: int, num_streams: int) -> Delays:
    delays = Delays(num_streams)
    pcm = (np.clip(samples, -1.0, 1.0) * 32767).astype("<i2")
    chunk = round(CHUNK_SECONDS * rate)

    async def talk(number: int) -> None:
        await asyncio.sleep(number * CHUNK_SECONDS / num_streams)  # so that they do not all speak in step
        try:
            async with connect(f"{url.replace('http', 'ws', 1)}/v1/audio/stream", proxy=None) as socket:
                await socket.send(json.dumps({"type": "start", "sample_rate": rate}))
                started = time.perf_counter()

                async def send() -> None:
                    for place in range(0, len(pcm), chunk):
                        spoken = started + (place + chunk) / rate
                        await asyncio.sleep(max(0.0, spoken - time.perf_counter()))
                        await socket.send(pcm[place : place + chunk].tobytes())
                    await socket.send(json.dumps({"type": "stop"}))

                sending = asyncio.create_task(send())
                async for text in socket:
                    message = json.loads(text)
                    now = time.perf_counter() - started
                    if message["type"] in ("partial", "final"):
                        delays.server.append(message["latency_seconds"])
                    if message["type"] == "partial":
                        delays.partial.append(now - message["heard_seconds"])
                    elif message["type"] == "final" and message["words"]:
                        delays.final.append(now - message["words"][-1]["end"])
                    elif message["type"] == "error":
                        delays.errors.append(message["error"]["message"])
                await sending
                delays.audio_seconds += len(pcm) / rate
                delays.wall_seconds += time.perf_counter() - started
        except (OSError, WebSocketException) as error:
            delays.errors.append(f"{type(error).__name__} {error}")

    await asyncio.gather(*(talk(number) for number in range(num_streams)))
    return delays
