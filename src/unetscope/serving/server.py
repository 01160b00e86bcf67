"""A server on this machine until somebody stops it; knows sockets, not what is served."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from unetscope.errors import UnetscopeError

PORTS = 2**16
EVERYWHERE = ("0.0.0.0", "::")
MOST_CONNECTIONS = 64
LAST_SECONDS = 1  # for what is being answered when somebody stops it


def listen(host: str, port: int) -> socket.socket:
    """A socket to serve on; browsers may connect to it at once, and wait.

    Args:
        host: Name or address.
        port: 0 for any that is free.

    Raises:
        UnetscopeError: The port is taken, not ours to have, or none.
    """
    if not 0 <= port < PORTS:
        raise UnetscopeError(f"port {port} came, and ports are numbers from 0 to {PORTS - 1}; give another --port")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = "another program has it" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise UnetscopeError(
            f"port {port} of {host} cannot be had ({reason}); give another --port, or 0 for any that is free"
        ) from error


def address_of(listening: socket.socket, host: str) -> str:
    """What to open in a browser on this machine.

    Args:
        listening: The socket.
        host: What it listens on.
    """
    port = listening.getsockname()[1]
    shown = "localhost" if host in EVERYWHERE else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/"


def serve(app: ASGIApp, listening: socket.socket, on_server: Callable[[uvicorn.Server], None] | None = None) -> None:
    """Answer requests until Ctrl-C, or until the server is told to stop.

    Args:
        app: What answers.
        listening: Where; it is closed at the end.
        on_server: Called with the server, whose `should_exit` stops it.
    """
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=LAST_SECONDS,
    )
    server = uvicorn.Server(config)
    if on_server:
        on_server(server)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
