"""What a client asks for: a multipart form with a recording in it, read within limits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import BinaryIO, Literal, cast

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.types import Message

from audioroto.serve.limits import Limits
from audioroto.serve.refusal import Refusal

_LISTS = ("timestamp_granularities", "include")
_MAX_FIELDS = 50
_TAIL_BYTES = 16  # of a body, in which the two dashes stand that close a form


class Wish(BaseModel):
    """How the text is to be given; other fields of OpenAI's, `prompt` and `temperature` among them, change nothing."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str | None = None
    language: str = "und"  # only said again: the model knows its language
    response_format: Literal["json", "text", "srt", "vtt", "verbose_json"] = "json"
    timestamp_granularities: tuple[Literal["word", "segment"], ...] = ()
    include: tuple[Literal["txt", "srt", "vtt", "json"], ...] = ()
    stream: bool = False


@asynccontextmanager
async def read_upload(request: Request, limits: Limits) -> AsyncIterator[tuple[BinaryIO, Wish]]:
    """The recording, open for reading, and the wish of a request; its copy on disk is gone when the block ends.

    Raises Refusal: 415 for another content type, 413 for too much, 408 for too slow, 400 for what makes no sense.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "multipart/form-data":
        raise Refusal(415, "send multipart/form-data, with the recording as its part 'file'", code="not_multipart")
    too_large = Refusal(413, f"more than {limits.max_bytes / 2**20:g} MiB", code="file_too_large", param="file")
    stated = request.headers.get("content-length", "0")
    if stated.isdecimal() and int(stated) > limits.max_bytes:
        raise too_large
    num_bytes, tail = 0, b""

    async def receive() -> Message:
        nonlocal num_bytes, tail
        message = await request.receive()
        num_bytes += len(message.get("body", b""))
        if num_bytes > limits.max_bytes:
            raise too_large
        tail = (tail + message.get("body", b"")[-_TAIL_BYTES:])[-_TAIL_BYTES:]
        if message["type"] == "http.request" and not message.get("more_body") and not tail.rstrip().endswith(b"--"):
            # Note: starlette takes the parts before for all that there are, and leaves the file of this one open.
            raise Refusal(400, "the form ends before its closing boundary", code="form_cut_off")
        return message

    try:
        async with asyncio.timeout(limits.timeout_seconds):
            form = await Request(request.scope, receive).form(max_files=1, max_fields=_MAX_FIELDS, max_part_size=2**16)
    except TimeoutError:
        raise Refusal(
            408, f"the upload took more than {limits.timeout_seconds:g} s", code="upload_timeout", param="file"
        ) from None
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise Refusal(
                400, "there is no file; send the recording as the part 'file', with a file name", param="file"
            )
        yield cast(BinaryIO, _NamedFile(file.file)), read_wish(form)
    finally:
        await form.close()


def read_wish(form: FormData) -> Wish:
    """The fields of a form but for the file. Raises Refusal (400) for a value that makes no sense."""
    fields: dict[str, object] = {name: value for name, value in form.items() if isinstance(value, str)}
    for name in _LISTS:
        fields[name] = [value for key in (name, f"{name}[]") for value in form.getlist(key)]
    try:
        wish = Wish.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise Refusal(400, f"{name}: {first['msg']}", param=name, code="invalid_value") from None
    for name in _LISTS:
        if getattr(wish, name) and wish.response_format != "verbose_json":
            raise Refusal(400, f"{name} needs response_format=verbose_json", param=name, code="invalid_value")
    if wish.stream and wish.response_format not in ("json", "verbose_json"):
        raise Refusal(400, "stream needs response_format json or verbose_json", param="stream", code="invalid_value")
    return wish


class _NamedFile:
    """A file for reading that messages call `file`. The name that a client gives is used for nothing at all."""

    name = "file"

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
