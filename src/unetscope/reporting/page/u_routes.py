"""How lines run between the blocks of a U: through the corridors above its rows; knows columns, not heights.

Texts stand below blocks, so that a block can be entered from above and on its left, and left from above and on its
right. Level pieces of a line run in the corridor above a row, each in a lane of its own; upright pieces pass a row
where no layer stands. A line therefore covers neither a block nor a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from unetscope.reporting.page.u_columns import GAP, Columns
from unetscope.reporting.placement import Layout
from unetscope.wiring import IMAGE, Wiring

Kind = Literal["skip", "up", "plain"]
Way = Literal["beside", "bridge", "down", "up"]

PORT = 6.0  # units between two lines at the top of a block, at most
APART = 6.0  # units between two level pieces in one lane, at least
BESIDE, ASIDE = 3.0, 8.0  # units between two lines in one gap, at most, and where there is room
OUTSIDE = 12.0  # units to a line that runs around everything
NEAR = 0.01  # units that count as none


@dataclass(frozen=True)
class Link:
    """A layer and one of those that it reads.

    Attributes:
        source: The layer that is read.
        reader: The layer that reads it.
        kind: "up" for the latest of several sources, "skip" for the others, "plain" for a single one.
    """

    source: str
    reader: str
    kind: Kind


@dataclass(frozen=True)
class Port:
    """Where a line meets a block.

    Attributes:
        x: Units from the left.
        share: How far down the block's side, as a share of its height; 0 is its top.
    """

    x: float
    share: float


@dataclass(frozen=True)
class Leg:
    """A level piece of a line; one without length is a place where the line passes straight through a corridor.

    Attributes:
        corridor: The row above which it runs.
        start: Where it begins, units from the left.
        end: Where it ends.
    """

    corridor: int
    start: float
    end: float

    @property
    def ends(self) -> tuple[float, float]:
        """Its left and its right end."""
        return min(self.start, self.end), max(self.start, self.end)

    @property
    def length(self) -> float:
        """Units from one end to the other; 0 where they are as good as one."""
        length = abs(self.end - self.start)
        return length if length > NEAR else 0.0


@dataclass(frozen=True)
class Route:
    """The way of a line: out of one block, along its legs and the upright pieces between them, into another.

    Attributes:
        link: What it joins.
        leaving: Where it starts.
        entering: Where it ends.
        legs: Its level pieces in order; none where the blocks stand side by side.
    """

    link: Link
    leaving: Port
    entering: Port
    legs: tuple[Leg, ...] = ()


def list_links(wiring: Wiring) -> list[Link]:
    """Every line of a network.

    Example:
        >>> wiring = Wiring({"a": ("image",), "b": ("a",), "c": ("b", "a")}, {}, {})
        >>> [(link.source, link.reader, link.kind) for link in list_links(wiring)]
        [('image', 'a', 'plain'), ('a', 'b', 'plain'), ('b', 'c', 'up'), ('a', 'c', 'skip')]
    """
    order = (IMAGE, *wiring.layers)
    links: list[Link] = []
    for reader, several in wiring.sources.items():
        sources = list(dict.fromkeys(several))
        latest = max(sources, key=order.index)
        kinds: dict[str, Kind] = {source: "up" if source == latest else "skip" for source in sources}
        links += [Link(source, reader, kinds[source] if len(sources) > 1 else "plain") for source in sources]
    return links


def find_routes(wiring: Wiring, layout: Layout, columns: Columns) -> list[Route]:
    """A way for every line.

    Args:
        wiring: What feeds what.
        layout: The rows of the layers.
        columns: Where they stand from left to right.

    Returns:
        The ways, in the order of the layers that read.
    """
    return _Router(list_links(wiring), layout, columns).find_routes()


def assign_corridor_lanes(routes: Sequence[Route]) -> dict[tuple[Link, int], int]:
    """A lane for every leg that has a length, so that no two in a corridor touch.

    Args:
        routes: All lines.

    Returns:
        For each line and number of a leg its lane: 0 is the lowest, and short legs are low.
    """
    legs = [(route.link, number, leg) for route in routes for number, leg in enumerate(route.legs) if leg.length]
    lanes: dict[tuple[Link, int], int] = {}
    placed: list[tuple[Leg, int]] = []
    for link, number, leg in sorted(legs, key=lambda one: one[2].length):
        taken = {lane for other, lane in placed if _touch(leg, other)}
        lane = next(lane for lane in range(len(legs)) if lane not in taken)
        lanes[link, number] = lane
        placed.append((leg, lane))
    return lanes


def _touch(one: Leg, other: Leg) -> bool:
    """Whether two legs would touch in one lane."""
    (left, right), (start, end) = one.ends, other.ends
    return one.corridor == other.corridor and left < end + APART and start < right + APART


class _Router:
    """Finds the ways of all lines of a network, which share ports and gaps."""

    def __init__(self, links: Sequence[Link], layout: Layout, columns: Columns) -> None:
        self.links, self.layout, self.columns = links, layout, columns
        self.ways = {link: self._choose_way(link) for link in links}

    def find_routes(self) -> list[Route]:
        return [Route(link, self._leave(link), self._enter(link), self._list_legs(link)) for link in self.links]

    def _choose_way(self, link: Link) -> Way:
        if self.layout.are_neighbors(link.source, link.reader):
            return "beside"
        rise = self._row(link.source) - self._row(link.reader)
        return "bridge" if rise == 0 else "up" if rise > 0 else "down"

    def _row(self, layer: str) -> int:
        return self.layout.places[layer].row

    def _leaves_at_top(self, link: Link) -> bool:
        return self.ways[link] == "up" and link.kind != "skip"

    # ------------------------------------------------------------------------------------------------------- ports

    def _leave(self, link: Link) -> Port:
        """From the top into the row above; otherwise on the right: above what goes down, below what goes up."""
        if self._leaves_at_top(link):
            return Port(self._find_top(link.source, None), 0.0)
        used = {self._heading(other) for other in self.links if other.source == link.source}
        order = sorted(used - {None}, key=("rising", "level", "sinking").index)
        share = (order.index(self._heading(link)) + 1) / (len(order) + 1)
        return Port(self._edge(link.source, 1), share)

    def _heading(self, link: Link) -> str | None:
        """Where a line goes that leaves on the right."""
        if self._leaves_at_top(link):
            return None
        return {"beside": "level", "down": "sinking"}.get(self.ways[link], "rising")

    def _enter(self, link: Link) -> Port:
        """From above what comes from above or over a bridge; on the left what comes from beside or from below."""
        if self.ways[link] in ("bridge", "down"):
            return Port(self._find_top(link.reader, link), 0.0)
        others = [one for one in self.links if one.reader == link.reader and self.ways[one] in ("beside", "up")]
        others.sort(key=lambda one: self.ways[one] != "beside")
        return Port(self._edge(link.reader, -1), (others.index(link) + 1) / (len(others) + 1))

    def _find_top(self, layer: str, link: Link | None) -> float:
        """Where a line meets the top of a block: those that arrive from the left on, those that leave (None) last."""
        arriving: list[Link | None] = [
            one for one in self.links if one.reader == layer and self.ways[one] in ("bridge", "down")
        ]
        arriving.sort(key=lambda one: self.columns.slots[one.source].center if one else 0.0)
        leaving: list[Link | None] = [None for one in self.links if one.source == layer and self._leaves_at_top(one)]
        all_lines = arriving + leaving[:1]
        step = min(PORT, (self.columns.widths[layer] - 2) / len(all_lines))
        return self.columns.slots[layer].center + step * (all_lines.index(link) - (len(all_lines) - 1) / 2)

    def _edge(self, layer: str, side: int) -> float:
        """The left (-1) or right (1) edge of a block."""
        return self.columns.slots[layer].center + side * self.columns.widths[layer] / 2

    # -------------------------------------------------------------------------------------------------------- legs

    def _list_legs(self, link: Link) -> tuple[Leg, ...]:
        way, start, end = self.ways[link], self._row(link.source), self._row(link.reader)
        if way == "beside":
            return ()
        if way == "bridge":
            return (Leg(end, self._rise(link.source), self._enter(link).x),)
        if way == "down":
            target = self._enter(link).x
            return self._pass(self._find_upright(link, target), target, range(start + 1, end), start + 1, end)
        leaving = self._leave(link)
        x = leaving.x if leaving.share == 0 else self._rise(link.source)
        return self._pass(x, self._find_upright(link, x), range(end + 1, start), start, end + 1)

    def _pass(self, x: float, end: float, rows: range, first: int, last: int) -> tuple[Leg, ...]:
        """From one corridor to another through the rows between them, straight where nothing stands in the way."""
        if first == last:
            return (Leg(first, x, end),)
        free = self._find_free(rows, x)
        return Leg(first, x, free), Leg(last, free, end)

    def _rise(self, source: str) -> float:
        """Where a line goes up that has left a block on the right."""
        return self.columns.slots[source].right + GAP / 2

    def _find_upright(self, link: Link, wanted: float) -> float:
        """Where a line passes the texts of its lower or upper end: as wanted if that lies in the gap beside the layer.

        The gap is to the right of a source that is left downwards, and to the left of a layer that is read from below.
        """
        middle = self._gap(link)
        if abs(wanted - middle) <= GAP / 2 - 1:
            return wanted
        row, users = self._find_end(link)[0], [one for one in self.links if self._find_end(one) == self._find_end(link)]
        users.sort(key=lambda one: one.kind == "skip")
        place, outward = users.index(link), 1 if self.ways[link] == "down" else -1
        if self._is_open(row, middle, middle + outward * (ASIDE * len(users) + GAP)):
            return middle + outward * ASIDE * place
        return middle + min(BESIDE, (GAP - 2) / len(users)) * (place - (len(users) - 1) / 2)

    def _find_end(self, link: Link) -> tuple[int, float]:
        """Row and middle of the gap that a line passes beside its upper end; nowhere if it stays in one row."""
        if self.ways[link] not in ("down", "up"):
            return -1, 0.0
        return self._row(link.source if self.ways[link] == "down" else link.reader), round(self._gap(link), 3)

    def _is_open(self, row: int, start: float, end: float) -> bool:
        """Whether no layer of a row stands between two places."""
        left, right = min(start, end), max(start, end)
        slots = [self.columns.slots[layer] for layer, place in self.layout.places.items() if place.row == row]
        return not any(slot.left < right and left < slot.right for slot in slots)

    def _gap(self, link: Link) -> float:
        slots = self.columns.slots
        return slots[link.source].right + GAP / 2 if self.ways[link] == "down" else slots[link.reader].left - GAP / 2

    def _find_free(self, rows: range, wanted: float) -> float:
        """The nearest place where no layer stands in any of some rows."""
        slots = [self.columns.slots[layer] for layer, place in self.layout.places.items() if place.row in rows]
        edges = [edge for slot in slots for edge in (slot.left - GAP / 2, slot.right + GAP / 2)]
        everywhere = self.columns.slots.values()
        outside = [min(slot.left for slot in everywhere) - OUTSIDE, max(slot.right for slot in everywhere) + OUTSIDE]
        free = [x for x in (wanted, *edges, *outside) if not any(slot.left - 1 < x < slot.right + 1 for slot in slots)]
        return min(free, key=lambda x: abs(x - wanted))
