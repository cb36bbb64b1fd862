"""The paths that a server answers, and what it says when something is wrong."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from audioroto.errors import UserError
from audioroto.serve.metrics import CountRequests
from audioroto.serve.refusal import Refusal, refuse_audio, refuse_failure, refuse_http
from audioroto.serve.service import Service, check_origin
from audioroto.serve.stream import answer_stream
from audioroto.serve.transcription import answer_transcription

PAGE = Path(__file__).parent / "page"
PAGE_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/recorder.js": ("recorder.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_GONE = 499  # nobody reads the answer; it is a figure in the metrics


def make_app(service: Service) -> FastAPI:
    """The application; it stops the service when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.stop()

    def check(request: Request) -> None:
        check_origin(request.headers)
        service.check_token(request.headers.get("authorization", ""))

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    allowed = [Depends(check)]

    @app.post("/v1/audio/transcriptions", dependencies=allowed)
    async def transcriptions(request: Request) -> Response:
        return await answer_transcription(service, request)

    @app.websocket("/v1/audio/stream")
    async def stream(socket: WebSocket) -> None:
        await answer_stream(service, socket)

    @app.get("/v1/models", dependencies=allowed)
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [_describe_model(service)]}

    @app.get("/v1/models/{name:path}", dependencies=allowed)
    async def model(name: str) -> dict[str, Any]:
        service.check_model(name)
        return _describe_model(service)

    @app.get("/health")
    async def health() -> JSONResponse:
        well = service.batcher.is_alive
        return JSONResponse({"status": "ok" if well else "failed"}, 200 if well else 503)

    @app.get("/metrics", dependencies=allowed)
    async def metrics() -> Response:
        return Response(service.metrics.format(), media_type="text/plain; version=0.0.4")

    for path, (name, media_type) in PAGE_FILES.items():
        app.get(path)(_make_page(name, media_type))
    _handle_errors(app)
    counted = ("/v1/audio/transcriptions", "/v1/models", "/health", "/metrics", *PAGE_FILES)
    app.add_middleware(CountRequests, metrics=service.metrics, paths=counted)
    return app


def _handle_errors(app: FastAPI) -> None:
    async def refuse(request: Request, refusal: Any) -> Response:
        return refusal.response

    async def refuse_bad_audio(request: Request, error: Any) -> Response:
        return refuse_audio(error).response

    async def refuse_by_status(request: Request, error: Any) -> Response:
        return refuse_http(error.status_code, error.detail, error.headers).response

    async def say_nothing(request: Request, error: Any) -> Response:
        return Response(status_code=_GONE)

    async def fail(request: Request, error: Any) -> Response:
        return refuse_failure().response  # starlette raises the error again, so that its traceback is in the log

    app.add_exception_handler(Refusal, refuse)
    app.add_exception_handler(UserError, refuse_bad_audio)
    app.add_exception_handler(HTTPException, refuse_by_status)
    app.add_exception_handler(ClientDisconnect, say_nothing)
    app.add_exception_handler(Exception, fail)


def _describe_model(service: Service) -> dict[str, Any]:
    return {"id": service.name, "object": "model", "created": service.started, "owned_by": "audioroto"}


def _make_page(name: str, media_type: str) -> Any:
    content = (PAGE / name).read_bytes()

    async def page() -> Response:
        return Response(content, media_type=media_type, headers=PAGE_HEADERS)

    return page
