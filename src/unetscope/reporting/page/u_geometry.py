"""A network as a U drawn to scale, as plain numbers; knows wirings and lengths, neither colors nor what is measured.

Rows are resolutions. A block is as high as its layer is fine and as wide as it has channels; below it there is room for
a number, a gauge and a name. No two of them overlap, and no line covers any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, prod

from unetscope.errors import DataError
from unetscope.reporting.page.u_columns import BARE_SLOT, GAP, SLOT, Columns, Slot, arrange_columns
from unetscope.reporting.page.u_corners import TINY, Point, straighten
from unetscope.reporting.page.u_routes import Kind, Port, Route, assign_corridor_lanes, find_routes
from unetscope.reporting.panel import name_block, shorten
from unetscope.reporting.placement import Layout, place_layers
from unetscope.wiring import IMAGE, Wiring

FULL_HEIGHT = 80.0
"""Units that a block at full resolution is high."""

LEAST_HEIGHT = 5.0
"""Units that a block is high at least, so that a coarse layer can be seen."""

LANE = 17.0  # units between two lanes of a corridor: a number fits above a bridge
LOWEST_LANE, TOP_ROOM = 12.0, 16.0  # units below the lowest lane, and above the highest
NO_LANE = 12.0  # units of a corridor without lanes
BARE = 6.0  # units below a block where nothing is written
NUMBER, GAUGE, NAME, GROUP = (5.0, 15.0), (22.0, 8.0), (33.0, 13.0), (48.0, 14.0)
"""How far below its block, and how high, everything that belongs to a layer stands, units."""

BORDER = 10.0
BRIDGE_NUMBER = 40.0  # units that a number above a bridge is wide
CHARACTER = 6.2  # units that a character of a name is wide


@dataclass(frozen=True)
class Box:
    """A rectangle, units from the upper left corner of the drawing."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.top + self.height

    @property
    def middle(self) -> float:
        """Halfway between left and right."""
        return self.left + self.width / 2

    def overlaps(self, other: Box) -> bool:
        """Whether two rectangles have more than an edge in common."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


@dataclass(frozen=True)
class Cell:
    """A layer, or the image: its block and the room for what is said of it.

    Attributes:
        layer: Its name.
        label: What is written below it: the end of its name.
        channels: How many; None where that is not known.
        stride: Image pixels per pixel of its output, per axis.
        block: The block, to scale.
        number: Room for a number.
        gauge: Room for a bar.
        name: Room for the label.
    """

    layer: str
    label: str
    channels: int | None
    stride: tuple[int, ...]
    block: Box
    number: Box
    gauge: Box
    name: Box

    @property
    def beginning(self) -> str:
        """The beginning of its name, which layers side by side share."""
        return self.layer.rpartition(".")[0]

    @property
    def whole(self) -> Box:
        """All of it."""
        left = min(self.block.left, self.number.left)
        width = max(self.block.right, self.number.right) - left
        return Box(left, self.block.top, width, self.name.bottom - self.block.top)


@dataclass(frozen=True)
class Line:
    """A connection.

    Attributes:
        source: The layer that is read.
        reader: The layer that reads it.
        kind: "up" for the latest of several sources, "skip" for the others, "plain" for a single one.
        corners: Where it starts, turns and ends.
        number: Room for a number above a skip's longest level piece; None for other kinds, and where it is too short.
    """

    source: str
    reader: str
    kind: Kind
    corners: tuple[Point, ...]
    number: Box | None


@dataclass(frozen=True)
class Group:
    """Layers side by side whose names begin alike.

    Attributes:
        text: How they begin.
        room: Room for the text, as wide as the layers.
    """

    text: str
    room: Box


@dataclass(frozen=True)
class UGeometry:
    """A network as a U.

    Attributes:
        width: Of the drawing, units.
        height: Of the drawing.
        cells: The image and every layer.
        lines: Every connection.
        groups: Beginnings of names, written once.
        per_channel: Units of width per channel; the smallest blocks are wider than that says.
    """

    width: float
    height: float
    cells: Mapping[str, Cell]
    lines: tuple[Line, ...]
    groups: tuple[Group, ...]
    per_channel: float


def arrange_u(wiring: Wiring, per_channel: float | None = None, bare: bool = False) -> UGeometry:
    """Lay a network out as a U, to scale.

    Args:
        wiring: Any network's.
        per_channel: Units of width per channel, so that several networks can be drawn alike; as large as fits about
            1000 units if None.
        bare: Leave no room for texts: a small U of blocks and lines.

    Returns:
        Where everything stands. The height of a block is `FULL_HEIGHT` divided by its stride (the geometric mean of its
        axes), `LEAST_HEIGHT` at least; its width is `per_channel` times its channels, `LEAST_WIDTH` at least.

    Raises:
        DataError: The wiring has no layers, or a layer reads one that does not come before it, or has no valid stride.

    Example:
        >>> strides = {"a": (1, 1), "b": (2, 2), "head": (1, 1)}
        >>> widths = {"image": 1, "a": 16, "b": 32, "head": 2}
        >>> u = arrange_u(Wiring({"a": ("image",), "b": ("a",), "head": ("b",)}, strides, widths))
        >>> [(cell.block.width / u.per_channel, cell.block.height) for cell in u.cells.values()][1:3]
        [(16.0, 80.0), (32.0, 40.0)]
    """
    check_wiring(wiring)
    layout = place_layers(wiring)
    columns = arrange_columns(wiring, layout, per_channel, BARE_SLOT if bare else SLOT)
    return _Builder(wiring, layout, columns, BARE if bare else sum(GROUP)).build()


def check_wiring(wiring: Wiring) -> None:
    """Refuse what cannot be drawn.

    Raises:
        DataError: The wiring has no layers, or a layer reads one that does not come before it, or has no valid stride
            or number of channels.
    """
    known = {IMAGE}
    for layer, sources in wiring.sources.items():
        if not sources or not known.issuperset(sources) or layer in known:
            raise DataError(
                f"layer {layer!r} reads {', '.join(map(repr, sources)) or 'nothing'}; a layer reads the image or "
                "layers before it: restore the file, or profile again"
            )
        if not wiring.strides.get(layer) or not all(map(_is_size, wiring.strides[layer])):
            raise DataError(
                f"layer {layer!r} has stride {wiring.strides.get(layer)}; a stride is a positive number per axis: "
                "restore the file, or profile again"
            )
        known.add(layer)
    if len(known) == 1 or not all(map(_is_size, wiring.widths.values())):
        raise DataError("the network has no layers, or layers without channels; restore the file, or profile again")


def _is_size(value: object) -> bool:
    """Whether it can be a stride or a number of channels."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value >= 1


class _Builder:
    """Finds routes between columns and puts heights to both."""

    def __init__(self, wiring: Wiring, layout: Layout, columns: Columns, below: float) -> None:
        self.wiring, self.layout, self.columns, self.below = wiring, layout, columns, below
        self.routes = find_routes(wiring, layout, columns)
        self.lanes = assign_corridor_lanes(self.routes)
        slots = [end for slot in columns.slots.values() for end in (slot.left, slot.right)]
        reached = slots + [end for route in self.routes for leg in route.legs for end in leg.ends]
        self.shift, self.width = BORDER - min(reached), max(reached) - min(reached) + 2 * BORDER
        self.tops, self.height = self._stack_rows()

    def build(self) -> UGeometry:
        cells = {layer: self._make_cell(layer) for layer in self.layout.places}
        lines = tuple(self._make_line(route) for route in self.routes)
        groups = tuple(_list_groups(cells.values(), lines)) if self.below > BARE else ()
        return UGeometry(round(self.width, 1), round(self.height, 1), cells, lines, groups, self.columns.per_channel)

    # -------------------------------------------------------------------------------------------------------- rows

    def _stack_rows(self) -> tuple[list[float], float]:
        """Where the blocks of each row begin, and where everything ends."""
        tops: list[float] = []
        y = BORDER / 2
        for row in range(self.layout.rows):
            y += self._measure_corridor(row)
            tops.append(y)
            y += self._find_height(row) + self.below
        return tops, y + BORDER / 2

    def _measure_corridor(self, row: int) -> float:
        lanes = [
            self.lanes[route.link, number]
            for route in self.routes
            for number, leg in enumerate(route.legs)
            if leg.length and leg.corridor == row
        ]
        return LOWEST_LANE + LANE * max(lanes) + TOP_ROOM if lanes else NO_LANE

    def _find_height(self, row: int) -> float:
        """The height of the blocks of a row."""
        strides = [self._stride(layer) for layer, place in self.layout.places.items() if place.row == row]
        stride = strides[-1]
        height: float = FULL_HEIGHT / prod(stride) ** (1 / len(stride))
        return max(LEAST_HEIGHT, height)

    def _stride(self, layer: str) -> tuple[int, ...]:
        axes = len(next(iter(self.wiring.strides.values())))
        return (1,) * axes if layer == IMAGE else self.wiring.strides[layer]

    # ------------------------------------------------------------------------------------------------------- cells

    def _make_cell(self, layer: str) -> Cell:
        slot, top = self.columns.slots[layer], self.tops[self.layout.places[layer].row]
        width, height = self.columns.widths[layer], self._find_height(self.layout.places[layer].row)
        block = Box(self.shift + slot.center - width / 2, top, width, height)
        rooms = (
            Box(
                self.shift + slot.left, block.bottom + below, slot.right - slot.left, high if self.below > BARE else 0.0
            )
            for below, high in (NUMBER, GAUGE, NAME)
        )
        return Cell(layer, _label(layer, slot), self.wiring.widths.get(layer), self._stride(layer), block, *rooms)

    # ------------------------------------------------------------------------------------------------------- lines

    def _make_line(self, route: Route) -> Line:
        link = route.link
        corners = tuple(straighten(list(self._trace(route))))
        return Line(link.source, link.reader, link.kind, corners, self._find_number(route))

    def _trace(self, route: Route) -> Iterator[Point]:
        """The corners of a line, some of which may lie on its straight pieces."""
        start, end = (
            self._find_port(route.link.source, route.leaving),
            self._find_port(route.link.reader, route.entering),
        )
        yield start
        x, y = start
        for number, leg in enumerate(route.legs):
            x = self.shift + leg.start
            yield x, y
            if leg.length:
                y = self._find_lane(route, number)
                yield x, y
                x = self.shift + leg.end
                yield x, y
        if not route.legs:
            x = (start[0] + end[0]) / 2
            yield x, y
        yield x, end[1]
        yield end

    def _find_port(self, layer: str, port: Port) -> Point:
        row = self.layout.places[layer].row
        return self.shift + port.x, self.tops[row] + port.share * self._find_height(row)

    def _find_lane(self, route: Route, number: int) -> float:
        return self.tops[route.legs[number].corridor] - LOWEST_LANE - LANE * self.lanes[route.link, number]

    def _find_number(self, route: Route) -> Box | None:
        """Room for a number above the longest level piece of a skip."""
        longest = max(range(len(route.legs)), key=lambda one: route.legs[one].length, default=None)
        if route.link.kind != "skip" or longest is None or route.legs[longest].length < BRIDGE_NUMBER:
            return None
        left, right = route.legs[longest].ends
        y = self._find_lane(route, longest)
        return Box(self.shift + (left + right - BRIDGE_NUMBER) / 2, y - 15, BRIDGE_NUMBER, 12)


def _label(layer: str, slot: Slot) -> str:
    """The end of a layer's name, as long as its columns are wide."""
    return (
        name_block(layer)
        if slot.right - slot.left < 60
        else shorten(layer.rpartition(".")[2], _fit(slot.right - slot.left))
    )


def _fit(width: float) -> int:
    """Characters of a name that fit."""
    return max(3, int(width / CHARACTER))


def _list_groups(cells: Iterable[Cell], lines: Iterable[Line]) -> Iterator[Group]:
    """Runs of layers side by side whose names begin alike, with no line between them."""
    corners = [pair for line in lines for pair in pairwise(line.corners)]
    uprights = [(x, sorted((y, end))) for (x, y), (end_x, end) in corners if abs(x - end_x) < TINY]
    runs: list[list[Cell]] = []
    for cell in sorted(cells, key=lambda one: (one.block.top, one.number.left)):
        before = runs[-1][-1] if runs else None
        if before and _go_together(before, cell) and not any(_pass(x, ys, before, cell) for x, ys in uprights):
            runs[-1].append(cell)
        else:
            runs.append([cell])
    for run in runs:
        left, bottom, width = run[0].number.left, run[0].block.bottom, run[-1].number.right - run[0].number.left
        if run[0].beginning:
            yield Group(shorten(run[0].beginning, _fit(width)), Box(left, bottom + GROUP[0], width, GROUP[1]))


def _go_together(one: Cell, other: Cell) -> bool:
    """Whether two cells stand side by side and their names begin alike."""
    is_near = one.block.top == other.block.top and other.number.left - one.number.right < GAP + TINY
    return is_near and one.beginning == other.beginning


def _pass(x: float, ends: Sequence[float], one: Cell, other: Cell) -> bool:
    """Whether an upright piece of a line passes between two cells."""
    return one.number.right < x < other.number.left and ends[0] < one.block.bottom + GROUP[0] < ends[1]
