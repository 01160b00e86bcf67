"""Files that people drop, as arrays for networks; knows formats, names and limits, neither networks nor requests.

A file of a stranger is trusted in nothing: its name never becomes one on this machine, its header is asked how large it
is before it is decoded, and it is opened alone, so that it can refer to no other file.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from http import HTTPStatus
from math import inf, prod
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetscope.data.formats.registry import SUFFIXES, open_picture, suffix_of
from unetscope.data.intensities import check_finite
from unetscope.data.spacing import Spacing
from unetscope.errors import DataError, RecipeError
from unetscope.file_segmentation import Wanted, open_job
from unetscope.segmentation import Segmenter
from unetscope.serving.refusals import RefusalError

LONGEST_NAME = 80  # characters that are shown
USUAL_CHANNELS = 4  # that a pixel may have whatever the network reads
MILLION = 1e6


@dataclass(frozen=True)
class Limits:
    """How much a file may hold.

    Attributes:
        megapixels: Millions of pixels, of all planes together.
        megabytes: Millions of bytes.

    Raises:
        RecipeError: Nothing would be taken.
    """

    megapixels: float = 64.0
    megabytes: float = 256.0

    def __post_init__(self) -> None:
        for name in ("megapixels", "megabytes"):
            value = getattr(self, name)
            if not 0 < value < inf:
                raise RecipeError(f"--max-{name} is {value}; give a number above 0")

    @property
    def pixels(self) -> int:
        """Pixels, at most."""
        return int(self.megapixels * MILLION)

    @property
    def bytes(self) -> int:
        """Bytes, at most."""
        return int(self.megabytes * MILLION)

    def check_bytes(self, count: int, name: str) -> None:
        """Refuse a file that is too large.

        Raises:
            RefusalError: It is.
        """
        if count > self.bytes:
            raise RefusalError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"{name} has more than {self.megabytes:g} million bytes, and no larger file is taken; cut it into "
                "parts, or start the server with a larger --max-megabytes",
            )

    def check_pixels(self, count: int, name: str) -> None:
        """Refuse an image that has too many pixels.

        Raises:
            RefusalError: It has.
        """
        if count > self.pixels:
            raise RefusalError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"{name} has {_millions(count)} million pixels, and {self.megapixels:g} million are taken; cut it into "
                "parts, start the server with a larger --max-megapixels, or use `unetscope segment`",
            )


@dataclass(frozen=True, eq=False)
class Opened:
    """An image as networks read it.

    Attributes:
        name: What to call it.
        pages: (pages, channels, [z,] y, x); several pages where a network of 2D images meets a stack.
        spacing: Distance between pixels, where it is known.
    """

    name: str
    pages: NDArray[Any]
    spacing: Spacing | None

    @property
    def planes(self) -> int:
        """Planes that can be looked at: pages, or those of a volume."""
        return len(self.pages) if self.pages.ndim == 4 else int(self.pages.shape[2])

    def place(self, plane: int) -> tuple[int, tuple[int, ...]]:
        """The page that holds a plane, and where the plane lies in it."""
        return (plane, ()) if self.pages.ndim == 4 else (0, (plane,))

    def plane(self, plane: int) -> NDArray[Any]:
        """The pixels of a plane, (channels, y, x)."""
        page, inside = self.place(plane)
        pixels: NDArray[Any] = self.pages[page][:, *inside]
        return pixels


def _millions(count: int) -> str:
    return f"{count / MILLION:,.2f}".rstrip("0").rstrip(".")


def clean_name(name: str) -> str:
    r"""A file's name to show: its last part, without what steers a terminal or turns text around.

    Example:
        >>> clean_name("../../etc/cells.png"), clean_name("C:\\cells\u202egnp.exe"), clean_name("")
        ('cells.png', 'cellsgnp.exe', 'the image')
    """
    last = PurePosixPath(name.replace("\\", "/")).name
    plain = "".join(
        each for each in last if unicodedata.category(each)[0] != "C" and each not in "\u2028\u2029"
    ).strip()
    return f"{plain[: LONGEST_NAME - 1]}…" if len(plain) > LONGEST_NAME else plain or "the image"


def temporary_name(name: str) -> str:
    """What a dropped file is called while it is read: nothing of its name is kept but a known suffix.

    Raises:
        RefusalError: It ends like no image.

    Example:
        >>> temporary_name("../../scan 1.OME.tif")
        'dropped.ome.tif'
    """
    suffix = suffix_of(Path(clean_name(name)))
    if suffix not in SUFFIXES:
        known = f"{', '.join(SUFFIXES[:-1])} and {SUFFIXES[-1]}"
        raise RefusalError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"{clean_name(name)} does not end like an image, and {known} are read; convert it to one of them",
        )
    return f"dropped{suffix}"


def open_dropped(segmenter: Segmenter, path: Path, name: str, limits: Limits, axes: str | None = None) -> Opened:
    """Read an image that somebody dropped.

    Args:
        segmenter: A network that will segment it.
        path: A file of this name: `temporary_name`.
        name: What to call it.
        limits: How much it may hold.
        axes: A letter for each of its axes, instead of what the file says.

    Returns:
        The image, nothing of which depends on the file any more.

    Raises:
        ImageError: It cannot be read; the message names no folder.
        DataError: It is not for this network.
        RefusalError: It is too large.
    """
    try:
        _check_header(segmenter, path, name, limits)
        job = open_job(segmenter, path, Wanted(axes))
        for page in job.pages:
            check_finite(page, name)
    except DataError as error:
        told = str(error).replace(str(path), name).replace(str(path.parent), "").replace(path.name, name)
        raise type(error)(told) from error
    return Opened(name, np.array(job.pages), job.spacing)


def _check_header(segmenter: Segmenter, path: Path, name: str, limits: Limits) -> None:
    """Refuse what is too large before it is decoded."""
    picture = open_picture(path, segmenter.spec.ndim)
    channels = prod(picture.shape[axis] for axis in picture.channels)
    usual = max(USUAL_CHANNELS, segmenter.spec.image_channels)
    limits.check_pixels(prod(picture.shape) // max(1, min(channels, usual)), name)
