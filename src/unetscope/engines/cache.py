"""What was made or measured once on this machine, kept in the user's cache folder; knows bytes and keys.

Losing it costs time and nothing else: a file that cannot be read is none, and a folder that cannot be written keeps
nothing.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetscope.errors import OutputError
from unetscope.files import write_bytes
from unetscope.machine import cache_folder


@dataclass(frozen=True)
class Shelf:
    """One kind of things kept, each in a file named by its key; those used longest ago make room for new ones.

    Attributes:
        name: Folder in the cache folder.
        suffix: What file names end with.
        most_files: Files kept at the most.
        most_bytes: Bytes kept at the most.
    """

    name: str
    suffix: str
    most_files: int
    most_bytes: int

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return cache_folder() / self.name

    def read(self, key: str) -> bytes | None:
        """The content kept under a key, None if there is none; the caller judges whether it is whole."""
        path = self.folder / f"{key}{self.suffix}"
        try:
            content = path.read_bytes()
        except OSError:
            return None
        with suppress(OSError):
            path.touch()  # used now
        return content

    def write(self, key: str, content: bytes) -> None:
        """Keep content under a key, whole or not at all."""
        if len(content) > self.most_bytes:
            return
        with suppress(OutputError):
            write_bytes(self.folder / f"{key}{self.suffix}", content)
            self._make_room()

    def _make_room(self) -> None:
        """Delete what was used longest ago; another process may do the same."""
        with suppress(OSError):
            ages = sorted(((file.stat().st_mtime, file) for file in self.folder.glob(f"*{self.suffix}")), reverse=True)
            room = self.most_bytes
            for count, (_, file) in enumerate(ages):
                room -= file.stat().st_size
                if count >= self.most_files or room < 0:
                    file.unlink(missing_ok=True)


def key_of(*facts: Any) -> str:
    """The key of what depends on `facts`, plain values; another key wherever one of them differs.

    Example:
        >>> key_of("a", {"b": 1, "c": 2}) == key_of("a", {"c": 2, "b": 1}) != key_of("a", {"b": 2, "c": 1})
        True
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
