"""A network drawn as a U with a number in every layer; knows layouts and colors, not where the numbers come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patches import FancyBboxPatch
from matplotlib.patheffects import withStroke

from unetscope.reporting.placement import Layout, Place
from unetscope.wiring import Wiring

COLORS = "viridis"
HATCH = "//////"
INK, LINE, BRIDGE = "#222222", "#6e6e6e", "#b4b4b4"
DARKEST_PAPER = 0.43  # luminance below which white text has more contrast, at least 4.5 : 1
LONGEST_NAME, LONGEST_GROUP = 7, 11  # characters that fit a block, and the room beside a row


@dataclass(frozen=True)
class Panel:
    """Numbers to draw at the layers.

    Attributes:
        title: What they are.
        bits: One for each layer.
        ceiling: The most that they can be, bits.
        void: Layers whose number says nothing; they are hatched.
    """

    title: str
    bits: Mapping[str, float]
    ceiling: float
    void: frozenset[str] = frozenset()


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
    """

    column: float
    row: float
    width: float
    height: float
    room: float
    named: bool

    def size(self, layout: Layout) -> tuple[float, float]:
        """Width and height of a layout's picture."""
        return layout.columns * self.column + 2 * self.room, (layout.rows + 0.1) * self.row

    def center(self, place: Place) -> tuple[float, float]:
        """The middle of a block, from the picture's lower left corner if rows counted upwards."""
        return self.room + (place.column + 0.5) * self.column, -(place.row + 1) * self.row + self.height / 2

    @property
    def gap(self) -> float:
        """Between the blocks of two rows."""
        return self.row - self.height


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
    _draw_connections(axes, wiring, layout, scale)
    for layer, place in layout.places.items():
        _draw_block(axes, scale, place, panel, layer)
    if scale.named:
        _draw_group_names(axes, layout, scale)


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
    paper, ink = choose_colors(panel.bits[layer], panel.ceiling)
    _draw_box(axes, scale, (x, y), facecolor=paper, edgecolor=INK, linewidth=0.6, zorder=3)
    if layer in panel.void:
        hatching = {"edgecolor": ink, "alpha": 0.35, "linewidth": 0, "hatch": HATCH}
        _draw_box(axes, scale, (x, y), facecolor="none", zorder=4, **hatching)
    shift = scale.height / 5 if scale.named else 0.0
    size, weight = (8.5, "bold") if scale.named else (7, "normal")
    style: dict[str, Any] = {
        "color": ink,
        "path_effects": [withStroke(linewidth=2.2, foreground=paper)],
        "zorder": 5,
        "ha": "center",
    }
    axes.text(x, y - shift, f"{panel.bits[layer]:.2f}", va="center", fontsize=size, fontweight=weight, **style)
    if scale.named:
        axes.text(x, y + shift, name_block(layer), va="center", fontsize=7, **style)


def _draw_box(axes: Axes, scale: Scale, center: tuple[float, float], **style: Any) -> None:
    corner = (center[0] - scale.width / 2, center[1] - scale.height / 2)
    rounded = f"round,pad=0,rounding_size={scale.height / 7}"
    axes.add_patch(FancyBboxPatch(corner, scale.width, scale.height, rounded, **style))


def choose_colors(bits: float, ceiling: float) -> tuple[str, str]:
    """The color of a block, and of the text that can be read on it.

    Example:
        >>> choose_colors(0.0, 1.0), choose_colors(1.0, 1.0)
        (('#440154', 'white'), ('#fde725', 'black'))
    """
    red, green, blue, _ = matplotlib.colormaps[COLORS](Normalize(0, ceiling or 1, clip=True)(bits))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return matplotlib.colors.to_hex((red, green, blue)), "white" if luminance < DARKEST_PAPER else "black"


def _draw_connections(axes: Axes, wiring: Wiring, layout: Layout, scale: Scale) -> None:
    """A line for every source of every layer."""
    for layer, sources in wiring.sources.items():
        for source in sources:
            _connect(axes, scale, layout.places[source], layout.places[layer])


def _connect(axes: Axes, scale: Scale, source: Place, target: Place) -> None:
    """Neighbors directly, others in the same row by a bridge above it, rows by a step between them."""
    (x, y), (end_x, end_y) = scale.center(source), scale.center(target)
    half = scale.height / 2
    if source.row == target.row and 0 < target.column - source.column < 1.5:
        _draw_line(axes, [(x, y), (end_x, end_y)], LINE)
    elif source.row == target.row:
        above = y + half + 0.3 * scale.gap
        _draw_line(axes, [(x, y + half), (x, above), (end_x, above), (end_x, end_y + half)], BRIDGE)
    else:
        down = target.row > source.row
        start, end = (y - half, end_y + half) if down else (y + half, end_y - half)
        between = (end if down else start) + 0.66 * scale.gap
        _draw_line(axes, [(x, start), (x, between), (end_x, between), (end_x, end)], LINE)


def _draw_line(axes: Axes, points: Iterable[tuple[float, float]], color: str) -> None:
    x, y = zip(*points, strict=True)
    axes.plot(x, y, color=color, linewidth=1.6 if color == BRIDGE else 0.8, solid_joinstyle="round", zorder=1)
