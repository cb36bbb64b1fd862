"""The server itself: a socket that listens, and uvicorn."""

import logging
import socket

import uvicorn

from audioroto.errors import UserError
from audioroto.serve.app import make_app
from audioroto.serve.service import Service

MAX_MESSAGE_BYTES = 2**20  # of a stream

_logger = logging.getLogger(__name__)


def open_socket(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 means any free one. Raises UserError where it cannot be had."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.create_server(address[:2], family=family, backlog=1024)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name with two dots in a row
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot listen at {host}, port {port} ({reason}); choose others with --host and --port"
        ) from None
    return listening


def run_server(service: Service, listening: socket.socket) -> None:
    """Answer until the process is asked to stop; what is in work then gets some seconds to end."""
    make_server(service).run(sockets=[listening])


def make_server(service: Service) -> uvicorn.Server:
    """The service as a server that has yet to be run."""
    config = uvicorn.Config(
        make_app(service),
        log_config=None,
        server_header=False,
        ws_max_size=MAX_MESSAGE_BYTES,
        timeout_graceful_shutdown=10,
    )
    return uvicorn.Server(config)
