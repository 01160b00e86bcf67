"""Who may ask, and what browsers are told of every answer; knows HTTP, no networks and no images.

A page of another site can make a browser send requests to this machine, and a name of that site can be made to lead
to it. So the name that a request is addressed to must be one of ours, and what changes or computes something must come
from a page of ours. Nothing in an answer may be read by other sites, and our page loads nothing from them.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unetscope import console
from unetscope.errors import UnetscopeError
from unetscope.serving.refusals import AbandonedError, RefusalError

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
LOCAL = ("localhost", "127.0.0.1", "::1")
READING = ("GET", "HEAD")


class Names:
    """The names that a request may be addressed to.

    A name of somebody else could lead here, but an address cannot be somebody else's: where the program listens beyond
    this machine, every address is taken. The port is not looked at, so that tunnels may change it.

    Args:
        host: Name or address that the program listens on.

    Example:
        >>> "127.0.0.1" in Names("127.0.0.1"), "evil.example" in Names("127.0.0.1"), "192.0.2.7" in Names("0.0.0.0")
        (True, False, True)
    """

    def __init__(self, host: str) -> None:
        self.anywhere = not is_loopback(host)
        self.names = {host.lower(), *LOCAL}
        if self.anywhere:
            self.names.add(socket.gethostname().lower())

    def __contains__(self, name: str) -> bool:
        return name.lower() in self.names or (self.anywhere and _is_address(name))


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches a host.

    Example:
        >>> is_loopback("localhost"), is_loopback("127.0.0.2"), is_loopback("::1"), is_loopback("0.0.0.0")
        (True, True, True, False)
    """
    return ipaddress.ip_address(host).is_loopback if _is_address(host) else host.lower() == "localhost"


def _is_address(name: str) -> bool:
    with suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return False


class Guard:
    """Lets only requests through that come from our own page, and lets nothing out that says how we work.

    Args:
        app: What answers.
        names: The names that a request may be addressed to.
    """

    def __init__(self, app: ASGIApp, names: Names) -> None:
        self.app, self.names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            return
        begun = False

        async def send_guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            self._check(scope["method"], Headers(scope=scope))
            await self.app(scope, receive, send_guarded)
        except Exception as error:
            if not begun:  # otherwise it is told already
                await explain(error)(scope, receive, send_guarded)

    def _check(self, method: str, headers: Headers) -> None:
        """Refuse requests that others made.

        Raises:
            RefusalError: The request is addressed to another name, or comes from another page.
        """
        host = headers.get("host", "")
        if _host_of(f"//{host}") not in self.names:
            raise RefusalError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "this request is addressed to another name than this server's; open the address that it printed, or "
                "start it with --host and the name that you use",
            )
        origin = headers.get("origin")
        same = origin is None or urlsplit(origin).netloc.lower() == host.lower()
        if method not in READING and not (same and headers.get("sec-fetch-site", "same-origin") == "same-origin"):
            raise RefusalError(
                HTTPStatus.FORBIDDEN, "this request comes from another site, and only our own page may ask"
            )


def _host_of(address: str) -> str:
    with suppress(ValueError):
        return urlsplit(address).hostname or ""
    return ""


def explain(error: Exception) -> JSONResponse:
    """An error as a sentence; of our faults, the place is printed where the program runs, and nowhere else."""
    if isinstance(error, RefusalError):
        return JSONResponse({"error": str(error)}, error.status)
    if isinstance(error, HTTPException):
        return JSONResponse({"error": "there is nothing at this address; open it without a path"}, error.status_code)
    if isinstance(error, ClientDisconnect | AbandonedError):
        return JSONResponse({"error": "nobody waits for this answer any more"}, HTTPStatus.REQUEST_TIMEOUT)
    if isinstance(error, UnetscopeError):
        return JSONResponse({"error": str(error)}, HTTPStatus.UNPROCESSABLE_ENTITY)
    if isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error):
        sentence = "the memory is used up; cut the image into parts, or use `unetscope segment` with a smaller --tile"
        return JSONResponse({"error": sentence}, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    console.fail_by_fault()
    sentence = "this is a fault of unetscope and not yours; the terminal that runs it says where"
    return JSONResponse({"error": sentence}, HTTPStatus.INTERNAL_SERVER_ERROR)
