"""Where the layers of any network stand when it is drawn as a U; knows wirings and numbers, neither colors nor paper.

One row per resolution, the finest on top. What comes before the coarsest row stands on the left, what comes after it on
the right, the coarsest row itself in the middle below. Columns and rows count blocks, from the left and the top.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


def place_layers(wiring: Wiring) -> Layout:
    """Lay a network out as a U.

    Args:
        wiring: Any network's.

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
        start = _start(side, len(group), GAP / 2 + INDENT * (deepest - 1 - row))
        columns.update((layer, start + index) for index, layer in enumerate(group))
    first = min(columns.values())
    places = {layer: Place(columns[layer] - first, rows[layer], sides[layer]) for layer in rows}
    return Layout(places, max(columns.values()) + 1 - first, deepest + 1)


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


def _start(side: Side, count: int, inset: float) -> float:
    """The column of the first of `count` blocks, counted from the middle of the U."""
    return {"left": -inset - count, "middle": -count / 2, "right": inset}[side]
