"""A web server that breaks on purpose, and archives made in memory."""

import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


class Server:
    """A server on this machine; tests say what it serves and how it fails.

    Attributes:
        files: What is served, by name.
        redirects: Where a name leads instead.
        ranges: Whether parts of files are given.
        cuts: After how many bytes of the body the next answers break off; None for a whole answer.
        status: An answer for every request instead of 200.
        headers: More headers, or None for one that is left out.
        asked: Headers of all requests so far.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.ranges = True
        self.cuts: list[int | None] = []
        self.status = 200
        self.headers: dict[str, str | None] = {}
        self.asked: list[dict[str, str]] = []

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        self.asked.append(dict(handler.headers))
        name = handler.path.lstrip("/")
        if name in self.redirects:
            self._send(handler, 302, {"Location": self.redirects[name], "Content-Length": "0"}, b"")
        elif name not in self.files or self.status != 200:
            self._send(handler, 404 if self.status == 200 else self.status, {"Content-Length": "0"}, b"")
        else:
            self._give(handler, self.files[name])

    def _give(self, handler: BaseHTTPRequestHandler, content: bytes) -> None:
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        headers: dict[str, str | None] = {"ETag": tag, "Content-Type": "application/octet-stream"}
        wanted, status = handler.headers.get("Range"), 200
        fits = handler.headers.get("If-Range", tag) == tag
        if wanted and self.ranges and fits:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            status = 206 if start < len(content) else 416
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content = content[start:]
        headers |= {"Content-Length": str(len(content)), **self.headers}
        self._send(handler, status, headers, content)

    def _send(
        self, handler: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str | None], body: bytes
    ) -> None:
        handler.send_response(status)
        for key, value in headers.items():
            if value is not None:
                handler.send_header(key, value)
        handler.end_headers()
        cut = self.cuts.pop(0) if self.cuts and body else None
        handler.wfile.write(body[:cut])
        handler.close_connection = True


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A running server, reached without a proxy and without waiting."""
    monkeypatch.setattr("unetscope.fetching.download._PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    served: list[Server] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served[0].answer(self)

        def log_message(self, *_: object) -> None:
            """Be silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        served.append(Server(f"http://127.0.0.1:{running.server_port}"))
        yield served[0]
        running.shutdown()
        thread.join()


Pack = Callable[[Mapping[str, bytes]], bytes]


def pack_zip(members: Mapping[str, bytes]) -> bytes:
    """A zip archive of files by name."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def pack_tar(members: Mapping[str, bytes], mode: str = "w") -> bytes:
    """A tar archive of files by name."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture(params=["zip", "tar", "tar.gz"])
def pack(request: pytest.FixtureRequest) -> Pack:
    """Makes an archive of each kind."""
    kinds: dict[str, Pack] = {
        "zip": pack_zip,
        "tar": pack_tar,
        "tar.gz": lambda members: pack_tar(members, "w:gz"),
    }
    return kinds[request.param]


@pytest.fixture
def zipped() -> Pack:
    """Makes a zip archive."""
    return pack_zip


@pytest.fixture
def tarred() -> Pack:
    """Makes a tar archive."""
    return pack_tar


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def listed() -> Callable[[Path], dict[str, bytes]]:
    """Reads all files below a folder."""
    return contents
