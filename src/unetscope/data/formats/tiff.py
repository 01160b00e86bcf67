"""What TIFF files store, with the axes of OME and ImageJ; knows tifffile, not what the pixels mean.

A file is read by itself (`_multifile=False`): OME's notes may name further files of its image, and tifffile would look
for them, and fill the planes of missing ones with zeros.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from unetscope.data.formats.made_by import compose_note, name_software
from unetscope.data.formats.names import suffix_of
from unetscope.data.formats.picture import Array, Output, Picture
from unetscope.data.formats.tiff_pitch import read_pitch
from unetscope.data.spacing import name_unit
from unetscope.errors import ImageError
from unetscope.files import replacing

if TYPE_CHECKING:
    import tifffile

_IMAGEJ_TYPES = (np.uint8, np.uint16, np.float32)
_FAST = 1  # of zlib's levels


def open_tiff(path: Path) -> Picture:
    """Read the header of a TIFF.

    Args:
        path: The file.

    Returns:
        The axes that OME, ImageJ or tifffile noted; pages without a note are I or Q.

    Raises:
        ImageError: It holds several images, or a part of one.
    """
    import tifffile

    with _opened(path) as file:
        series = _only_series(path, file)
        _check_length(path, series)
        page = series.keyframe
        is_plain = series.dataoffset is not None and page.is_memmappable
        axes, shape = series.get_axes(squeeze=False), series.get_shape(squeeze=False)
        # 1 and 2 are TIFF's two kinds of alpha; 0 is a sample without a meaning, which stays a channel.
        has_alpha = "S" in axes and any(sample in (1, 2) for sample in page.extrasamples)
        pitch, unit = read_pitch(file, page)
        is_inverted = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
    load = partial(_load_tiff, path, is_plain, is_inverted)
    return Picture(axes, shape, has_alpha, lambda: load().reshape(shape), pitch, unit)


def read_tiff_texts(path: Path) -> tuple[str, ...]:
    """What a TIFF says in words: its description, ImageJ's information, OME's annotations.

    Args:
        path: The file.

    Returns:
        Texts, possibly empty.
    """
    with _opened(path) as file:
        if file.is_ome:
            return tuple(ElementTree.fromstring(file.ome_metadata or "<none/>").itertext())
        return str((file.imagej_metadata or {}).get("Info", "")), file.pages.first.description


def write_tiff(path: Path, output: Output) -> None:
    """Write a compressed TIFF that says what its axes are and, like its source, how large its pixels are.

    Floats are packed quickly rather than well: probabilities shrink about as much, in a quarter to a half of the time.

    A known size is written as ImageJ has it, which Fiji opens; for numbers that ImageJ does not have, and for files
    that end in `.ome.tif`, as OME has it.

    Args:
        path: The file.
        output: Axes of T, C, Z, Y, X.

    Raises:
        OutputError: The file cannot be written.
    """
    import tifffile

    options = _describe(output, always_ome=suffix_of(path).startswith(".ome"))
    software = name_software(output.made_by)
    if software:
        options["software"] = software
    if output.pixels.dtype.kind == "f":
        options["compressionargs"] = {"level": _FAST}
    with replacing(path) as temporary, temporary.open("wb") as file:
        tifffile.imwrite(file, output.pixels, photometric="minisblack", compression="zlib", **options)


def _describe(output: Output, always_ome: bool) -> dict[str, Any]:
    """What tifffile is to note beside the pixels."""
    pitch, unit = ({}, "pixel") if output.picture is None else (output.picture.pitch, output.picture.unit)
    unit = "um" if unit == "µm" else unit
    axes = "".join(axis if axis in "TCZYX" else "Z" for axis in output.axes)
    sizes = {axis: size for axis, size in pitch.items() if axis in axes}
    fits_imagej = output.pixels.dtype in _IMAGEJ_TYPES and output.pixels.nbytes < 2**32 and unit.isascii()
    if always_ome or (sizes and not fits_imagej):
        named = {f"PhysicalSize{axis}": size for axis, size in sizes.items()}
        units = {f"{name}Unit": name_unit(unit) for name in named}
        return {"metadata": {"axes": axes, **named, **units, **_name_maker(output, "CommentAnnotation")}, "ome": True}
    if not sizes:
        noted = {"made_by": dict(output.made_by)} if output.made_by else {}
        return {"metadata": {"axes": axes, **noted}, "ome": False, "imagej": False}
    depth = {"spacing": sizes["Z"]} if "Z" in sizes else {}
    return {
        "metadata": {"axes": axes, "unit": unit, **depth, **_name_maker(output, "Info")},
        "resolution": (1 / sizes["X"], 1 / sizes["Y"]),
        "imagej": True,
    }


def _name_maker(output: Output, place: str) -> dict[str, str]:
    """What made the pixels, in the place that a program has for texts."""
    return {place: compose_note(output.made_by)} if output.made_by else {}


def _load_tiff(path: Path, is_plain: bool, is_inverted: bool) -> Array:
    """The pixels of the first series, mapped if the file holds them as plain numbers; larger is brighter.

    True and false stay: tifffile calls them inverted, and means that true is an object.
    """
    import tifffile

    with _complaints_raised():
        pixels: Array = (
            tifffile.memmap(path, mode="r", _multifile=False)
            if is_plain
            else tifffile.imread(path, series=0, _multifile=False)
        )
    return ~pixels if is_inverted and pixels.dtype.kind == "u" else pixels


@contextmanager
def _opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """A TIFF by itself."""
    import tifffile

    with _complaints_raised(), tifffile.TiffFile(path, _multifile=False) as file:
        yield file


def _only_series(path: Path, file: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """The one image of a file; previews are passed over."""
    full = [series for series in file.series if not series.keyframe.is_reduced] or list(file.series)
    if len(full) != 1 or full[0] is not file.series[0]:
        raise ImageError(
            f"{path} holds {len(file.series)} images of different sizes or types, and one was needed; "
            "save the one to use as its own file"
        )
    if full[0].is_multifile or any(page is None for page in full[0]):
        raise ImageError(f"{path} holds a part of its image, as its notes say; save the image as one file")
    return full[0]


def _check_length(path: Path, series: tifffile.TiffPageSeries) -> None:
    """Refuse a file that ends before its pixels do (decoders may fill what is missing with zeros)."""
    pages = [page for page in series if page is not None]
    ends = [sum(strip) for page in pages for strip in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if series.dataoffset is not None:
        ends.append(series.dataoffset + series.nbytes)
    length = path.stat().st_size
    if max(ends, default=0) > length:
        raise ValueError(f"it ends after {length} of {max(ends)} bytes")


class _Complaints(logging.Handler):
    """Collects what one thread logs about damage."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.thread = threading.get_ident()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        is_damage = record.levelno >= logging.ERROR or "invalid page offset" in message
        if is_damage and record.thread == self.thread:
            self.messages.append(message)


@contextmanager
def _complaints_raised() -> Iterator[None]:
    """Raise what tifffile only logs: it reads the rest of a damaged file as if it were the whole."""
    logger, complaints = logging.getLogger("tifffile"), _Complaints()
    logger.addHandler(complaints)
    try:
        yield
    finally:
        logger.removeHandler(complaints)
    if complaints.messages:
        raise ValueError(complaints.messages[0])
