"""What a server says to a request that it does not answer, in the shape that OpenAI's clients read."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi.responses import JSONResponse

from audioroto.errors import UserError


class Refusal(Exception):
    """A request that is not answered: the HTTP status, what was wrong, the next step, and the field at fault."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"message": message, "type": type, "param": param, "code": code}
        self.headers = dict(headers or {})

    @property
    def response(self) -> JSONResponse:
        """The refusal as an HTTP response."""
        return JSONResponse({"error": self.error}, self.status, self.headers)


def refuse_http(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Refusal:
    """A refusal by what starlette says: an unknown path, a method that is not allowed, a form that is too much."""
    return Refusal(status, detail, code=HTTPStatus(status).phrase.lower().replace(" ", "_"), headers=headers)


def refuse_audio(error: UserError) -> Refusal:
    """The refusal of a file that is no audio; the error says why."""
    return Refusal(400, " ".join(str(error).split()), code="invalid_audio", param="file")


def refuse_failure() -> Refusal:
    """The refusal for what went wrong in the server; what it was stands in its log, not here."""
    return Refusal(500, "the server failed; its log says why", type="server_error", code="internal_error")
