"""Images and label images as arrays, one file at a time; knows how axes are arranged, not what labels mean."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from PIL import Image

from unetscope.data.formats import (
    SUFFIXES,
    Picture,
    check_file,
    damage_reported,
    known_suffix,
    load_numpy,
    open_picture,
)
from unetscope.errors import ImageError, OutputError
from unetscope.files import replacing

__all__ = [
    "SUFFIXES",
    "count_channels",
    "label_ndim",
    "read_image",
    "read_labels",
    "saved_suffix",
    "write_image",
    "write_labels",
]

Array = np.ndarray[Any, np.dtype[Any]]


def read_image(path: Path, ndim: int = 2) -> Array:
    """Read one image with its channels first; memory-mapped where the file is stored as plain numbers.

    The array may be read-only. Palette PNGs become RGB; an alpha channel that is the same everywhere is dropped.

    Args:
        path: A `.png`, `.tif`, `.tiff` or `.npy` file.
        ndim: Number of spatial axes, 2 or 3; the pages of a TIFF are z when it is 3.

    Returns:
        (channels, [z,] y, x), integers or floats as stored; true and false become 1 and 0.

    Raises:
        ImageError: The file is missing, damaged, of another format, or not one image of `ndim` axes.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "cells.tif"
        >>> write_image(path, np.zeros((2, 5, 7), np.uint16))
        >>> read_image(path).shape
        (2, 5, 7)
    """
    return _channels_first(path, open_picture(path, ndim), ndim)


def read_labels(path: Path, ndim: int = 2) -> Array:
    """Read one label image as the integers in the file (of a palette PNG, the palette's indices).

    Args:
        path: A `.png`, `.tif`, `.tiff` or `.npy` file; floats are taken when all are whole numbers.
        ndim: Number of spatial axes, 2 or 3.

    Returns:
        Integers of at least 0 as ([z,] y, x), or as (3, [z,] y, x) when the file is in colors.

    Raises:
        ImageError: The file cannot be read, or holds negative, broken or not-a-number values.
    """
    values = _channels_first(path, open_picture(path, ndim, as_index=True), ndim)
    if len(values) not in (1, 3):
        raise ImageError(
            f"{path} has {len(values)} channels, and a label image has 1 (or 3 when it is in colors); "
            "save one label image for each picture"
        )
    return _whole_numbers(values if len(values) == 3 else values[0], path)


def label_ndim(path: Path) -> int:
    """Number of spatial axes of a label image, from its header: 3 for stacks of pages and 3D arrays, otherwise 2.

    Args:
        path: A `.png`, `.tif`, `.tiff` or `.npy` file.

    Returns:
        2 or 3.

    Raises:
        ImageError: The file cannot be read.
    """
    if check_file(path) == ".npy":
        shape = load_numpy(path).shape
        return 2 if len(shape) < 3 or (len(shape) == 3 and shape[-1] == 3) else 3
    picture = open_picture(path, ndim=2)
    return 3 if _planes(picture) else 2


def count_channels(path: Path, ndim: int = 2) -> int:
    """Number of channels that `read_image` returns, from the header alone unless there is an alpha channel.

    Args:
        path: A `.png`, `.tif`, `.tiff` or `.npy` file.
        ndim: Number of spatial axes, 2 or 3.

    Returns:
        At least 1.

    Raises:
        ImageError: The file cannot be read.
    """
    picture = open_picture(path, ndim)
    if picture.has_alpha:
        return len(read_image(path, ndim))
    return math.prod(size for axis, size in zip(picture.axes, picture.shape, strict=True) if axis in "CS")


def write_labels(path: Path, labels: Array) -> None:
    """Write a label image in the smallest unsigned type that holds its values; the suffix names the format.

    Args:
        path: A `.png` (2D, values up to 65,535), `.tif`, `.tiff` or `.npy` file.
        labels: Integers of at least 0, ([z,] y, x).

    Raises:
        OutputError: The format cannot hold these labels, or the file cannot be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "labels.png"
        >>> write_labels(path, np.array([[0, 300]]))
        >>> read_labels(path)
        array([[  0, 300]], dtype=uint16)
    """
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    if low < 0 or high > np.iinfo(np.uint32).max or labels.dtype.kind not in "bui" or labels.ndim not in (2, 3):
        raise OutputError(
            f"{path} would hold labels from {low} to {high} of type {labels.dtype} and shape {labels.shape}; "
            "whole numbers from 0 to 4294967295 as (y, x) or (z, y, x) are needed"
        )
    _write(path, labels.astype(np.min_scalar_type(high)), "ZYX"[-labels.ndim :])


def write_image(path: Path, image: Array) -> None:
    """Write an image; the suffix names the format.

    Args:
        path: A `.png` (1 channel of 8 or 16 bits, or 3 of 8), `.tif`, `.tiff` or `.npy` file.
        image: (y, x) or (channels, [z,] y, x), integers or floats.

    Raises:
        OutputError: The format cannot hold this image, or the file cannot be written.
    """
    axes = {2: "YX", 3: "CYX", 4: "CZYX"}.get(image.ndim)
    if axes is None or image.dtype.kind not in "buif" or image.size == 0:
        raise OutputError(
            f"{path} would hold an array of shape {image.shape} and type {image.dtype}; "
            "numbers as (y, x) or (channels, [z,] y, x) are needed"
        )
    _write(path, image, axes)


def saved_suffix(source: Path) -> str:
    """The suffix of a label image that belongs to `source`: the same format, in lower case.

    Args:
        source: An image file that can be read.

    Returns:
        One of `SUFFIXES`.

    Raises:
        ImageError: The suffix of `source` is not one of `SUFFIXES`.

    Example:
        >>> saved_suffix(Path("cells.TIF"))
        '.tif'
    """
    return known_suffix(source)


# --------------------------------------------------------------------------------------------------- reading


def _planes(picture: Picture) -> list[int]:
    """Positions of the axes that are neither y, x nor channels and have more than one entry."""
    return [i for i, axis in enumerate(picture.axes) if axis not in "YXCS" and picture.shape[i] > 1]


def _plane_axis(path: Path, picture: Picture, ndim: int) -> list[int]:
    """The position of z: none in 2D, exactly one in 3D."""
    planes = _planes(picture)
    count = math.prod(picture.shape[i] for i in planes)
    if ndim == 2 and planes:
        raise ImageError(
            f"{path} holds {count} pages, and one 2D image was needed; save each page as its own file, mark the pages "
            "as channels (axes 'CYX'), or use 3D label images for volumes"
        )
    if ndim == 3 and len(planes) > 1:
        raise ImageError(
            f"{path} has the axes {picture.axes} of lengths {picture.shape}, and only z, y, x and channels are read; "
            "save each of its volumes as its own file"
        )
    z = planes or [i for i, axis in enumerate(picture.axes) if axis == "Z"][: ndim - 2]
    if ndim == 3 and not z:
        raise ImageError(f"{path} is one 2D image, and a volume (z, y, x) was needed; save its planes in one file")
    return z


def _channels_first(path: Path, picture: Picture, ndim: int) -> Array:
    """Load the pixels and arrange them as (channels, [z,] y, x), without alpha."""
    z = _plane_axis(path, picture, ndim)
    with damage_reported(path):
        stored = _plain_numbers(path, picture.load())
        last = [*z, picture.axes.index("Y"), picture.axes.index("X")]
        channels = sorted((i for i, axis in enumerate(picture.axes) if axis in "CS"), key=lambda i: picture.axes[i])
        single = [i for i in range(stored.ndim) if i not in last and i not in channels]
        size = tuple(stored.shape[i] for i in last)
        count = math.prod(stored.shape[i] for i in channels)
        arranged = stored.transpose(*single, *channels, *last).reshape(count, *size)
    return _without_alpha(path, arranged) if picture.has_alpha else arranged


def _plain_numbers(path: Path, stored: Array) -> Array:
    """The same pixels as integers or floats in this machine's byte order."""
    if stored.dtype.kind not in "buif" or stored.dtype.itemsize > 8:
        raise ImageError(
            f"{path} holds values of type {stored.dtype}, and integers or floats of at most 64 bits are read; "
            "save it as one of these"
        )
    if stored.size == 0:
        raise ImageError(f"{path} has no pixels (shape {stored.shape}), and an image was needed; export it again")
    if stored.dtype == bool:
        # Not a view or a cast: Pillow and foreign files may keep true as 255.
        return np.where(stored, np.uint8(1), np.uint8(0))
    return stored if stored.dtype.isnative else stored.astype(stored.dtype.newbyteorder("="))


def _without_alpha(path: Path, image: Array) -> Array:
    """Drop the last channel if it says nothing."""
    alpha = image[-1]
    if alpha.min() != alpha.max():
        raise ImageError(
            f"{path} has an alpha channel with values from {alpha.min()} to {alpha.max()}, and only images without "
            "transparency are read; flatten it or save it without its alpha channel"
        )
    return image[:-1]


def _whole_numbers(labels: Array, path: Path) -> Array:
    """The labels as integers, if they are whole and not negative."""
    if labels.dtype.kind == "f":
        # NaN is not equal to itself; infinity is, so it needs its own question.
        if not (np.isfinite(labels) & (labels == np.floor(labels))).all() or abs(labels).max() > 2**53:
            raise ImageError(f"{path} holds fractions or NaN, and labels are whole numbers; round and save it again")
        labels = labels.astype(np.int64)
    if labels.dtype.kind == "i" and labels.min() < 0:
        raise ImageError(f"{path} holds the value {labels.min()}, and labels are at least 0; renumber it")
    return labels


# ------------------------------------------------------------------------------------------------------- writing


def _write(path: Path, array: Array, axes: str) -> None:
    """Write an array in the format that the suffix names."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(f"{path} ends in '{path.suffix}', and {', '.join(SUFFIXES)} are written; choose one of these")
    if suffix == ".png":
        _write_png(path, array, axes)
        return
    with replacing(path) as temporary, temporary.open("wb") as file:
        if suffix == ".npy":
            np.save(file, array, allow_pickle=False)
        else:
            _write_tiff(file, array, axes)


def _write_tiff(file: BinaryIO, array: Array, axes: str) -> None:
    """Write a compressed TIFF that says what its axes are."""
    tifffile.imwrite(
        file, array, photometric="minisblack", compression="zlib", metadata={"axes": axes}, ome=False, imagej=False
    )


def _write_png(path: Path, array: Array, axes: str) -> None:
    """Write a gray image of 8 or 16 bits or RGB of 8."""
    pixels = array.astype(np.uint8) if array.dtype == bool else array
    if axes == "CYX" and len(pixels) in (1, 3):
        pixels = pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)
    depths = ("uint8",) if pixels.ndim == 3 and pixels.shape[-1] == 3 else ("uint8", "uint16")
    if pixels.dtype.name not in depths or (axes != "YX" and pixels is array):
        raise OutputError(
            f"{path} would hold {array.dtype} values of shape {array.shape}, and PNG holds 2D grays of 8 or 16 bits "
            f"and RGB of 8; write {path.with_suffix('.tif').name} instead"
        )
    with replacing(path) as temporary:
        Image.fromarray(np.ascontiguousarray(pixels)).save(temporary, format="PNG")
