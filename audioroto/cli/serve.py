"""audioroto serve"""

import os
from typing import Annotated

import typer

from audioroto.cli.options import (
    BatchSeconds,
    Case,
    ConfigFiles,
    Device,
    LmFile,
    ModelFile,
    Overrides,
    SearchMode,
    Threads,
    load_search,
)
from audioroto.model.pretrained import DEFAULT_MODEL

TOKEN_VARIABLE = "AUDIOROTO_API_KEY"


def serve(
    model: ModelFile = DEFAULT_MODEL,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 for all of this machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
    name: Annotated[str, typer.Option(help="What clients call the model; the file's name by default.")] = "",
    mode: SearchMode = None,
    lm: LmFile = None,
    config: ConfigFiles = None,
    overrides: Overrides = None,
    case: Case = "sentence",
    batch_seconds: BatchSeconds = 60.0,
    wait_milliseconds: Annotated[
        float, typer.Option(min=0.0, max=1000.0, help="What came first in a batch waits so long for others.")
    ] = 20.0,
    max_requests: Annotated[int, typer.Option(min=1, help="Waiting and in work; more are refused (429).")] = 64,
    max_megabytes: Annotated[float, typer.Option(min=0.001, help="Of an upload; more is refused (413).")] = 100.0,
    max_minutes: Annotated[float, typer.Option(min=0.01, help="Of a recording; more is refused (413).")] = 120.0,
    timeout_seconds: Annotated[
        float, typer.Option(min=1.0, help="Of an upload (408), and of the work on it (503).")
    ] = 600.0,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Answer over the network: OpenAI's transcription API, live streams, and a page to try them.

    The environment variable AUDIOROTO_API_KEY, if it is set, holds a token that clients have to send. Of the
    configuration only the section search is looked at. Needs the extra named serve.
    """
    from audioroto.errors import UserError
    from audioroto.infer.recognizer import load_model

    try:
        from audioroto.serve.limits import Limits
        from audioroto.serve.server import open_socket, run_server
        from audioroto.serve.service import Service
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed; run: pip install 'audioroto[serve]'") from None

    with open_socket(host, port) as listening:
        given = os.environ.get(TOKEN_VARIABLE, "")
        token = given.strip()  # of a client's, too, the ends do not count
        if given and not token:
            raise UserError(f"{TOKEN_VARIABLE} is blank; set it to a token, or unset it")
        recognizer = load_model(model, device, load_search(model, config, overrides, mode, lm), lm, threads=threads)
        limits = Limits(
            max_requests=max_requests,
            max_bytes=round(max_megabytes * 2**20),
            max_audio_seconds=60 * max_minutes,
            timeout_seconds=timeout_seconds,
        )
        service = Service(
            recognizer,
            name or model.stem,
            case=case,
            token=token,
            limits=limits,
            batch_seconds=batch_seconds,
            batch_wait_seconds=wait_milliseconds / 1000,
        )
        address = listening.getsockname()
        shown = f"[{address[0]}]" if ":" in address[0] else address[0]
        typer.echo(f"{service.name} at http://{shown}:{address[1]}/ (stop with Ctrl-C)", err=True)
        if not token and not address[0].startswith("127.") and address[0] != "::1":
            typer.echo(f"audioroto: anyone who reaches this address may use it; set {TOKEN_VARIABLE}", err=True)
        run_server(service, listening)
