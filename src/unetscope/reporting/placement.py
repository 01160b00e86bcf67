"""Where the layers of any network stand when it is drawn as a U; knows wirings and numbers, neither colors nor paper.

One row per resolution, the finest on top. What comes before the coarsest row stands on the left, what comes after it on
the right, the coarsest row itself in the middle below. Columns and rows count blocks, from the left and the top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import Literal

from unetscope.wiring import IMAGE, Wiring

Side = Literal["left", "middle", "right"]

GAP = 0.9  # columns between the two sides of a row, at least
INDENT = 0.15  # columns by which a row stands further in than the row above it


@dataclass(frozen=True)
class Place:
    """Where one layer stands: column and row of its block, and on which side of the U."""

    column: float
    row: int
    side: Side


@dataclass(frozen=True)
class Layout:
    """Where all layers stand.

    Attributes:
        places: The place of the image and of every layer.
        columns: Width of the whole.
        rows: Height of the whole.
    """

    places: Mapping[str, Place]
    columns: float
    rows: int

    def are_neighbors(self, source: str, layer: str) -> bool:
        """Whether a layer stands beside its source, with nothing but paper between them."""
        start, end = self.places[source], self.places[layer]
        if (start.row, start.side) != (end.row, end.side):
            return False
        columns = (place.column for place in self.places.values() if place.row == start.row)
        return sum(start.column < column <= end.column for column in columns) == 1


def place_layers(wiring: Wiring, room: float = 0.0) -> Layout:
    """Lay a network out as a U.

    Args:
        wiring: Any network's.
        room: Columns left free between a layer that reads several sources and the one of them that it stands beside.

    Returns:
        A place for the image and every layer; no two overlap.

    Example:
        >>> strides = {"a": (1, 1), "b": (2, 2), "head": (1, 1)}
        >>> layout = place_layers(Wiring({"a": ("image",), "b": ("a",), "head": ("b",)}, strides, {}))
        >>> [(name, place.row, place.side) for name, place in layout.places.items()]
        [('image', 0, 'left'), ('a', 0, 'left'), ('b', 1, 'middle'), ('head', 0, 'right')]
    """
    rows = _rows(wiring)
    deepest = max(rows.values())
    sides = _sides(rows, deepest)
    columns: dict[str, float] = {}
    for row, side in set(zip(rows.values(), sides.values(), strict=True)):
        group = [layer for layer in rows if (rows[layer], sides[layer]) == (row, side)]
        shifts = list(accumulate(room * reads for reads in _reads_neighbor(wiring, group)))
        start = _start(side, len(group) + shifts[-1], GAP / 2 + INDENT * (deepest - 1 - row))
        columns.update((layer, start + index + shifts[index]) for index, layer in enumerate(group))
    first = min(columns.values())
    places = {layer: Place(columns[layer] - first, rows[layer], sides[layer]) for layer in rows}
    return Layout(places, max(columns.values()) + 1 - first, deepest + 1)


def assign_lanes(wiring: Wiring, layout: Layout) -> dict[tuple[str, str], int]:
    """How high each bridge has to stand, so that no two of a row cover each other.

    Args:
        wiring: What feeds what.
        layout: Where the layers stand.

    Returns:
        For every (source, layer) of one row that are no neighbors its lane: 0 is the lowest, and short bridges are low.

    Example:
        >>> strides = dict.fromkeys(("a", "b", "c", "d"), (1, 1))
        >>> sources = {"a": ("image",), "b": ("a",), "c": ("a", "b"), "d": ("image", "c")}
        >>> wiring = Wiring(sources, strides, {})
        >>> assign_lanes(wiring, place_layers(wiring))
        {('a', 'c'): 0, ('image', 'd'): 1}
    """
    spans = {
        (source, layer): (layout.places[source], layout.places[layer])
        for layer, sources in wiring.sources.items()
        for source in sources
        if layout.places[source].row == layout.places[layer].row and not layout.are_neighbors(source, layer)
    }
    lanes: dict[tuple[str, str], int] = {}
    for bridge in sorted(spans, key=lambda one: abs(spans[one][1].column - spans[one][0].column)):
        taken = {lanes[other] for other in lanes if _overlap(spans[bridge], spans[other])}
        lanes[bridge] = next(lane for lane in range(len(spans)) if lane not in taken)
    return lanes


def _overlap(one: tuple[Place, Place], other: tuple[Place, Place]) -> bool:
    """Whether two bridges of a row have more than an end in common."""
    (start, end), (begin, stop) = (sorted(place.column for place in span) for span in (one, other))
    return one[0].row == other[0].row and start < stop and begin < end


def _reads_neighbor(wiring: Wiring, group: Sequence[str]) -> list[bool]:
    """For every layer of a row whether it reads several sources, among them the layer before it in the row."""
    sources = [wiring.sources.get(layer, ()) for layer in group]
    beside = [before in of for before, of in zip(group, sources[1:], strict=False)]
    return [False, *(near and len(of) > 1 for near, of in zip(beside, sources[1:], strict=True))]


def _rows(wiring: Wiring) -> dict[str, int]:
    """The row of the image and of every layer: its rank among the resolutions."""
    pixels = {layer: prod(wiring.strides[layer]) for layer in wiring.layers}
    ranks = {size: rank for rank, size in enumerate(sorted({1, *pixels.values()}))}
    return {IMAGE: 0, **{layer: ranks[size] for layer, size in pixels.items()}}


def _sides(rows: Mapping[str, int], deepest: int) -> dict[str, Side]:
    """Left until the coarsest row is reached, right as soon as it is left."""
    order = list(rows)
    first = next(index for index, layer in enumerate(order) if rows[layer] == deepest)
    sides: dict[str, Side] = {}
    for index, layer in enumerate(order):
        sides[layer] = "left" if index < first else "middle" if rows[layer] == deepest else "right"
    return sides


def _start(side: Side, count: float, inset: float) -> float:
    """The column of the first block of a row `count` columns wide, counted from the middle of the U."""
    return {"left": -inset - count, "middle": -count / 2, "right": inset}[side]
