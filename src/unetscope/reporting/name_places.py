"""Room for names beside marks on paper; knows no figures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import product
from math import cos, hypot, pi, sin

Corner = tuple[float, float]
Box = tuple[float, float, float, float]

ROOM = 3.0  # points that a name keeps from everything else
REACHES, DIRECTIONS = (8.0, 16.0, 26.0, 38.0, 52.0, 70.0), 16
"""How far from its mark, in points, and in how many directions a place for a name is looked for, the nearest first."""
ROUNDS = 3
"""How often each name is placed anew, given where the others came to lie."""
STEPS = tuple(step / 12 for step in range(1, 13))
"""Where on a line it is asked what is beside it, as shares of its length; not at the mark itself."""


def place_names(
    marks: Sequence[Corner], sizes: Sequence[tuple[float, float]], taken: Sequence[Box], frame: Box
) -> list[Box]:
    """Boxes for names near their marks that cover neither each other nor what is there already.

    A line from a mark to its name that passes another mark or name would be read as theirs; so it counts as covering.

    Args:
        marks: Where the marks are, points on paper.
        sizes: Width and height of each name.
        taken: Boxes (left, bottom, right, top) that are not to be covered.
        frame: What names must lie in.

    Returns:
        A box for each name, in their order; where no place is free, the one that covers least.

    Example:
        >>> boxes = place_names([(50, 50), (52, 50)], [(30, 8), (30, 8)], [], (0, 0, 100, 100))
        >>> boxes[0][2] < boxes[1][0] or boxes[1][2] < boxes[0][0] or boxes[0][3] < boxes[1][1]
        True
    """
    placed: dict[int, Box] = {}
    for _, (index, size) in product(range(ROUNDS), enumerate(sizes)):
        names = [box for other, box in placed.items() if other != index]
        lines = [(marks[other], nearest_point(marks[other], box)) for other, box in placed.items() if other != index]
        mark, others = marks[index], [other for other in marks if other != marks[index]]
        choices = [_box_at(mark, size, reach, direction) for reach, direction in product(REACHES, range(DIRECTIONS))]
        passed = partial(_count_passed, mark, others=others, names=names, lines=lines)
        placed[index] = min(
            choices, key=lambda box: _covers(box, (*taken, *names), frame) + size[0] * size[1] * passed(box)
        )  # the first of equals
    return [placed[index] for index in range(len(sizes))]


def _count_passed(
    mark: Corner, box: Box, others: Sequence[Corner], names: Sequence[Box], lines: Sequence[tuple[Corner, Corner]]
) -> int:
    """How many other marks, names and lines the line from a mark to its name passes."""
    line = (mark, nearest_point(mark, box))
    ways = [tuple(x + share * (y - x) for x, y in zip(*line, strict=True)) for share in STEPS]
    beside = sum(any(hypot(x - a, y - b) < ROOM for x, y in ways) for a, b in others)
    over = sum(any(left < x < right and bottom < y < top for x, y in ways) for left, bottom, right, top in names)
    return beside + over + sum(_cross(line, other) for other in lines)


def _cross(one: tuple[Corner, Corner], other: tuple[Corner, Corner]) -> bool:
    """Whether two lines cross."""

    def turns(line: tuple[Corner, Corner], point: Corner) -> float:
        (a, b), (c, d) = line
        return (c - a) * (point[1] - b) - (d - b) * (point[0] - a)

    return all(turns(line, start) * turns(line, end) < 0 for line, (start, end) in ((one, other), (other, one)))


def nearest_point(mark: Corner, box: Box) -> Corner:
    """The point of a box that is nearest to a mark."""
    return min(max(mark[0], box[0]), box[2]), min(max(mark[1], box[1]), box[3])


def _box_at(mark: Corner, size: tuple[float, float], reach: float, direction: int) -> Box:
    """The box of a name whose near edge lies so far from its mark, to the right first."""
    angle = 2 * pi * direction / DIRECTIONS
    x = mark[0] + cos(angle) * (reach + size[0] / 2)
    y = mark[1] + sin(angle) * (reach + size[1] / 2)
    return x - size[0] / 2, y - size[1] / 2, x + size[0] / 2, y + size[1] / 2


def _covers(box: Box, taken: Sequence[Box], frame: Box) -> float:
    """Area that a name and the room around it would cover of other things, and what would lie outside of the frame."""
    room = (box[0] - ROOM, box[1] - ROOM, box[2] + ROOM, box[3] + ROOM)
    own = (box[2] - box[0]) * (box[3] - box[1])
    return sum(_overlap(room, other) for other in taken) + own - _overlap(box, frame)


def _overlap(one: Box, other: Box) -> float:
    """Area that two boxes have in common."""
    width, height = (min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis]) for axis in (0, 1))
    return max(0.0, width) * max(0.0, height)
