"""Files downloaded whole, checked, and continued where they broke off; knows addresses, not what the files hold."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unetscope.errors import DataError, OutputError, UnetscopeError
from unetscope.fetching.archives import Progress
from unetscope.fetching.catalog import RemoteFile
from unetscope.files import write_json, write_text

if TYPE_CHECKING:
    from requests import Response

CHECKSUMS = "checksums.json"
"""The file beside downloads that remembers what came the first time."""

_ATTEMPTS = 5  # that bring no new byte
_PAUSE_SECONDS = 1.0
_TIMEOUT_SECONDS = (10.0, 60.0)  # to connect; between two pieces
_CHUNK = 2**18


@dataclass(frozen=True)
class Download:
    """A file that was downloaded and checked.

    Attributes:
        path: Where it is.
        address: Where it came from.
        sha256: Its checksum.
        checked: With what it was compared: "published", "first download", or empty where this was the first.
    """

    path: Path
    address: str
    sha256: str
    checked: str


def download(file: RemoteFile, folder: Path, mirror: str = "", progress: Progress | None = None) -> Download:
    """Download one file of a public set, unless it is there already.

    What came before a connection broke is continued, if the server can and still has the same file. Proxies are taken
    from the environment (`HTTPS_PROXY` and the like).

    Args:
        file: What to download.
        folder: Where to keep it; its checksum is remembered there if nobody publishes one.
        mirror: A folder on another server to take it from.
        progress: Is told the bytes done and in all.

    Returns:
        The file.

    Raises:
        DataError: No address gives the file, or it is not the one that was published or came the first time.
        OutputError: The folder cannot be written.
    """
    remembered = _remembered(folder)
    known = file.checksum or remembered.get(file.name, "")
    addresses = (f"{mirror.rstrip('/')}/{file.name}",) if mirror else file.addresses
    address, path = _first_that_works(addresses, folder / file.name, known, progress)
    sha256 = checksum_of(path)
    if not known:
        write_json(folder / CHECKSUMS, remembered | {file.name: sha256})
    return Download(path, address, sha256, "published" if file.checksum else "first download" if known else "")


def checksum_of(path: Path, algorithm: str = "sha256") -> str:
    """The checksum of a file.

    Args:
        path: The file.
        algorithm: "sha256" or "md5".

    Returns:
        Such as "sha256:e3b0c4...".
    """
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def _remembered(folder: Path) -> dict[str, str]:
    """The checksums of what came into a folder before."""
    place = folder / CHECKSUMS
    if not place.exists():
        return {}
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
        if isinstance(content, dict) and all(isinstance(value, str) for value in content.values()):
            return content
    except (OSError, ValueError):
        pass
    raise DataError(f"{place} does not hold checksums by file name; remove it, and what comes next is trusted")


def _first_that_works(
    addresses: tuple[str, ...], path: Path, known: str, progress: Progress | None
) -> tuple[str, Path]:
    """Try one address after the other."""
    problems = []
    for address in addresses:
        try:
            return address, _retrieve(address, path, known, progress)
        except DataError as error:
            problems.append(str(error))
    raise DataError("; ".join(problems))


def _retrieve(address: str, path: Path, known: str, progress: Progress | None) -> Path:
    """Have pooch keep the file: nothing is done if it is there and right, and what is wrong never gets the name."""
    with _needing_extra():
        import pooch
    with _silenced(pooch.get_logger()), _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            pooch.retrieve(address, known or None, path.name, path.parent, downloader=_Continuing(path, progress))
        except ValueError as error:
            if isinstance(error, UnetscopeError):
                raise
            raise DataError(
                f"{address} sent a file that does not have the checksum {known}, so it was thrown away; try again, and "
                f"if it stays so, the publisher has changed it"
            ) from error
    return path


# ---------------------------------------------------------------------------------------------------- continuing


class _Continuing:
    """Downloads for pooch; keeps what has come in `NAME.part`, with the version it belongs to in `NAME.part.version`.

    Args:
        path: Where the file will be in the end.
        progress: Is told the bytes done and in all.
    """

    def __init__(self, path: Path, progress: Progress | None) -> None:
        self._name, self._progress = path.name, progress
        self._part = path.with_name(f"{path.name}.part")
        self._version = path.with_name(f"{path.name}.part.version")

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> None:
        """Download a file, as pooch asks for it."""
        failures = 0
        while True:
            before = self._size()
            try:
                self._go_on(url)
                break
            except _breaks() as error:
                failures = 0 if self._size() > before else failures + 1
                if failures == _ATTEMPTS:
                    raise DataError(f"{url} {_reason(error)}; what has come is kept: try again later") from error
                time.sleep(_PAUSE_SECONDS)
        self._part.replace(output_file)
        self._version.unlink(missing_ok=True)

    def _size(self) -> int:
        """The bytes that have come so far."""
        return self._part.stat().st_size if self._part.exists() else 0

    def _forget(self) -> None:
        """Begin anew."""
        self._part.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)

    def _go_on(self, url: str) -> None:
        """Ask once for everything that is missing."""
        import requests

        # A gzip file must come as it is, not unpacked on the way.
        headers = {"Accept-Encoding": "identity"}
        have = self._size() if self._version.exists() else 0
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": self._version.read_text(encoding="utf-8")}
        try:
            with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as response:
                self._receive(response, self._start(response, have))
        except _refusals() as error:
            raise DataError(f"{url} cannot be downloaded ({error}); use an address of http or https") from error

    def _start(self, response: Response, have: int) -> int:
        """From which byte on the answer is: where we are, or the beginning if the file has changed."""
        begins = re.match(rf"bytes {have}-", response.headers.get("Content-Range", ""))
        if response.status_code == 206 and have and begins:
            return have
        if response.status_code in (206, 416):
            self._forget()
            raise _BrokenError("its answer does not begin where the last one ended")
        if response.status_code >= 500 or response.status_code == 429:
            raise _BrokenError(f"answered {response.status_code} ({response.reason})")
        if response.status_code != 200:
            raise DataError(
                f"{response.url} answered {response.status_code} ({response.reason}); look for the file at its "
                "publisher, and give it with --from"
            )
        if "html" in response.headers.get("Content-Type", "") and "html" not in self._name:
            raise DataError(f"{response.url} answered with a web page instead of {self._name}; give it with --from")
        return 0

    def _receive(self, response: Response, start: int) -> None:
        """Write what comes behind what is there."""
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else 0
        self._check_room(total - start)
        if start == 0:
            self._forget()
            self._remember_version(response)
        with self._part.open("ab") as file:
            for piece in response.raw.stream(_CHUNK, decode_content=False):
                file.write(piece)
                if self._progress:
                    self._progress(file.tell(), max(total, file.tell()), self._name)
        if total and self._size() != total:  # older versions of urllib3 do not notice
            raise _BrokenError(f"sent {self._size():,} of {total:,} bytes")

    def _remember_version(self, response: Response) -> None:
        """Keep what names this version of the file exactly; without it there is no going on."""
        tag = response.headers.get("ETag", "")
        version = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
        if version:
            write_text(self._version, version)

    def _check_room(self, needed: int) -> None:
        """Refuse early what the disk cannot hold."""
        free = shutil.disk_usage(self._part.parent).free
        if needed > free:
            raise OutputError(
                f"{self._part.parent} has {free / 1e6:,.0f} MB free, and {self._name} needs {needed / 1e6:,.0f} MB "
                "more; free some space or choose another folder"
            )


class _BrokenError(Exception):
    """An answer that ends early or does not fit: worth another attempt."""


def _breaks() -> tuple[type[Exception], ...]:
    """What a broken connection looks like: worth another attempt."""
    from requests import exceptions
    from urllib3.exceptions import HTTPError

    return _BrokenError, exceptions.ConnectionError, exceptions.Timeout, HTTPError


def _refusals() -> tuple[type[Exception], ...]:
    """What stays wrong however often one asks: another scheme, no address at all, a circle of redirects."""
    from requests import exceptions

    return exceptions.InvalidSchema, exceptions.InvalidURL, exceptions.MissingSchema, exceptions.TooManyRedirects


def _reason(error: Exception) -> str:
    """Why a server gave nothing, in a few words."""
    if isinstance(error, _BrokenError):
        return str(error)
    return f"cannot be reached, or breaks off ({type(error).__name__}), so check the network and the proxy settings"


# ------------------------------------------------------------------------------------------------------ surroundings


@contextmanager
def _needing_extra() -> Iterator[None]:
    """Say what to install where a library is missing."""
    try:
        yield
    except ImportError as error:
        raise DataError(
            f"downloading needs {error.name}, which is not installed; run pip install 'unetscope[fetch]', or give the "
            "archives with --from"
        ) from error


@contextmanager
def _silenced(logger: logging.Logger) -> Iterator[None]:
    """Keep a library from telling what it does."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn a full disk or a read-only folder into one sentence."""
    try:
        yield
    except OSError as error:
        if isinstance(error, UnetscopeError):
            raise
        reason = error.strerror or str(error)
        raise OutputError(f"{path} cannot be written ({reason}); free some space or choose another folder") from error
