"""Corners of lines of level and upright pieces: which are turns, and how they are rounded; knows points alone."""

from __future__ import annotations

from collections.abc import Sequence
from math import dist

Point = tuple[float, float]

ROUNDING = 7.0  # units, of the corners of lines
TINY = 1e-6  # units that count as none


def straighten(points: Sequence[Point]) -> list[Point]:
    """The points at which a line turns, with its ends.

    Example:
        >>> straighten([(0, 0), (5, 0), (9, 0), (9, 4)])
        [(0, 0), (9, 0), (9, 4)]
    """
    kept = [points[0]]
    for point in points[1:]:
        if any(_lie_in_line(axis, *kept[-2:], point) for axis in (0, 1)):
            kept.pop()
        kept.append(point)
    return kept


def bend(corners: Sequence[Point]) -> list[tuple[Point, Point, Point]]:
    """Where a line with rounded corners leaves each corner's straight pieces, with the corner between the two places.

    Example:
        >>> bend([(0, 0), (20, 0), (20, 20)])
        [((13.0, 0.0), (20, 0), (20.0, 7.0))]
    """
    bends: list[tuple[Point, Point, Point]] = []
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        radius = min(ROUNDING, dist(before, corner) / 2, dist(corner, after) / 2)
        bends.append((_toward(corner, before, radius), corner, _toward(corner, after, radius)))
    return bends


def _lie_in_line(axis: int, *points: Point) -> bool:
    """Whether the middle one of three points is no turn; of two, whether they are one."""
    others = {0, 1} if len(points) == 2 else {axis}
    return all(abs(point[one] - points[0][one]) < TINY for point in points for one in others)


def _toward(start: Point, end: Point, length: float) -> Point:
    """The point so far from one towards another."""
    share = length / (dist(start, end) or 1.0)
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])
