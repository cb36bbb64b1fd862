"""What all requests to a server share: the model and its batches, places, threads, figures and the token."""

import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, Literal

from audioroto.infer.recognizer import Recognizer
from audioroto.infer.writers import iter_sentence_case
from audioroto.serve.batcher import Batcher
from audioroto.serve.job import Job, Spell
from audioroto.serve.limits import Limits, Places
from audioroto.serve.metrics import Metrics
from audioroto.serve.refusal import Refusal


class Service:
    """A model that serves many at once under a `name`; who has not got the `token`, if there is one, is refused."""

    def __init__(
        self,
        recognizer: Recognizer,
        name: str,
        *,
        case: Literal["model", "sentence"] = "sentence",
        token: str | None = None,
        limits: Limits | None = None,
        batch_seconds: float = 60.0,
        batch_wait_seconds: float = 0.02,
    ) -> None:
        self.recognizer = recognizer
        self.name = name
        self.limits = limits or Limits()
        self.started = int(time.time())
        self.places = Places(self.limits.max_requests)
        self.metrics = Metrics(self.places, recognizer.sample_rate)
        self.pool = ThreadPoolExecutor(self.limits.max_requests, thread_name_prefix="job")
        self.batcher = Batcher(
            recognizer.recognize,
            batch_samples=batch_seconds * recognizer.sample_rate,
            wait_seconds=batch_wait_seconds,
            observe=self.metrics.count_batch,
        )
        self.spell: Spell = iter_sentence_case if case == "sentence" else iter
        self._batch_seconds = batch_seconds
        self._token = token.encode() if token else None

    def check_token(self, authorization: str) -> None:
        """Raises Refusal (401) unless the header is `Bearer` and the token, or none is needed."""
        scheme, _, given = authorization.partition(" ")
        if self._token is None:
            return
        if scheme.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), self._token):
            raise Refusal(
                401,
                "the token is missing or wrong; send 'Authorization: Bearer TOKEN'",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )

    def check_model(self, name: str | None) -> None:
        """Raises Refusal (404) for another model than the one that is served; None is that one."""
        if name not in (None, self.name):
            raise Refusal(
                404, f"there is no model '{name}'; the model is '{self.name}'", code="model_not_found", param="model"
            )

    def make_job(self, file: BinaryIO) -> Job:
        """A recording as a job of this service."""
        return Job(
            file,
            self.recognizer,
            self.batcher,
            spell=self.spell,
            batch_seconds=self._batch_seconds,
            max_audio_seconds=self.limits.max_audio_seconds,
        )

    def stop(self) -> None:
        """End the threads; what is still waiting is given up."""
        self.batcher.stop()
        self.pool.shutdown(wait=False, cancel_futures=True)


def check_origin(headers: Mapping[str, str]) -> None:
    """Raises Refusal (403) for what a browser sends on behalf of another site, of which its user may not know."""
    if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        raise Refusal(403, "pages of other sites may not ask this server", code="cross_origin")
