"""One annotated image: which files make it up, and its role; knows files, not what is in them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from unetscope.errors import DataError
from unetscope.files import digest

Part = Literal["train", "validation", "test"]
Box = tuple[tuple[int, int], ...]

PARTS: tuple[Part, Part, Part] = ("train", "validation", "test")


@dataclass(frozen=True)
class Item:
    """One annotated image, or a block of one.

    Attributes:
        name: The stem of its files, after "train/" or the like where there are such folders; a block's ends in its
            part, as in "cells#train".
        image: The image file, or the folder of a DICOM series.
        labels: The label file.
        part: The role that the folder, a list or a split gives it, if any.
        group: What belongs together has the same group; otherwise the name.
        channels: Further image files of the same size, which hold further channels.
        box: Start and stop per spatial axis ([z,] y, x), pixels, where only this part of the image is meant.
    """

    name: str
    image: Path
    labels: Path | None
    part: Part | None
    group: str
    channels: tuple[Path, ...] = ()
    box: Box | None = None

    @property
    def images(self) -> tuple[Path, ...]:
        """All image files, in the order of their channels."""
        return (self.image, *self.channels)

    def digest(self) -> str:
        """What identifies the pixels, under any name and in any folder: the SHA-256 of the image files, and the box.

        Returns:
            Of a whole image in one file, the digest of that file; of a block, the same followed by its box, as in
            "b5bb9d80...[0:60,0:100]".

        Example:
            >>> import tempfile
            >>> path = Path(tempfile.mkdtemp()) / "cells.png"
            >>> _ = path.write_bytes(b"foo")
            >>> Item("cells#test", path, None, "test", "cells", box=((0, 6), (2, 9))).digest()[-15:]
            '66e7ae[0:6,2:9]'
        """
        contents = [_digest_pixels(path) for path in self.images]
        content = contents[0] if len(contents) == 1 else _digest_text(contents)
        return content if self.box is None else content + write_box(self.box)


def labels_of(item: Item) -> Path:
    """The label file of an annotated image.

    Raises:
        DataError: It has none.
    """
    if item.labels is None:
        raise DataError(f"{item.image} has no label image, and one is needed to learn or score; annotate it")
    return item.labels


def write_box(box: Box) -> str:
    """A box as text.

    Example:
        >>> write_box(((0, 60), (5, 100)))
        '[0:60,5:100]'
    """
    return "[" + ",".join(f"{start}:{stop}" for start, stop in box) + "]"


def name_few(names: Sequence[str], most: int = 3) -> str:
    """Up to three names for a message."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _digest_pixels(path: Path) -> str:
    """The digest of a file, or of all files of a series in whatever order they are named."""
    return _digest_text(sorted(map(digest, files_of(path)))) if path.is_dir() else digest(path)


def files_of(path: Path) -> tuple[Path, ...]:
    """The file itself, or the files of a series in the order of their names."""
    return tuple(sorted(each for each in path.iterdir() if is_visible(each))) if path.is_dir() else (path,)


def is_visible(path: Path) -> bool:
    """Whether a file is the user's, and not one that a system left behind (.DS_Store, ._cells.png, Thumbs.db)."""
    return not path.name.startswith((".", "~$")) and path.name.lower() not in ("thumbs.db", "desktop.ini")


def _digest_text(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
