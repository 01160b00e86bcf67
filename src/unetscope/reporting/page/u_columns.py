"""How wide the blocks of a U are and in which columns they stand; knows layouts and channels, neither rows nor lines.

Rows stand as stairs where there is room: a row on the left begins below the right end of the row above it, a row on the
right ends below the left end of the row above it, so that a line between two rows has one bend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from unetscope.reporting.placement import Layout, Side
from unetscope.wiring import IMAGE, Wiring

SLOT, BARE_SLOT = 45.0, 12.0
"""Units that a layer takes at least, since a number, a gauge and a name stand below its block; and where none do."""

GAP = 8.0  # units between two layers of a row: a line fits between their texts
BRIDGED = 64.0  # units between the two sides of a row, at least
INDENT = 12.0  # units by which a row stands further in than the row above it, where rows do not stand as stairs
LEAST_WIDTH = 5.0
"""Units that a block is wide at least, so that a narrow layer can be seen."""

WIDEST, PER_CHANNEL = 90.0, 1.5  # units that a block, and a channel, is wide at most
SCALES = 16  # tried, from the largest to the one at which the widest block fits the room that any layer has
ROOM = 1080.0
"""Units that a U may be wide; wider where its texts alone need more."""

Group = tuple[int, Side]
Arrangement = Callable[[Wiring, Layout, Mapping[str, float]], dict[str, "Slot"]]


@dataclass(frozen=True)
class Slot:
    """The columns of a layer: nothing else of its row stands between `left` and `right`."""

    left: float
    right: float

    @property
    def center(self) -> float:
        """Where its block and texts are centered."""
        return (self.left + self.right) / 2


@dataclass(frozen=True)
class Columns:
    """Where everything stands from left to right.

    Attributes:
        slots: The columns of the image and of every layer.
        widths: The width of every block, units.
        per_channel: Units that one channel is wide; blocks of fewer than `LEAST_WIDTH` units are wider than that says.
    """

    slots: Mapping[str, Slot]
    widths: Mapping[str, float]
    per_channel: float


def arrange_columns(wiring: Wiring, layout: Layout, per_channel: float | None = None, slot: float = SLOT) -> Columns:
    """Choose the largest blocks that fit the room, as stairs if these fit at all.

    Args:
        wiring: What feeds what; a layer whose channels are not known is as narrow as a block can be.
        layout: Rows, sides and order of the layers.
        per_channel: Units that one channel is wide; as large as fits if None.
        slot: Units that a layer takes at least.

    Returns:
        The columns.
    """
    scales = [per_channel] if per_channel else list_scales(wiring)
    for arrangement in (_as_stairs, _as_stack):
        for scale in scales:
            widths = {layer: max(LEAST_WIDTH, scale * wiring.widths.get(layer, 0)) for layer in layout.places}
            slots = arrangement(wiring, layout, {layer: max(slot, width) for layer, width in widths.items()})
            if _measure(slots) <= ROOM:
                return Columns(slots, widths, scale)
    return Columns(slots, widths, scale)


def list_scales(wiring: Wiring) -> list[float]:
    """Units per channel that may be tried, the largest first.

    Example:
        >>> scales = list_scales(Wiring({}, {}, {"a": 90}))
        >>> scales[0], scales[-1]
        (1.0, 0.5)
    """
    widest = max(wiring.widths.values(), default=1)
    most, least = min(PER_CHANNEL, WIDEST / widest), min(PER_CHANNEL, SLOT / widest)
    return [most - (most - least) * step / (SCALES - 1) for step in range(SCALES)]


def _measure(slots: Mapping[str, Slot]) -> float:
    """Units from the first to the last layer."""
    return max(slot.right for slot in slots.values()) - min(slot.left for slot in slots.values())


def _as_stairs(wiring: Wiring, layout: Layout, sizes: Mapping[str, float]) -> dict[str, Slot]:
    """Every row begins where the line that feeds it from another row has one bend."""
    slots: dict[str, Slot] = {}
    for (row, side), layers in sorted(_group(layout).items(), key=_in_order):
        first = layers[0]
        start = _find_start(layout, slots, first, wiring.sources.get(first, ()), sizes[first])
        others = [slots[layer].right for layer, place in layout.places.items() if place.row == row and layer in slots]
        if side == "right" and others:
            start = max(start, max(others) + BRIDGED)
        slots.update(_line_up(layers, sizes, start))
    return slots


def _find_start(layout: Layout, slots: Mapping[str, Slot], first: str, sources: tuple[str, ...], size: float) -> float:
    """Where the first layer of a row begins, by its sources in other rows; below or above these otherwise."""
    row = layout.places[first].row
    placed = [source for source in sources if source in slots]
    for source in reversed(placed):
        if layout.places[source].row < row:
            return slots[source].right + (GAP - size) / 2
        if layout.places[source].row > row:
            return slots[source].center + GAP / 2
    return max((slots[source].right for source in placed), default=0.0)


def _as_stack(wiring: Wiring, layout: Layout, sizes: Mapping[str, float]) -> dict[str, Slot]:
    """Rows stand as close to the middle of the U as they can."""
    slots: dict[str, Slot] = {}
    for (row, side), layers in _group(layout).items():
        width = sum(sizes[layer] for layer in layers) + GAP * (len(layers) - 1)
        inset = BRIDGED / 2 + INDENT * (layout.rows - 2 - row)
        start = {"left": -inset - width, "middle": -width / 2, "right": inset}[side]
        slots.update(_line_up(layers, sizes, start))
    return slots


def _line_up(layers: list[str], sizes: Mapping[str, float], start: float) -> dict[str, Slot]:
    """Layers side by side."""
    lefts = accumulate((sizes[layer] + GAP for layer in layers[:-1]), initial=start)
    return {layer: Slot(left, left + sizes[layer]) for layer, left in zip(layers, lefts, strict=True)}


def _group(layout: Layout) -> dict[Group, list[str]]:
    """The layers of each row and side, from left to right."""
    groups: dict[Group, list[str]] = {}
    for layer, place in sorted(layout.places.items(), key=lambda one: (one[0] != IMAGE, one[1].column)):
        groups.setdefault((place.row, place.side), []).append(layer)
    return groups


def _in_order(group: tuple[Group, list[str]]) -> tuple[int, int]:
    """Down the left side, through the middle, up the right side."""
    row, side = group[0]
    return ("left", "middle", "right").index(side), -row if side == "right" else row
