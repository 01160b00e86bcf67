"""Images and label images as arrays, one file at a time; knows how axes are arranged, not what labels mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unetscope.data.axes import check_plane, find_z, name_axes, without_single_axes
from unetscope.data.formats.dicom_segmentation import read_segmentation_on
from unetscope.data.formats.made_by import check_made_by, find_made_by
from unetscope.data.formats.outlines import draw_outlines
from unetscope.data.formats.picture import Output, Picture, damage_reported
from unetscope.data.formats.registry import (
    LABEL_SUFFIXES,
    OUTLINE_SUFFIXES,
    SUFFIXES,
    check_file,
    is_segmentation,
    open_picture,
    read_texts,
    suffix_of,
    write_output,
    written_suffix,
)
from unetscope.data.spacing import Spacing
from unetscope.errors import ImageError, OutputError

__all__ = [
    "LABEL_SUFFIXES",
    "SUFFIXES",
    "count_channels",
    "label_ndim",
    "open_stack",
    "read_image",
    "read_labels",
    "read_made_by",
    "read_spacing",
    "saved_suffix",
    "write_image",
    "write_labels",
]

Array = np.ndarray[Any, np.dtype[Any]]


def read_image(path: Path, ndim: int = 2, axes: str | None = None) -> Array:
    """Read one image with its channels first; memory-mapped where the file is stored as plain numbers.

    The array may be read-only. Palette PNGs become RGB; an alpha channel that is the same everywhere is dropped.

    Args:
        path: A file that ends in one of `SUFFIXES`, or a folder that holds one DICOM series.
        ndim: Number of spatial axes, 2 or 3.
        axes: A letter for each axis of the stored array, Z, T, C, Y or X, instead of what the file says; axes of
            length 1 may be left out.

    Returns:
        (channels, [z,] y, x), integers or floats as stored; true and false become 1 and 0.

    Raises:
        ImageError: The file is missing, damaged, of another format, or not one image of `ndim` axes.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "cells.tif"
        >>> write_image(path, np.zeros((2, 5, 7), np.uint16))
        >>> read_image(path).shape, read_image(path, ndim=3, axes="ZYX").shape
        ((2, 5, 7), (1, 2, 5, 7))
    """
    picture = _open(path, ndim, axes)
    return _channels_first(path, picture, find_z(path, picture, ndim))


def open_stack(path: Path, axes: str | None = None) -> Array:
    """Open all pages of a file, for a network that sees one 2D image at a time; memory-mapped where it is plain.

    Args:
        path: A file that ends in one of `SUFFIXES`, or a folder that holds one DICOM series.
        axes: As in `read_image`.

    Returns:
        (pages, channels, y, x): z, time and unnamed pages in stored order; one page for a plain image.

    Raises:
        ImageError: The file cannot be read.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "stack.tif"
        >>> write_image(path, np.zeros((2, 9, 5, 7), np.uint16))
        >>> open_stack(path).shape
        (9, 2, 5, 7)
    """
    picture = _open(path, 2, axes)
    last = [[picture.axes.index("Y")], [picture.axes.index("X")]]
    return _grouped(path, picture, [picture.pages, picture.channels, *last])


def read_labels(path: Path, ndim: int = 2, shape: tuple[int, ...] | None = None, image: Path | None = None) -> Array:
    """Read one label image as the integers in the file (of a palette PNG, the palette's indices).

    Pages that the file calls time are z in 3D: many programs save any stack so, and its image says what it is.

    Args:
        path: A file that ends in one of `LABEL_SUFFIXES`; floats are taken when all are whole numbers.
        ndim: Number of spatial axes, 2 or 3.
        shape: ([z,] y, x) of the image, which outlines are drawn into.
        image: The image; a DICOM segmentation, which may leave out planes, is placed on those of a DICOM image.

    Returns:
        Integers of at least 0 as ([z,] y, x), or as (3, [z,] y, x) when the file is in colors.

    Raises:
        ImageError: The file cannot be read, or holds negative, broken or not-a-number values.
    """
    if suffix_of(path) in OUTLINE_SUFFIXES:
        return _drawn(path, shape)
    if image is not None and is_segmentation(path) and check_file(image) == ".dcm":
        return read_segmentation_on(path, image)
    picture = _open(path, ndim, as_index=True)
    picture = replace(picture, axes=picture.axes.replace("T", "I"))
    values = _channels_first(path, picture, find_z(path, picture, ndim))
    if len(values) not in (1, 3):
        raise ImageError(
            f"{path} has {len(values)} channels, and a label image has 1 (or 3 when it is in colors); "
            "save one label image for each picture"
        )
    return _whole_numbers(values if len(values) == 3 else values[0], path)


def read_spacing(path: Path, ndim: int = 2, axes: str | None = None) -> Spacing | None:
    """The physical size of an image's pixels, from its header.

    Args:
        path: A file that ends in one of `SUFFIXES`, or a folder that holds one DICOM series.
        ndim: Number of spatial axes, 2 or 3.
        axes: As in `read_image`.

    Returns:
        Steps along ([z,] y, x); None where the file does not say all of them.

    Raises:
        ImageError: The file cannot be read.
    """
    picture = _open(path, ndim, axes)
    steps = tuple(picture.pitch[axis] for axis in "ZYX"[-ndim:] if axis in picture.pitch)
    return Spacing(steps, picture.unit) if len(steps) == ndim else None


def read_made_by(path: Path) -> dict[str, str]:
    """What made a file, as `write_labels` and `write_image` noted it.

    Args:
        path: A file that ends in one of `SUFFIXES`, or a folder that holds one DICOM series.

    Returns:
        Such as the software, the engine, its precision and the network; empty where the file does not say it.

    Raises:
        ImageError: The file cannot be read.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "labels.tif"
        >>> write_labels(path, np.array([[0, 1]]), made_by={"software": "unetscope 0.1.0", "engine": "torch 2.11.0"})
        >>> read_made_by(path)
        {'software': 'unetscope 0.1.0', 'engine': 'torch 2.11.0'}
    """
    return find_made_by(read_texts(path))


def label_ndim(path: Path) -> int:
    """Number of spatial axes of a label image, from its header: 3 for volumes and stacks of pages, otherwise 2.

    Args:
        path: A file that ends in one of `LABEL_SUFFIXES`.

    Returns:
        2 or 3; outlines are 2D.

    Raises:
        ImageError: The file cannot be read.
    """
    if suffix_of(path) in OUTLINE_SUFFIXES:
        return 2
    picture = open_picture(path, ndim=2, as_index=suffix_of(path) in LABEL_SUFFIXES)
    if suffix_of(path) == ".npy" and len(picture.shape) == 3:
        # Planes, or colors, which come last; or a plane with an axis of one channel.
        return 2 if picture.shape[-1] == 3 or 1 in picture.shape[::2] else 3
    return 3 if picture.long_pages or "Y" not in picture.axes else 2


def count_channels(path: Path, ndim: int = 2, axes: str | None = None) -> int:
    """Number of channels that `read_image` returns, from the header alone unless there is an alpha channel.

    Args:
        path: A file that ends in one of `SUFFIXES`, or a folder that holds one DICOM series.
        ndim: Number of spatial axes, 2 or 3.
        axes: As in `read_image`.

    Returns:
        At least 1.

    Raises:
        ImageError: The file cannot be read.
    """
    picture = _open(path, ndim, axes)
    shape = _load(path, picture).shape if picture.has_alpha else picture.shape
    return math.prod(shape[i] for i in picture.channels)


def write_labels(
    path: Path,
    labels: Array,
    like: Path | None = None,
    classes: Sequence[str] = (),
    made_by: Mapping[str, str] = {},
) -> None:
    """Write a label image in the smallest unsigned type that holds its values; the suffix names the format.

    Args:
        path: A `.png` (2D, values up to 65,535), `.tif`, `.tiff`, `.npy`, `.nii`, `.nii.gz` or `.dcm` file.
        labels: Integers of at least 0, ([z,] y, x).
        like: The image that they belong to, whose geometry the file takes over: a NIfTI's affine, a GeoTIFF's
            georeference, the pixel size of a TIFF; DICOM refers to it.
        classes: Names of the labels from 0 on, which DICOM keeps.
        made_by: What made them, such as {"software": "unetscope 0.1.0"}; every format but `.npy` keeps it.

    Raises:
        OutputError: The format cannot hold these labels or their maker, or the file cannot be written.
        ImageError: `like` cannot be read.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "labels.png"
        >>> write_labels(path, np.array([[0, 300]]))
        >>> read_labels(path)
        array([[  0, 300]], dtype=uint16)
    """
    check_made_by(path, made_by)
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    if low < 0 or high > np.iinfo(np.uint32).max or labels.dtype.kind not in "bui" or labels.ndim not in (2, 3):
        raise OutputError(
            f"{path} would hold labels from {low} to {high} of type {labels.dtype} and shape {labels.shape}; "
            "whole numbers from 0 to 4294967295 as (y, x) or (z, y, x) are needed"
        )
    smallest = labels.astype(np.min_scalar_type(high))
    output = Output(smallest, "ZYX"[-labels.ndim :], classes=tuple(classes), made_by=made_by)
    write_output(path, output if like is None else _placed(output, like))


def write_image(path: Path, image: Array, made_by: Mapping[str, str] = {}) -> None:
    """Write an image; the suffix names the format.

    Args:
        path: A `.png` (1 channel of 8 or 16 bits, or 3 of 8), `.tif`, `.tiff` or `.npy` file.
        image: (y, x) or (channels, [z,] y, x), integers or floats.
        made_by: As in `write_labels`.

    Raises:
        OutputError: The format cannot hold this image or its maker, or the file cannot be written.
    """
    check_made_by(path, made_by)
    axes = {2: "YX", 3: "CYX", 4: "CZYX"}.get(image.ndim)
    if axes is None or image.dtype.kind not in "buif" or image.size == 0:
        raise OutputError(
            f"{path} would hold an array of shape {image.shape} and type {image.dtype}; "
            "numbers as (y, x) or (channels, [z,] y, x) are needed"
        )
    write_output(path, Output(image, axes, made_by=made_by))


def saved_suffix(source: Path) -> str:
    """The suffix of a label image that belongs to `source`: the same format in lower case, PNG for a JPEG.

    Args:
        source: An image file that can be read, or the folder of a DICOM series.

    Returns:
        One of `SUFFIXES`.

    Raises:
        ImageError: The suffix of `source` is not one of `SUFFIXES`.

    Example:
        >>> saved_suffix(Path("cells.TIF")), saved_suffix(Path("scan.nii.gz")), saved_suffix(Path("photo.jpeg"))
        ('.tif', '.nii.gz', '.png')
    """
    return written_suffix(source)


# ------------------------------------------------------------------------------------------------------------- reading


def _open(path: Path, ndim: int, axes: str | None = None, as_index: bool = False) -> Picture:
    """Read a header, with the axes that the file or the user names."""
    picture = open_picture(path, ndim, as_index)
    if axes is not None:
        picture = name_axes(path, picture, axes.upper())
    check_plane(path, picture)
    return picture


def _channels_first(path: Path, picture: Picture, z: list[int]) -> Array:
    """Load the pixels and arrange them as (channels, [z,] y, x), without alpha."""
    single = [i for i in picture.pages if i not in z]
    last = [[*z], [picture.axes.index("Y")], [picture.axes.index("X")]]
    return _grouped(path, picture, [[*single, *picture.channels], *(group for group in last if group)])


def _grouped(path: Path, picture: Picture, groups: Sequence[Sequence[int]]) -> Array:
    """Load the pixels with axes in another order, each group of them made one."""
    stored = _load(path, picture)
    shape = [math.prod(stored.shape[i] for i in group) for group in groups]
    return stored.transpose([i for group in groups for i in group]).reshape(shape)


def _load(path: Path, picture: Picture) -> Array:
    """The pixels as numbers, without an alpha channel that says nothing."""
    with damage_reported(path):
        stored = _plain_numbers(path, picture.load())
    if not picture.has_alpha:
        return stored
    samples = np.moveaxis(stored, picture.axes.index("S"), -1)
    alpha = samples[..., -1]
    if alpha.min() != alpha.max():
        raise ImageError(
            f"{path} has an alpha channel with values from {alpha.min()} to {alpha.max()}, and only images without "
            "transparency are read; flatten it or save it without its alpha channel, or mark all as channels "
            f"(--axes {without_single_axes(picture).axes.replace('S', 'C')})"
        )
    return np.moveaxis(samples[..., :-1], -1, picture.axes.index("S"))


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


def _drawn(path: Path, shape: tuple[int, ...] | None) -> Array:
    """Outlines drawn into the size of their image."""
    if shape is None:
        raise ImageError(f"{path} holds outlines without a size, and that of their image was needed; name the image")
    return draw_outlines(path, shape)


# ------------------------------------------------------------------------------------------------------------- writing


def _placed(output: Output, like: Path) -> Output:
    """The labels with the pages of the image that they belong to."""
    picture = open_picture(like, output.pixels.ndim)
    pages = tuple(picture.shape[i] for i in picture.long_pages)
    if output.axes != "ZYX" or math.prod(pages) != len(output.pixels) or not pages:
        return replace(output, source=like, picture=picture)
    axes = "".join(picture.axes[i] for i in picture.long_pages) + "YX"
    pixels = output.pixels.reshape(*pages, *output.pixels.shape[1:])
    return replace(output, pixels=pixels, axes=axes, source=like, picture=picture)
