"""The arrays of one annotated image: its files, cut to its box; knows what belongs together, not what labels mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unetscope.data import images as files
from unetscope.data.axes import check_plane, find_z, name_axes
from unetscope.data.formats.picture import Picture
from unetscope.data.formats.registry import OUTLINE_SUFFIXES, is_series, open_picture, suffix_of
from unetscope.data.item import Box, Item, labels_of
from unetscope.data.spacing import Spacing
from unetscope.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]

TOLERANCE = 0.01
"""Spacings that differ by less than this share are the same."""

_NIFTI = (".nii", ".nii.gz")
_DICOM = ".dcm"


def read_pixels(item: Item, ndim: int, axes: str | None = None) -> Array:
    """Read the channels of an image from all its files.

    Args:
        item: An image or a block of one; only the block is read from a memory-mapped file.
        ndim: Number of spatial axes, 2 or 3.
        axes: One letter an axis of the files, where they do not say it themselves.

    Returns:
        (channels, [z,] y, x) as stored, possibly read-only.

    Raises:
        DataError: A file cannot be read, or the files have different sizes.
    """
    parts = [files.read_image(path, ndim, axes) for path in item.images]
    for path, part in zip(item.images, parts, strict=True):
        if part.shape[1:] != parts[0].shape[1:]:
            raise DataError(
                f"{item.image} has {write_size(parts[0].shape[1:])} pixels and {path} has {write_size(part.shape[1:])};"
                " the channels of an image must be of one size, so export them again"
            )
    cut = [crop(part, item.box) for part in parts]
    return cut[0] if len(cut) == 1 else np.concatenate(cut)


def read_values(item: Item, ndim: int, axes: str | None = None, classes: Sequence[str] = ()) -> Array:
    """Read the label file of an image as the numbers in it, on the grid of the image.

    Outlines are drawn, and DICOM segmentations of a DICOM image are put on the slices that they were drawn on.

    Args:
        item: An image or a block of one.
        ndim: Number of spatial axes, 2 or 3.
        axes: One letter an axis of the image files, where they do not say it themselves.
        classes: Names of all classes, where outlines are to be drawn with the index of theirs and not with their
            number.

    Returns:
        Integers, ([z,] y, x), or (3, [z,] y, x) for colors.

    Raises:
        DataError: A file cannot be read, or does not fit the image.
    """
    path = labels_of(item)
    if is_outlined(item):
        shape = _find_shape(item.image, ndim, axes)
        if not classes:
            return crop(files.read_labels(path, ndim, shape), item.box)
        from unetscope.data.formats.outlines import draw_outline_classes

        return crop(draw_outline_classes(path, shape, classes), item.box)
    if needs_image(item):
        from unetscope.data.formats.dicom_segmentation import read_segmentation_on

        return crop(read_segmentation_on(path, item.image), item.box)
    return crop(files.read_labels(path, ndim), item.box)


def is_outlined(item: Item) -> bool:
    """Whether the labels of an image are outlines, which are drawn, and not a label image.

    Raises:
        DataError: It has no labels.
    """
    return suffix_of(labels_of(item)) in OUTLINE_SUFFIXES


def needs_image(item: Item) -> bool:
    """Whether the label file of an image can only be read beside its image, whose grid it lacks.

    Raises:
        DataError: It has no labels.
    """
    is_dicom = is_series(item.image) or suffix_of(item.image) == _DICOM
    return is_outlined(item) or (is_dicom and suffix_of(labels_of(item)) == _DICOM)


def find_ndim(item: Item, axes: str | None = None) -> int:
    """Number of spatial axes of an annotated image, from the headers of its files.

    Args:
        item: The image; its labels decide, except where they lack its grid.
        axes: One letter an axis of the image files, where they do not say it themselves.

    Returns:
        2 or 3.

    Raises:
        DataError: The file cannot be read.
    """
    if not needs_image(item):
        return files.label_ndim(labels_of(item))
    is_volume = "Z" in axes.upper() if axes else bool(open_picture(item.image, ndim=2).long_pages)
    return 3 if is_volume else 2


def open_header(path: Path, ndim: int, axes: str | None = None) -> Picture:
    """What the header of an image file promises, if it is one image.

    Args:
        path: The file.
        ndim: Number of spatial axes, 2 or 3.
        axes: One letter an axis of the file, where it does not say it itself.

    Returns:
        Its axes, sizes and modality.

    Raises:
        DataError: It cannot be read, or is no image of `ndim` axes.
    """
    picture = open_picture(path, ndim)
    picture = picture if axes is None else name_axes(path, picture, axes.upper())
    check_plane(path, picture)
    find_z(path, picture, ndim)
    return picture


def _find_shape(path: Path, ndim: int, axes: str | None) -> tuple[int, ...]:
    """The size of an image, from its header."""
    picture = open_header(path, ndim, axes)
    places = *find_z(path, picture, ndim), picture.axes.index("Y"), picture.axes.index("X")
    return tuple(picture.shape[place] for place in places)


def check_place(item: Item, ndim: int) -> None:
    """Refuse labels that say that they lie elsewhere than their image: turned, mirrored, moved, or of other steps.

    Args:
        item: An image; labels in other files than NIfTI are taken to fit, because few programs keep their geometry.
        ndim: Number of spatial axes, 2 or 3.

    Raises:
        DataError: Pixel sizes differ by more than 1 %, or two affines by that or half a pixel.
    """
    labels = labels_of(item)
    if suffix_of(labels) not in _NIFTI:
        return
    own, theirs = files.read_spacing(labels, ndim), files.read_spacing(item.image, ndim)
    if own and theirs and "pixel" not in (own.unit, theirs.unit) and not is_spaced(own, theirs):
        raise DataError(
            f"{labels} has pixels of {write_spacing(own)} and {item.image} of {write_spacing(theirs)}; labels must lie "
            "on the grid of their image, so resample them or copy the geometry of the image if only the header is wrong"
        )
    _check_affines(labels, item.image)


def check_sizes(item: Item, image: Sequence[int], labels: Sequence[int]) -> None:
    """Refuse labels of another size than their image's.

    Args:
        item: Both.
        image: ([z,] y, x) of the image.
        labels: ([z,] y, x) of the labels.

    Raises:
        DataError: The sizes differ.
    """
    if tuple(image) != tuple(labels):
        raise DataError(
            f"{item.image} has {write_size(image)} pixels and {item.labels} has {write_size(labels)}; "
            "label images must be as large as their images, so export them again"
        )


def is_spaced(spacing: Spacing, target: Spacing) -> bool:
    """Whether a spacing is the target, up to 1 % along each axis.

    Raises:
        DataError: The units cannot be converted.
    """
    steps = zip(spacing.in_unit(target.unit).steps, target.steps, strict=True)
    return all(abs(step - aim) <= TOLERANCE * aim for step, aim in steps)


def find_steps(item: Item, ndim: int, axes: str | None, grid: Spacing | None) -> tuple[float, ...] | None:
    """The steps of an image that is to be brought to a grid.

    Args:
        item: The image.
        ndim: Number of spatial axes, 2 or 3.
        axes: One letter an axis of the image files, where they do not say it themselves.
        grid: The spacing to bring it to, if any.

    Returns:
        Its steps in the unit of the grid; nothing where it is on the grid, or does not say its spacing.

    Raises:
        DataError: The units cannot be converted.
    """
    spacing = files.read_spacing(item.image, ndim, axes) if grid else None
    if grid is None or spacing is None:
        return None
    try:
        return None if is_spaced(spacing, grid) else spacing.in_unit(grid.unit).steps
    except DataError as error:
        raise DataError(f"{item.image} cannot be brought to {write_spacing(grid)}: {error}") from error


def crop(array: Array, box: Box | None) -> Array:
    """The part of an array in a box over its last axes; a view.

    Example:
        >>> crop(np.arange(6).reshape(1, 2, 3), ((0, 1), (1, 3)))
        array([[[1, 2]]])
    """
    if box is None:
        return array
    sides: tuple[Any, ...] = (..., *(slice(start, stop) for start, stop in box))
    part: Array = array[sides]
    return part


def write_size(shape: Sequence[int]) -> str:
    """A size for a message: rows by columns, planes first."""
    return " x ".join(map(str, shape))


def write_spacing(spacing: Spacing) -> str:
    """A spacing for a message."""
    return " x ".join(f"{step:g}" for step in spacing.steps) + f" {spacing.unit}"


def _check_affines(labels: Path, image: Path) -> None:
    """Refuse a NIfTI file of labels whose affine is another than its image's."""
    own, theirs = _read_affine(labels), _read_affine(image)
    if own is None or theirs is None:
        return
    step = np.linalg.norm(theirs[:3, :3], axis=0)
    is_turned = (abs(own[:3, :3] - theirs[:3, :3]) > TOLERANCE * step).any()
    is_moved = (abs(own[:3, 3] - theirs[:3, 3]) > step.max() / 2).any()
    if is_turned or is_moved:
        what = "is oriented otherwise than" if is_turned else "has another origin than"
        raise DataError(
            f"{labels} {what} {image} (their affines differ), so the labels would lie in the wrong place; resample "
            "them onto the image, or copy the affine of the image if only the header is wrong"
        )


def _read_affine(path: Path) -> Array | None:
    """The affine of a NIfTI file or of a DICOM volume, if it says that it has one."""
    if is_series(path) or suffix_of(path) == _DICOM:
        from unetscope.data.formats.dicom import read_affine

        return read_affine(path)
    if suffix_of(path) not in _NIFTI:
        return None
    import nibabel

    header: Any = nibabel.load(path).header
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        return None
    affine: Array = header.get_best_affine()
    return affine
