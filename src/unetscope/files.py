"""Files written whole or not at all, read again, and their digests; knows bytes, not what they mean."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from unetscope.errors import DataError, OutputError

Value = TypeVar("Value")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary neighbor of `path` that takes its place when the block ends well and vanishes otherwise.

    Args:
        path: The file to write; its folder is created.

    Yields:
        The path to write to.

    Raises:
        OutputError: The folder or the file cannot be written (full disk, no permission).
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush_to_disk(temporary)
        temporary.replace(path)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        reason = error.strerror or str(error)
        raise OutputError(f"{path} cannot be written ({reason}); free some space or choose another folder") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Find out before long work whether its result could be written; nothing is created.

    Args:
        path: The file to write.

    Raises:
        OutputError: It is a folder, or no folder for it can be written to.
    """
    there = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir() or not there.is_dir():
        what = f"{path} is a folder" if path.is_dir() else f"{there} is a file and not a folder"
        raise OutputError(f"{path} cannot be written because {what}; choose another name")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"{path} cannot be written because {there} is read-only; choose another folder")


def _flush_to_disk(path: Path) -> None:
    """Make sure that the bytes are there before the name is (a power cut must not leave an empty file)."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 text file atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON atomically; not-a-number is written as null nowhere: it is refused."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path, parse: Callable[[Any], Value], what: str, command: str) -> Value:
    """What a file of JSON means.

    Args:
        path: The file.
        parse: From its plain values to what they mean; it raises a ValueError that says what is wrong with them.
        what: What the file should be, such as "profile".
        command: The command that writes such files.

    Returns:
        What `parse` makes of it.

    Raises:
        DataError: The file cannot be read, is no JSON, or does not hold what it should.
    """
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path} cannot be read ({reason}); give the file that `{command}` wrote") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read as a {what}: {error}; restore the file, or give one that `{command}` wrote"
        ) from error
    except ValueError as error:
        raise DataError(f"{path} cannot be read as a {what}: {error}") from error


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_all(paths: Callable[[], Iterator[tuple[str, Path]]]) -> str:
    """SHA-256 over names and contents of many files, in the given order."""
    total = hashlib.sha256()
    for name, path in paths():
        total.update(f"{name}\0{digest(path)}\n".encode())
    return total.hexdigest()
