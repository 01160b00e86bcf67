"""Closed rings and the pixels whose centers they hold; knows coordinates, not files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from unetscope.data.formats.picture import Array

_FARTHEST = 1e9  # pixels; beyond it a coordinate is no position in an image, and products of two lose their digits


@dataclass(frozen=True)
class Region:
    """What lies inside rings and outside holes.

    Attributes:
        rings: (points, 2) each, as x and y; where several overlap, the even-odd rule decides, as it does for a
            ring that crosses itself.
        holes: Rings in the same form; what is in any of them is outside.
    """

    rings: tuple[Array, ...]
    holes: tuple[Array, ...] = ()


@dataclass(frozen=True)
class Outline:
    """One object that somebody drew.

    Attributes:
        label: How an error calls it, such as "ROI 'cell 3'".
        kind: Its class; empty when it has none.
        regions: What it covers is in any of them.
        z: Slice from 0; None where the file does not say.
    """

    label: str
    kind: str
    regions: tuple[Region, ...]
    z: int | None


def make_ring(coordinates: Any) -> Array:
    """Check the corners of a ring; the last is joined to the first, whether it repeats it or not.

    Args:
        coordinates: (points, 2) as x and y in pixels, where pixel (0, 0) covers 0 to 1 in both.

    Returns:
        The same as float64.

    Raises:
        ValueError: They are no pairs of finite numbers, or fewer than three.

    Example:
        >>> make_ring([[0, 0], [4, 0], [4, 2]]).shape
        (3, 2)
    """
    try:
        ring = np.asarray(coordinates)
    except ValueError:
        ring = np.empty(0)
    if ring.ndim != 2 or ring.shape[1] != 2 or ring.dtype.kind not in "iuf":
        raise ValueError("has corners that are not pairs of numbers [x, y]")
    ring = ring.astype(np.float64)
    # Not "greater than": NaN is not.
    if not (abs(ring) <= _FARTHEST).all():
        raise ValueError("has a corner that is not finite or farther than a billion pixels away")
    if len(ring) < 3:
        raise ValueError(f"has {len(ring)} corners where at least 3 enclose an area")
    return ring


def make_ellipse(left: float, top: float, width: float, height: float) -> Array:
    """An ellipse as a ring of 1024 corners, which stay within 5e-6 of its radius.

    Args:
        left: Smallest x.
        top: Smallest y.
        width: Extent along x.
        height: Extent along y.

    Returns:
        (1024, 2) as x and y.
    """
    angles = np.linspace(0, 2 * np.pi, 1024, endpoint=False)
    unit = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    ring: Array = np.array([left, top]) + np.array([width, height]) * (unit + 1) / 2
    return ring


def make_rectangle(left: float, top: float, width: float, height: float, arc: float = 0) -> Array:
    """A rectangle as a ring, its corners rounded if wanted.

    Args:
        left: Smallest x.
        top: Smallest y.
        width: Extent along x.
        height: Extent along y.
        arc: Diameter of the rounded corners, at most the shorter side.

    Returns:
        (points, 2) as x and y.
    """
    arc = min(arc, width, height)
    if arc <= 0:
        return np.array([[0, 0], [width, 0], [width, height], [0, height]]) + np.array([left, top], np.float64)
    # The four quarters of a circle, moved apart: the circle starts in the corner at the largest x and y.
    quarters = np.split(make_ellipse(left, top, arc, arc), 4)
    moves = np.array([[1, 1], [0, 1], [0, 0], [1, 0]]) * [width - arc, height - arc]
    ring: Array = np.concatenate([quarter + move for quarter, move in zip(quarters, moves, strict=True)])
    return ring


def fill(regions: Sequence[Region], shape: tuple[int, int]) -> tuple[tuple[slice, slice], Array]:
    """The pixels whose centers, at half pixels, lie in any region.

    A center that is exactly on an edge belongs to what is right of the edge or below it, so that neighbors with a
    common edge never share a pixel and never leave one out.

    Args:
        regions: What to fill.
        shape: Rows and columns of the image; what is outside is cut off.

    Returns:
        The window of the image around the regions, and a bool array of that size.

    Source:
        The even-odd rule along rows: Foley, van Dam, Feiner and Hughes, Computer Graphics, section 3.6.

    Example:
        >>> window, mask = fill([Region((make_rectangle(1, 2, 3, 1),))], (9, 9))
        >>> window, mask.tolist()
        ((slice(2, 3, None), slice(1, 4, None)), [[True, True, True]])
    """
    corners = np.concatenate([ring for region in regions for ring in region.rings])
    sizes = np.array(shape[::-1])
    low = np.clip(np.floor(corners.min(axis=0)), 0, sizes).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)), low, sizes).astype(int)
    window = (slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])))
    mask = np.zeros((window[0].stop - window[0].start, window[1].stop - window[1].start), bool)
    for region in regions:
        inside = _even_odd(region.rings, window)
        for hole in region.holes:
            inside &= ~_even_odd([hole], window)
        mask |= inside
    return window, mask


def _even_odd(rings: Sequence[Array], window: tuple[slice, slice]) -> Array:
    """Whether each center of a window has an odd number of edges on its left."""
    rows, columns = window
    crossings = np.zeros((rows.stop - rows.start, columns.stop - columns.start + 1), np.uint8)
    for ring in rings:
        row, x = _crossings(ring, rows)
        # The first column whose center is not left of the crossing; one behind the last takes those that are right.
        first = np.clip(np.ceil(x - 0.5), columns.start, columns.stop).astype(int)
        np.add.at(crossings, (row - rows.start, first - columns.start), 1)
    inside: Array = np.logical_xor.accumulate(crossings[:, :-1] & 1, axis=1)
    return inside


def _crossings(ring: Array, rows: slice) -> tuple[Array, Array]:
    """Where the edges of a ring cross the center lines of rows: row numbers and x."""
    edges = np.stack([ring, np.roll(ring, -1, axis=0)], axis=1)
    # Every edge downwards, so that two neighbors compute the same crossing of their common edge to the last bit.
    flip = edges[:, 0, 1] > edges[:, 1, 1]
    edges[flip] = edges[flip, ::-1]
    start, stop = (np.clip(np.ceil(edges[:, i, 1] - 0.5), rows.start, rows.stop).astype(int) for i in (0, 1))
    counts = stop - start
    first = np.repeat(start - np.cumsum(counts) + counts, counts)
    row = first + np.arange(counts.sum())
    (x, y), (other_x, other_y) = np.repeat(edges, counts, axis=0).transpose(1, 2, 0)
    return row, x + (row + 0.5 - y) * (other_x - x) / (other_y - y)


def flatten_path(path: Array) -> tuple[Array, ...]:
    """The rings of a path of lines and Bezier curves, as Java stores it and ImageJ after it.

    Args:
        path: Numbers in a row: 0 (move), 1 (line), 2 (quadratic), 3 (cubic) or 4 (close), each followed by 1, 1, 2,
            3 or 0 points.

    Returns:
        Rings, curves as 64 lines each.

    Raises:
        ValueError: The numbers are no such path.

    Example:
        >>> [len(ring) for ring in flatten_path(np.array([0, 0, 0, 1, 4, 0, 1, 4, 4, 4.0]))]
        [3]
    """
    rings: list[list[Array]] = []
    position = 0
    while position < len(path):
        command = path[position]
        count = {0: 1, 1: 1, 2: 2, 3: 3, 4: 0}.get(command, -1)
        points = path[position + 1 : position + 1 + 2 * count].reshape(-1, 2)
        if count != len(points) or (command != 0 and not rings):
            raise ValueError("is a path that breaks off or has an unknown command")
        if command == 0:
            rings.append([points[0]])
        elif count:
            rings[-1].extend(_bezier(np.stack([rings[-1][-1], *points])))
        position += 1 + 2 * count
    return tuple(make_ring(ring) for ring in rings)


def _bezier(control: Array) -> Array:
    """Points on a Bezier curve without its first, by de Casteljau's repeated interpolation."""
    steps = 1 if len(control) == 2 else 64
    share = np.arange(1, steps + 1)[:, None] / steps
    curve = [np.broadcast_to(point, (steps, 2)) for point in control]
    while len(curve) > 1:
        curve = [a + share * (b - a) for a, b in pairwise(curve)]
    return curve[0]
