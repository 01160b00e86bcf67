"""What a file promises before its pixels are read; knows axes and damage, not formats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from unetscope.data.formats.names import suffix_of
from unetscope.errors import ImageError

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Picture:
    """What the header of a file promises, and how to get the pixels.

    Attributes:
        axes: One letter an axis: Y, X, Z, C and S (channels), T (time); anything else counts pages.
        shape: Lengths of the axes.
        has_alpha: Whether the last sample is transparency.
        load: Reads or maps the pixels in that shape.
        pitch: Size of a pixel along the axes for which the file says it, by letter, in `unit`.
        unit: Such as "mm", "µm" or "m"; "pixel" where the file says nothing.
        modality: How it was taken where the file says it, such as "CT" or "MR".
    """

    axes: str
    shape: tuple[int, ...]
    has_alpha: bool
    load: Callable[[], Array]
    pitch: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    unit: str = "pixel"
    modality: str = ""

    @property
    def pages(self) -> tuple[int, ...]:
        """Positions of the axes that are neither y, x nor channels, in stored order."""
        return tuple(i for i, axis in enumerate(self.axes) if axis not in "YXCS")

    @property
    def long_pages(self) -> tuple[int, ...]:
        """Those of `pages` that have more than one entry."""
        return tuple(i for i in self.pages if self.shape[i] > 1)

    @property
    def channels(self) -> tuple[int, ...]:
        """Positions of the axes of channels; samples of one pixel change fastest."""
        return tuple(sorted((i for i, axis in enumerate(self.axes) if axis in "CS"), key=lambda i: self.axes[i]))


@dataclass(frozen=True)
class Output:
    """Pixels to be written, and the image that they belong to.

    Attributes:
        pixels: Numbers.
        axes: One letter an axis: C, T, Z, Y, X.
        source: The file whose geometry the new file takes over, if any.
        picture: What its header says.
        classes: Names of the labels from 0 on, where the format keeps them.
        made_by: What made them, such as a program and its version, where the format has room for it.
    """

    pixels: Array
    axes: str
    source: Path | None = None
    picture: Picture | None = None
    classes: tuple[str, ...] = ()
    made_by: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@contextmanager
def damage_reported(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into one sentence (a damaged file makes decoders raise almost anything)."""
    try:
        yield
    except ImageError:
        raise
    except PermissionError as error:
        raise ImageError(f"{path} cannot be read (Permission denied); change its permissions") from error
    except MemoryError as error:
        raise ImageError(f"{path} does not fit into memory; cut it into smaller images") from error
    except Exception as error:
        reason = " ".join(str(error).split()).replace(str(path), "").strip(" .:;") or type(error).__name__
        kind = suffix_of(path)[1:] or "a DICOM series"
        raise ImageError(
            f"{path} cannot be read as {kind} ({reason}), so it is damaged or of another format; "
            "copy or export it again"
        ) from error
