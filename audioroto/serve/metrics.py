"""What a server counts for Prometheus."""

import time
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audioroto.serve.limits import Places

_LATENCY_BUCKETS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """The figures of one server."""

    def __init__(self, places: Places, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "audioroto_requests", "Requests by path and status", ["path", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "audioroto_request_seconds",
            "From the first byte of a request to the last of its answer",
            ["path"],
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.stream_seconds = Histogram(
            "audioroto_stream_latency_seconds",
            "From a sample's arrival in a stream to the words heard up to it",
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.batch_waveforms = Histogram(
            "audioroto_batch_waveforms",
            "Waveforms recognized together",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self.audio_seconds = Counter("audioroto_audio_seconds", "Audio recognized", registry=self.registry)
        taken = Gauge("audioroto_places_taken", "Requests waiting and in work", registry=self.registry)
        taken.set_function(lambda: places.num_taken)
        limit = Gauge("audioroto_places", "Requests that there is room for", registry=self.registry)
        limit.set(places.limit)

    def count_batch(self, lengths: Sequence[int]) -> None:
        """Count a batch of waveforms with so many samples each."""
        self.batch_waveforms.observe(len(lengths))
        self.audio_seconds.inc(sum(lengths) / self._sample_rate)

    def format(self) -> bytes:
        """All figures in Prometheus's text format."""
        return generate_latest(self.registry)


class CountRequests:
    """The application with its HTTP requests counted."""

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: Sequence[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def send_and_see(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_see)
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"  # a client's paths are without number
            self._metrics.requests.labels(path, status).inc()
            self._metrics.request_seconds.labels(path).observe(time.perf_counter() - started)
