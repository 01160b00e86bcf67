"""Drawn outlines (ImageJ ROIs, GeoJSON) as label images; knows ids and classes, not how each format stores them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unetscope.data.formats.geojson import read_features
from unetscope.data.formats.imagej_roi import read_rois
from unetscope.data.formats.picture import Array
from unetscope.data.formats.polygons import Outline, fill
from unetscope.errors import ImageError

__all__ = ["draw_outline_classes", "draw_outlines", "outline_classes"]

_READERS = {".geojson": read_features, ".roi": read_rois, ".zip": read_rois}


def draw_outlines(path: Path, shape: tuple[int, ...]) -> Array:
    """Draw every outline of a file with its number: 1 for the first; where two overlap, the later one wins.

    A pixel belongs to an outline when its center is inside; pixel (0, 0) covers 0 to 1 along x and y. An outline that
    crosses itself is inside where a line to it from far away crosses an odd number of edges. Outlines are cut at the
    image's border.

    Args:
        path: A `.roi` file or `.zip` of them from ImageJ, or a `.geojson` file, from QuPath or others.
        shape: ([z,] y, x) of the image; in 3D every outline must name its slice.

    Returns:
        Unsigned integers of that shape, 0 outside.

    Raises:
        ImageError: The file is missing, damaged or unsafe, or an outline has no area, is not in the image, or is
            hidden by others.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "cells.geojson"
        >>> _ = path.write_text('{"type": "Polygon", "coordinates": [[[1, 0], [3, 0], [3, 2], [1, 2]]]}')
        >>> draw_outlines(path, (3, 4))
        array([[0, 1, 1, 0],
               [0, 1, 1, 0],
               [0, 0, 0, 0]], dtype=uint8)
    """
    outlines = _read(path)
    labels = np.zeros(shape, np.min_scalar_type(len(outlines)))
    for number, outline in enumerate(outlines, 1):
        plane = labels[_slice(path, outline, shape)]
        window, mask = fill(outline.regions, plane.shape)
        if not mask.any():
            raise _covers_nothing(path, outline, plane.shape)
        plane[window][mask] = number
    _check_visible(path, outlines, labels)
    return labels


def outline_classes(path: Path) -> tuple[str, ...]:
    """The class of every outline in the order of `draw_outlines`, empty for those without one.

    Args:
        path: A `.roi`, `.zip` or `.geojson` file.

    Returns:
        In GeoJSON the name of QuPath's classification, or the property class, label or name; in ImageJ the group, as
        "group 2".

    Raises:
        ImageError: The file cannot be read.
    """
    return tuple(outline.kind for outline in _read(path))


def draw_outline_classes(path: Path, shape: tuple[int, ...], classes: Sequence[str]) -> Array:
    """Draw every outline of a file with the index of its class; where two overlap, the later one wins.

    Args:
        path: A `.roi`, `.zip` or `.geojson` file.
        shape: ([z,] y, x) of the image.
        classes: All classes, the background first.

    Returns:
        Unsigned integers of that shape, 0 outside.

    Raises:
        ImageError: As `draw_outlines`; or an outline has no class, or one that is not in `classes`.
    """
    indices = [0]
    for number, kind in enumerate(outline_classes(path), 1):
        if kind not in classes or not kind:
            has = f"the class '{kind}'" if kind else "no class"
            raise ImageError(
                f"{path}: outline {number} has {has}, and one of {', '.join(classes)} was needed; give it one of these"
            )
        indices.append(list(classes).index(kind))
    table = np.array(indices, np.min_scalar_type(len(classes)))
    return table[draw_outlines(path, shape)]


def _read(path: Path) -> tuple[Outline, ...]:
    """The outlines of a file, by its suffix."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ImageError(f"{path} ends in '{path.suffix}', and outlines are .roi, .zip or .geojson; export them so")
    if not path.is_file():
        raise ImageError(f"{path} does not exist or is a folder, and a file of outlines was needed; check the name")
    return reader(path)


def _slice(path: Path, outline: Outline, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Where in an image an outline lies: its slice in 3D, everything in 2D."""
    if len(shape) == 2:
        if outline.z:
            raise ImageError(
                f"{path}: {outline.label} belongs to slice {outline.z + 1}, and the image has one; save the outlines "
                "of each slice in their own file"
            )
        return ()
    if outline.z is None or outline.z >= shape[0]:
        belongs = "names no slice" if outline.z is None else f"belongs to slice {outline.z + 1}"
        raise ImageError(
            f"{path}: {outline.label} {belongs}, and the image has slices 1 to {shape[0]}; set its position to one"
        )
    return (outline.z,)


def _covers_nothing(path: Path, outline: Outline, shape: tuple[int, ...]) -> ImageError:
    """Why an outline has no pixel."""
    corners = np.concatenate([ring for region in outline.regions for ring in region.rings])
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    where = f"{path}: {outline.label} (x {left:g} to {right:g}, y {top:g} to {bottom:g})"
    if right <= 0 or bottom <= 0 or left >= shape[1] or top >= shape[0]:
        return ImageError(
            f"{where} lies outside the image of {shape[0]} x {shape[1]} pixels (y, x); check which image it belongs to"
        )
    return ImageError(f"{where} covers the center of no pixel in the image; delete it or draw it larger")


def _check_visible(path: Path, outlines: Sequence[Outline], labels: Array) -> None:
    """Refuse outlines that later ones hide."""
    seen = np.zeros(len(outlines) + 1, bool)
    for part in labels:
        seen[part] = True
    if not seen[1:].all():
        hidden = outlines[int(np.argmin(seen[1:]))].label
        raise ImageError(
            f"{path}: {hidden} is hidden by later outlines, and each needs pixels of its own; delete it or move it "
            "to the end of the list"
        )
