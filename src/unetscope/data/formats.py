"""What PNG, TIFF and NumPy files store: axes and pixels as they are; knows formats, not what axes are for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from unetscope.errors import ImageError

SUFFIXES: tuple[str, ...] = (".png", ".tif", ".tiff", ".npy")

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Picture:
    """What the header of a file promises, and how to get the pixels.

    Attributes:
        axes: One letter an axis, as tifffile has them: Y, X, C and S (channels); anything else counts planes.
        shape: Lengths of the axes.
        has_alpha: Whether the last sample is transparency.
        load: Reads or maps the pixels in that shape.
    """

    axes: str
    shape: tuple[int, ...]
    has_alpha: bool
    load: Callable[[], Array]


def open_picture(path: Path, ndim: int, as_index: bool = False) -> Picture:
    """Read the header of a file.

    Args:
        path: A `.png`, `.tif`, `.tiff` or `.npy` file.
        ndim: Number of spatial axes, 2 or 3 (NumPy files do not say what their axes mean).
        as_index: Whether the numbers in a palette PNG are wanted rather than their colors.

    Returns:
        Axes, shape and a way to load.

    Raises:
        ImageError: The file is missing, empty, damaged or of another format.
    """
    suffix = check_file(path)
    with damage_reported(path):
        if suffix == ".png":
            return _open_png(path, as_index)
        if suffix == ".npy":
            return _open_numpy(path, ndim)
        return _open_tiff(path)


@contextmanager
def damage_reported(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into one sentence (a damaged file makes decoders raise almost anything)."""
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"{path} does not fit into memory; cut it into smaller images") from error
    except Exception as error:
        reason = " ".join(str(error).split()).replace(str(path), "").strip(" .:;") or type(error).__name__
        raise ImageError(
            f"{path} cannot be read as {path.suffix.lower()[1:]} ({reason}), so it is damaged or of another format; "
            "copy or export it again"
        ) from error


def known_suffix(path: Path) -> str:
    """The suffix of a file in lower case, if it is one of `SUFFIXES`.

    Raises:
        ImageError: It is another.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        known = f"{', '.join(SUFFIXES[:-1])} and {SUFFIXES[-1]}"
        raise ImageError(f"{path} ends in '{path.suffix}', and {known} are read; convert it to one of them")
    return suffix


def check_file(path: Path) -> str:
    """The lower-case suffix of a file that is there and not empty.

    Raises:
        ImageError: It is missing, empty or of an unknown format.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ImageError(f"{path} {what}, and an image file was needed; check the name")
    suffix = known_suffix(path)
    if path.stat().st_size == 0:
        raise ImageError(f"{path} is empty (0 bytes), and an image was needed; copy or export it again")
    return suffix


# ----------------------------------------------------------------------------------------------------------- PNG


def _open_png(path: Path, as_index: bool) -> Picture:
    """Read a PNG's header; made directly, because `Image.open` refuses large images through a global setting."""
    with PngImageFile(path) as picture:
        height, width = picture.height, picture.width
        mode = _decoded_mode(picture, as_index)
    samples = Image.getmodebands(mode)
    axes, shape = ("YXS", (height, width, samples)) if samples > 1 else ("YX", (height, width))
    return Picture(axes, shape, mode in ("LA", "RGBA"), lambda: _decode_png(path, mode, as_index))


def _decoded_mode(picture: PngImageFile, as_index: bool) -> str:
    """Pillow's mode after decoding: a palette stays one for labels and becomes colors for images."""
    if picture.mode != "P" or as_index:
        return picture.mode
    return "RGBA" if "transparency" in picture.info else "RGB"


def _decode_png(path: Path, mode: str, as_index: bool) -> Array:
    """The pixels as stored: Pillow cuts 16-bit colors down to 8, so imagecodecs decodes those."""
    with path.open("rb") as file:
        depth, color_type = file.read(26)[24:]
    if depth == 16 and color_type != 0:
        return np.asarray(imagecodecs.png_decode(path.read_bytes()))
    with PngImageFile(path) as picture:
        picture.load()
        pixels = np.asarray(picture if picture.mode == mode else picture.convert(mode))
    if pixels.dtype == np.int32:
        return pixels.astype(np.uint16)
    # Pillow stretches grays of 2 and 4 bits to 0..255; labels need the numbers that are in the file.
    stretched = as_index and color_type == 0 and depth in (2, 4)
    return pixels // np.uint8(255 // (2**depth - 1)) if stretched else pixels


# ---------------------------------------------------------------------------------------------------------- TIFF


def _open_tiff(path: Path) -> Picture:
    """Read a TIFF's header."""
    with _complaints_raised(), tifffile.TiffFile(path) as file:
        series = _only_series(path, file)
        _check_length(path, series)
        page = series.keyframe
        is_plain = series.dataoffset is not None and page.is_memmappable
        axes, shape = series.get_axes(squeeze=False), series.get_shape(squeeze=False)
        # 1 and 2 are TIFF's two kinds of alpha; 0 is a sample without a meaning, which stays a channel.
        has_alpha = any(sample in (1, 2) for sample in page.extrasamples)
    return Picture(axes, shape, has_alpha, lambda: _load_tiff(path, is_plain).reshape(shape))


def _load_tiff(path: Path, is_plain: bool) -> Array:
    """The pixels of the first series, mapped if the file holds them as plain numbers."""
    with _complaints_raised():
        pixels: Array = tifffile.memmap(path, mode="r") if is_plain else tifffile.imread(path, series=0)
    return pixels


def _only_series(path: Path, file: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """The one image of a file; previews are passed over."""
    full = [series for series in file.series if not series.keyframe.is_reduced] or list(file.series)
    if len(full) != 1 or full[0] is not file.series[0]:
        raise ImageError(
            f"{path} holds {len(file.series)} images of different sizes or types, and one was needed; "
            "save the one to use as its own file"
        )
    return full[0]


def _check_length(path: Path, series: tifffile.TiffPageSeries) -> None:
    """Refuse a file that ends before its pixels do (decoders may fill what is missing with zeros)."""
    pages = [page for page in series.pages if page is not None]
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


# --------------------------------------------------------------------------------------------------------- NumPy


def _open_numpy(path: Path, ndim: int) -> Picture:
    """Map a NumPy file and guess its axes from its shape."""
    array = load_numpy(path)
    return Picture(_numpy_axes(path, array.shape, ndim), array.shape, False, lambda: array)


def load_numpy(path: Path) -> Array:
    """Map a NumPy file; nothing is unpickled.

    Raises:
        ImageError: The file is damaged or holds something else than one array.
    """
    with damage_reported(path):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            array.close()
            raise ValueError("it is an archive of several arrays")
        return array


def _numpy_axes(path: Path, shape: tuple[int, ...], ndim: int) -> str:
    """The meaning of an array's axes: channels are few, and fewer than pixels."""
    if len(shape) == ndim:
        return "ZYX"[-ndim:]
    if len(shape) == 3 and ndim == 2:
        if shape[-1] <= 4 and shape[-1] < shape[0]:
            return "YXC"
        if shape[0] <= 4:
            return "CYX"
    if len(shape) == 4 and ndim == 3:
        return "ZYXC" if shape[-1] <= 4 < shape[0] else "CZYX"
    needed = "(y, x) or (channels, y, x) with at most 4 channels" if ndim == 2 else "(z, y, x) or (channels, z, y, x)"
    raise ImageError(f"{path} holds an array of shape {shape}, and {needed} was needed; save it in that form")
