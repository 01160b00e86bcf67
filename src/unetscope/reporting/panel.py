"""A network drawn as a U with a number in every layer; knows layouts and colors, not where the numbers come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patches import FancyBboxPatch
from matplotlib.patheffects import withStroke

from unetscope.reporting.palette import INK as INK
from unetscope.reporting.palette import LINE as LINE
from unetscope.reporting.palette import Stroke
from unetscope.reporting.placement import Layout, Place, assign_lanes
from unetscope.wiring import Wiring

COLORS, SIGNED_COLORS = "viridis", "PuOr_r"
HATCH = "//////"
BRIDGE = "#b4b4b4"
DARKEST_PAPER = 0.177  # relative luminance below which text is white: the contrast is at least 4.5 : 1 on either side
LONGEST_NAME, LONGEST_GROUP = 7, 11  # characters that fit a block, and the room beside a row
LANE = 0.17  # inches from one bridge to the next above it, at most
FINE = 0.2  # bits; where the ceiling is lower, numbers have a third digit

Point = tuple[float, float]


@dataclass(frozen=True)
class Flow:
    """How the line from a source to the layer that reads it is drawn, where it matters.

    Attributes:
        stroke: Color and dashes.
        texts: What stands at it: a number, and how well it is known.
        blocked: It carries nothing; it is crossed out.
    """

    stroke: Stroke
    texts: tuple[str, str]
    blocked: bool = False


@dataclass(frozen=True)
class Panel:
    """Numbers to draw at the layers.

    Attributes:
        title: What they are.
        bits: One for each layer; a layer without one is drawn empty.
        ceiling: The most that they can be, bits.
        void: Layers whose number says nothing, or not enough; they are hatched.
        hollow: Layers whose number proves nothing; they have no color.
        notes: What stands below the numbers.
        flows: Lines that are more than lines, by source and layer.
        signed: Whether numbers may be negative, at most as far as the ceiling.
    """

    title: str
    bits: Mapping[str, float]
    ceiling: float
    void: frozenset[str] = frozenset()
    hollow: frozenset[str] = frozenset()
    notes: Mapping[str, str] = field(default_factory=dict)
    flows: Mapping[tuple[str, str], Flow] = field(default_factory=dict)
    signed: bool = False

    @property
    def range(self) -> Normalize:
        """From the least to the greatest number that has a color of its own."""
        ceiling = self.ceiling or 1
        return Normalize(-ceiling if self.signed else 0, ceiling, clip=True)

    @property
    def colors(self) -> str:
        """The name of its range of colors."""
        return SIGNED_COLORS if self.signed else COLORS

    def write(self, layer: str) -> str:
        """The number of a layer, as it is written."""
        return format_bits(self.bits[layer], self.ceiling)


@dataclass(frozen=True)
class Scale:
    """How large a picture is, in inches.

    Attributes:
        column: From one block to the next.
        row: From one row to the next.
        width: Width of a block.
        height: Height of a block.
        room: Left and right of the blocks, for the names of groups.
        named: Whether blocks and groups carry names.
        numbered: Whether blocks carry their numbers.
    """

    column: float
    row: float
    width: float
    height: float
    room: float
    named: bool
    numbered: bool = True

    def size(self, layout: Layout) -> tuple[float, float]:
        """Width and height of a layout's picture."""
        return layout.columns * self.column + 2 * self.room, (layout.rows + 0.1) * self.row

    def center(self, place: Place) -> Point:
        """The middle of a block, from the picture's lower left corner if rows counted upwards."""
        return self.room + (place.column + 0.5) * self.column, -(place.row + 1) * self.row + self.height / 2

    @property
    def gap(self) -> float:
        """Between the blocks of two rows."""
        return self.row - self.height

    def bridge(self, lane: int) -> float:
        """How high above the blocks a bridge stands."""
        return min(0.3 * self.gap, 0.13) + lane * min(0.25 * self.gap, LANE)


LARGE = Scale(column=0.47, row=0.72, width=0.43, height=0.40, room=0.70, named=True)
SMALL = Scale(column=0.305, row=0.36, width=0.29, height=0.20, room=0.03, named=False)


def draw_panel(axes: Axes, wiring: Wiring, layout: Layout, panel: Panel, scale: Scale) -> None:
    """Draw one picture into axes whose unit is the inch.

    Args:
        axes: As large as `scale.size` says.
        wiring: What feeds what.
        layout: Where the layers stand.
        panel: The numbers.
        scale: How large.
    """
    width, height = scale.size(layout)
    axes.set(xlim=(0, width), ylim=(-height, 0), xticks=(), yticks=())
    axes.set_axis_off()
    axes.set_title(panel.title, fontsize=9 if scale.named else 7.5, color=INK, loc="left")
    _draw_connections(axes, wiring, layout, panel, scale)
    for layer, place in layout.places.items():
        _draw_block(axes, scale, place, panel, layer)
    if scale.named:
        _draw_group_names(axes, layout, scale)


def format_bits(bits: float, ceiling: float) -> str:
    """A number as it stands in a block, with as many digits as it takes.

    Example:
        >>> format_bits(0.314, 0.6), format_bits(0.0314, 0.06), format_bits(-0.001, 0.6)
        ('0.31', '0.031', '0.00')
    """
    digits = 3 if 0 < ceiling < FINE else 2
    text = f"{bits:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def name_block(layer: str) -> str:
    """What is written in a block: the end of the layer's name; its beginning stands beside the row.

    Example:
        >>> name_block("encoder.0.conv1"), name_block("head")
        ('conv1', 'head')
    """
    return shorten(layer.rpartition(".")[2], LONGEST_NAME)


def name_group(layers: Iterable[str], longest: int = LONGEST_GROUP) -> str:
    """What is written beside a row: the beginnings of its layers' names.

    Example:
        >>> name_group(["image", "encoder.0.conv1", "encoder.0.conv2"])
        'encoder.0'
    """
    beginnings = [layer.rpartition(".")[0] for layer in layers]
    return shorten(", ".join(dict.fromkeys(filter(None, beginnings))), longest)


def shorten(text: str, longest: int) -> str:
    """Text of at most `longest` characters, its middle left out.

    Example:
        >>> shorten("maxpool_conv", 7)
        'max\u2026onv'
    """
    kept = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[: longest - 1 - kept]}\u2026{text[-kept:]}"


def _draw_group_names(axes: Axes, layout: Layout, scale: Scale) -> None:
    """To the left of a row on the left, otherwise to its right."""
    beside = scale.width / 2 + 0.06
    for row, side in dict.fromkeys((place.row, place.side) for place in layout.places.values()):
        group = {layer: place for layer, place in layout.places.items() if (place.row, place.side) == (row, side)}
        (first, y), *_, (last, _) = [scale.center(place) for place in (*group.values(), *group.values())]
        x, align = (first - beside, "right") if side == "left" else (last + beside, "left")
        name = name_group(group, LONGEST_GROUP if row == 0 or side != "middle" else 2 * LONGEST_GROUP)
        axes.text(x, y, name, ha=align, va="center", fontsize=7, color=LINE)


def _draw_block(axes: Axes, scale: Scale, place: Place, panel: Panel, layer: str) -> None:
    x, y = scale.center(place)
    colored = layer in panel.bits and layer not in panel.hollow
    paper, ink = choose_colors(panel.bits[layer], panel.range, panel.colors) if colored else ("white", INK)
    edge = {"edgecolor": INK if layer in panel.bits else BRIDGE, "linewidth": 0.6 if colored else 1.0}
    _draw_box(axes, scale, (x, y), facecolor=paper, zorder=3, **edge)
    if layer in panel.void:
        hatching = {"edgecolor": ink, "alpha": 0.35, "linewidth": 0, "hatch": HATCH}
        _draw_box(axes, scale, (x, y), facecolor="none", zorder=4, **hatching)
    _write_lines(axes, (x, y), _lines(panel, scale, layer), scale.height, (paper, ink))


def _lines(panel: Panel, scale: Scale, layer: str) -> list[tuple[str, bool]]:
    """What stands in a block, from the top: name, number, note; and which of it is the number."""
    number = [(panel.write(layer), True)] if scale.numbered and layer in panel.bits else []
    if not scale.named:
        return number
    return [(name_block(layer), False), *number, *((panel.notes[one], False) for one in [layer] if one in panel.notes)]


def _write_lines(
    axes: Axes, center: Point, lines: Sequence[tuple[str, bool]], height: float, colors: tuple[str, str]
) -> None:
    """Lines one below the other around the middle of a block; the number among several is bold."""
    spacing = height * (0.4 if len(lines) < 3 else 0.29)
    paper, ink = colors
    for index, (text, is_number) in enumerate(lines):
        bold = is_number and len(lines) > 1
        style: dict[str, Any] = {"fontsize": 8.5, "fontweight": "bold"} if bold else {"fontsize": 7}
        halo = [withStroke(linewidth=2.2, foreground=paper)]
        y = center[1] + spacing * ((len(lines) - 1) / 2 - index)
        axes.text(center[0], y, text, color=ink, path_effects=halo, zorder=5, ha="center", va="center", **style)


def _draw_box(axes: Axes, scale: Scale, center: Point, **style: Any) -> None:
    corner = (center[0] - scale.width / 2, center[1] - scale.height / 2)
    rounded = f"round,pad=0,rounding_size={scale.height / 7}"
    axes.add_patch(FancyBboxPatch(corner, scale.width, scale.height, rounded, **style))


def choose_colors(bits: float, span: float | Normalize, colors: str = COLORS) -> tuple[str, str]:
    """The color of a block, and of the text that can be read on it.

    Args:
        bits: The number in the block.
        span: Range of numbers that have colors, or its upper end.
        colors: Name of the range of colors.

    Source:
        Relative luminance and contrast: Web Content Accessibility Guidelines 2.1.

    Example:
        >>> choose_colors(0.0, 1.0), choose_colors(1.0, 1.0)
        (('#440154', 'white'), ('#fde725', 'black'))
    """
    span = span if isinstance(span, Normalize) else Normalize(0, span or 1, clip=True)
    paper = matplotlib.colormaps[colors](span(bits))[:3]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in paper)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return matplotlib.colors.to_hex(paper), "white" if luminance < DARKEST_PAPER else "black"


def _draw_connections(axes: Axes, wiring: Wiring, layout: Layout, panel: Panel, scale: Scale) -> None:
    """A line for every source of every layer."""
    lanes = assign_lanes(wiring, layout)
    for layer, sources in wiring.sources.items():
        for source in sources:
            ends = layout.places[source], layout.places[layer]
            is_direct = layout.are_neighbors(source, layer)
            points = trace_line(scale, ends, is_direct, lanes.get((source, layer), 0))
            flow = panel.flows.get((source, layer))
            if flow:
                _draw_flow(axes, _uncover(points, scale), flow)
            else:
                is_bridge = ends[0].row == ends[1].row and not is_direct
                _draw_line(axes, points, Stroke(BRIDGE) if is_bridge else Stroke(LINE, width=0.8))


def trace_line(scale: Scale, ends: tuple[Place, Place], is_direct: bool, lane: int) -> list[Point]:
    """The corners of a line from block to block.

    Args:
        scale: How large the picture is.
        ends: The blocks.
        is_direct: Whether the line may run straight from the one to the other.
        lane: How high it stands as a bridge.

    Returns:
        Straight between neighbors, otherwise a bridge above the row, or a step between two rows.
    """
    source, target = ends
    (x, y), (end_x, end_y) = scale.center(source), scale.center(target)
    half = scale.height / 2
    if is_direct:
        return [(x, y), (end_x, end_y)]
    if source.row == target.row:
        above = y + half + scale.bridge(lane)
        return [(x, y + half), (x, above), (end_x, above), (end_x, end_y + half)]
    down = target.row > source.row
    start, end = (y - half, end_y + half) if down else (y + half, end_y - half)
    between = (end if down else start) + 0.66 * scale.gap
    return [(x, start), (x, between), (end_x, between), (end_x, end)]


def _uncover(points: list[Point], scale: Scale) -> list[Point]:
    """A straight line without its ends, which lie below the blocks; other lines as they are."""
    if len(points) > 2:
        return points
    (x, y), (end_x, end_y) = points
    return [(x + scale.width / 2, y), (end_x - scale.width / 2, end_y)]


def _draw_line(axes: Axes, points: Iterable[Point], stroke: Stroke) -> None:
    x, y = zip(*points, strict=True)
    style: dict[str, Any] = {"color": stroke.color, "linewidth": stroke.width, "linestyle": stroke.style}
    axes.plot(x, y, solid_joinstyle="round", zorder=1, **style)


def _draw_flow(axes: Axes, points: list[Point], flow: Flow) -> None:
    """A line with an arrowhead where it ends, a cross on it if it is blocked, and its texts."""
    _draw_line(axes, points, flow.stroke)
    (_, before_y), (x, y) = points[-2:]
    marker, dx, dy = (">", -0.035, 0) if before_y == y else ("v", 0, 0.035) if before_y > y else ("^", 0, -0.035)
    axes.plot(x + dx, y + dy, marker, color=flow.stroke.color, markersize=5, markeredgewidth=0, zorder=2)
    _write_flow(axes, points, flow)
    if flow.blocked:
        (left, level), (right, _) = points[-3:-1] if len(points) > 2 else points
        axes.plot((left + right) / 2, level, "X", color=flow.stroke.color, markersize=6, markeredgewidth=0, zorder=2)


def _write_flow(axes: Axes, points: list[Point], flow: Flow) -> None:
    """Above and below a straight line, above the middle of a bridge, beside the end of a step."""
    halo = [withStroke(linewidth=2.2, foreground="white")]
    style: dict[str, Any] = {"fontsize": 7, "color": INK, "path_effects": halo, "zorder": 2}
    if len(points) == 2:
        (left, y), (right, _) = points
        for text, rise, align in zip(flow.texts, (0.05, -0.05), ("bottom", "top"), strict=True):
            axes.text((left + right) / 2, y + rise, text, ha="center", va=align, **style)
        return
    _, (x, level), (end_x, end_level), (_, end) = points
    is_bridge = level == end_level and points[0][1] == end
    if is_bridge:
        axes.text((x + end_x) / 2, level + 0.03, " ".join(flow.texts), ha="center", va="bottom", **style)
    else:
        axes.text(end_x + 0.05, (end + level) / 2, " ".join(flow.texts), ha="left", va="center", **style)
