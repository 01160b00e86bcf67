"""The requests that a page makes, and their answers; knows HTTP and a session, not how anything is computed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from unetscope.errors import UnetscopeError
from unetscope.serving.describing import (
    describe_image,
    describe_known,
    describe_plane,
    describe_segmented,
    describe_session,
)
from unetscope.serving.gate import Gate
from unetscope.serving.guard import Guard, Names, explain
from unetscope.serving.images import Opened, clean_name, open_dropped, temporary_name
from unetscope.serving.refusals import RefusalError
from unetscope.serving.session import Progress, Session

MOST_WORDS = 10_000  # bytes of a request that is no image
SILENCE = 30.0  # seconds that a sender may make us wait
OWN, SHARED = "unetscope.serving", "unetscope.reporting.page"
STYLES = {
    **dict.fromkeys(("base.css", "parts.css", "u.css", "drawing.css", "pictures.css"), SHARED),
    "serve.css": OWN,
}
SCRIPTS = {
    "begin.js": OWN,
    **dict.fromkeys(
        ("dom.js", "format.js", "tables.js", "scheme.js", "gauge.js", "bridges.js", "u.js", "u-keys.js"), SHARED
    ),
    **dict.fromkeys(("requests.js", "views.js", "knowledge.js", "dropping.js", "around.js", "serve.js"), OWN),
}
"""What the page is made of, in order, and which package has it: what it shares with the report, it takes from there."""

KINDS = {".css": "text/css", ".js": "text/javascript"}


def make_app(session: Session, host: str = "127.0.0.1", axes: str | None = None) -> ASGIApp:
    """The page and what it asks for.

    Args:
        session: The networks, and what is known of the images that are looked at.
        host: Name or address that it will listen on.
        axes: A letter for each axis of dropped files, instead of what they say.
    """
    answers = _Answers(session, axes)
    routes = [
        Route("/", answers.page),
        Route("/assets/{name}", answers.asset),
        Route("/api/session", answers.session),
        Route("/api/progress", answers.progress),
        Route("/api/images", answers.drop, methods=["POST"]),
        Route("/api/samples", answers.sample, methods=["POST"]),
        Route("/api/planes", answers.plane, methods=["POST"]),
        Route("/api/segmentations", answers.segmentation, methods=["POST"]),
        Route("/api/pixels", answers.pixel, methods=["POST"]),
    ]
    app = Starlette(
        routes=routes, exception_handlers=dict.fromkeys((HTTPException, UnetscopeError, Exception), _explain)
    )
    return Guard(app, Names(host))


class _Answers:
    """One method for each kind of request."""

    def __init__(self, session: Session, axes: str | None) -> None:
        self._session, self._axes, self._gate = session, axes, Gate()
        self._described = describe_session(session)

    async def page(self, _request: Request) -> Response:
        """The page itself."""
        return HTMLResponse(_write_page())

    async def asset(self, request: Request) -> Response:
        """What the page is made of."""
        name = request.path_params["name"]
        package = {**STYLES, **SCRIPTS}.get(name)
        if package is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return Response(_load(package, name), media_type=KINDS[Path(name).suffix])

    async def session(self, _request: Request) -> Response:
        """The networks and what may be dropped."""
        return JSONResponse(self._described)

    async def progress(self, _request: Request) -> Response:
        """How far the present computation is."""
        done, total = self._gate.done or (0, 0)
        return JSONResponse({"done": done, "total": total})

    async def drop(self, request: Request) -> Response:
        """Take an image: its bytes are the body, its name is the query's."""
        given = request.query_params.get("name", "")
        name, safe = clean_name(given), temporary_name(given)
        async with self._gate.enter():
            with TemporaryDirectory(prefix="unetscope-", ignore_cleanup_errors=True) as folder:
                path = Path(folder, safe)
                with path.open("wb") as file:
                    async for chunk in self._receive(request, name):
                        file.write(chunk)
                return await self._compute(request, lambda _: self._hold(self._read(path, name)))

    async def sample(self, request: Request) -> Response:
        """Take an image of the dataset."""
        asked = await _read_words(request)
        name = _text(asked, "name")
        async with self._gate.enter():
            return await self._compute(request, lambda _: self._hold(self._session.open_sample(name)))

    async def plane(self, request: Request) -> Response:
        """Show a plane of an image."""
        asked = await _read_words(request)
        key, plane = _text(asked, "key"), _whole(asked, "plane")
        async with self._gate.enter():
            return await self._compute(request, lambda _: self._show(key, plane))

    async def segmentation(self, request: Request) -> Response:
        """Segment an image, or a page of a stack, by a network."""
        asked = await _read_words(request)
        key, plane, network = _text(asked, "key"), _whole(asked, "plane"), _whole(asked, "network")
        async with self._gate.enter():
            return await self._compute(request, lambda tell: self._segment(key, plane, network, tell))

    async def pixel(self, request: Request) -> Response:
        """Say what the layers of a network know of a pixel."""
        asked = await _read_words(request)
        key, plane, network = _text(asked, "key"), _whole(asked, "plane"), _whole(asked, "network")
        place = _whole(asked, "y"), _whole(asked, "x")
        async with self._gate.enter():
            return await self._compute(
                request, lambda _: describe_known(self._session.know(key, network, plane, place))
            )

    def _read(self, path: Path, name: str) -> Opened:
        segmenter = self._session.networks[0].segmenter
        return open_dropped(segmenter, path, name, self._session.limits, self._axes)

    def _hold(self, image: Opened) -> dict[str, Any]:
        return describe_image(self._session.hold(image), image)

    def _show(self, key: str, plane: int) -> dict[str, Any]:
        return describe_plane(self._session.find_plane(key, plane), plane)

    def _segment(self, key: str, plane: int, network: int, tell: Progress) -> dict[str, Any]:
        session = self._session
        found = [session.segment(key, each, plane, tell) for each in sorted({0, network})]
        return describe_segmented(session.find(key).image, plane, found, self._described["classes"])

    async def _compute(self, request: Request, work: Any) -> Response:
        """The answer that a thread finds, unless the page goes away."""

        async def gone() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass

        return JSONResponse(await self._gate.compute(work, gone))

    async def _receive(self, request: Request, name: str) -> AsyncIterator[bytes]:
        """The bytes of an image as they come, until they are too many."""
        limits, came = self._session.limits, 0
        limits.check_bytes(_announced(request), name)
        async for chunk in _stream(request):
            came += len(chunk)
            limits.check_bytes(came, name)
            yield chunk


async def _stream(request: Request) -> AsyncIterator[bytes]:
    """The body, chunk by chunk, of a sender who does not fall silent."""
    chunks = aiter(request.stream())
    while True:
        try:
            chunk = await asyncio.wait_for(anext(chunks, None), SILENCE)
        except TimeoutError as error:
            sentence = f"nothing came for {SILENCE:.0f} seconds; send it again"
            raise RefusalError(HTTPStatus.REQUEST_TIMEOUT, sentence) from error
        if chunk is None:
            return
        yield chunk


def _announced(request: Request) -> int:
    """Bytes that a request says it has."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


async def _read_words(request: Request) -> dict[str, Any]:
    """The fields of a request in JSON."""
    body = b""
    async for chunk in _stream(request):
        body += chunk
        if len(body) > MOST_WORDS:
            raise RefusalError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MOST_WORDS} bytes of words came; send fewer"
            )
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise RefusalError(HTTPStatus.BAD_REQUEST, "a request without fields came; send an object in JSON")
    return asked


def _text(asked: dict[str, Any], field: str) -> str:
    value = asked.get(field)
    if not isinstance(value, str):
        raise RefusalError(HTTPStatus.BAD_REQUEST, f"the field {field} is missing or no text; send a text")
    return value


def _whole(asked: dict[str, Any], field: str) -> int:
    value = asked.get(field)
    if not isinstance(value, int) or isinstance(value, bool):
        raise RefusalError(HTTPStatus.BAD_REQUEST, f"the field {field} is missing or no whole number; send one")
    return value


async def _explain(_request: Request, error: Exception) -> Response:
    return explain(error)


def _write_page() -> str:
    """The page, which asks for everything else."""
    styles = (f'<link rel="stylesheet" href="assets/{name}">' for name in STYLES)
    scripts = (f'<script src="assets/{name}" defer></script>' for name in SCRIPTS)
    text = _load(OWN, "serve.html").decode()
    return text.replace("{{STYLES}}", "\n".join(styles)).replace("{{SCRIPTS}}", "\n".join(scripts))


@cache
def _load(package: str, name: str) -> bytes:
    return (files(package) / "assets" / name).read_bytes()
