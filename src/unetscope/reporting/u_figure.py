"""The U of the page, to scale, for a paper: one with all its numbers, or small ones over epochs; measures nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import isfinite
from typing import Any

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath

from unetscope.information.findings import LINEAR, UNTRAINED, Part
from unetscope.information.profile import Profile
from unetscope.reporting.figures import STYLE
from unetscope.reporting.page.u_corners import Point, bend
from unetscope.reporting.page.u_geometry import Box, Cell, Line, UGeometry, arrange_u
from unetscope.reporting.palette import FAINT, INK, LINE, STROKES, Stroke
from unetscope.reporting.panel import format_bits, shorten
from unetscope.wiring import IMAGE

COLUMN, PAGE = 3.5, 7.2
"""Widths of one and of two columns of a paper, inches."""

TEXT = 6.5
"""The smallest text, points."""

LOW, HIGH = "#e3edf7", "#08478a"
"""Ends of the range of colors, as in the page's light scheme."""

COLORS = LinearSegmentedColormap.from_list("u", [LOW, HIGH])
TRACK, LEVEL, UNTOLD, TWIN = "#e8ecf0", COLORS(0.5), "#b9c2cb", "#009e73"
FULL, LEAST, MOST_POINTS = 0.47, 0.25, 0.62  # points per unit: numbers just fit; small pictures at least; at most
FINE, THIN, THICK = 0.4, 0.6, 3.0  # points, of lines: in small pictures, otherwise, and where they carry most
KEY, KEY_LINE, KEY_ENTRY, SAMPLE = 0.5, 0.155, 0.95, 0.22  # inches
SMALL_TITLE, BETWEEN = 0.2, 0.12  # inches


@dataclass(frozen=True)
class Scale:
    """How large the units of a drawing are.

    Attributes:
        points: Points per unit.
        left: Where the drawing begins, inches from the left.
        width: Its width, inches.
        height: Its height, inches.
    """

    points: float
    left: float
    width: float
    height: float


def draw_u(profile: Profile) -> Figure:
    """Draw every layer with its usable label information, and every path into a gate with what it adds.

    Args:
        profile: The profile.

    Returns:
        A figure as wide as two columns, or as one where that is enough; wider where texts would cover each other. No
        text is below 6.5 points.

    Source:
        The U of numbers: Lee & Bajic 2021, Information flow through U-Nets, ISBI; its numbers are others.
    """
    u = arrange_u(profile.wiring)
    width = next((one for one in (COLUMN, PAGE) if u.width * FULL <= one * 72), u.width * FULL / 72)
    scale = _fit(u, width, MOST_POINTS)
    lines = 1 if width > COLUMN else 3
    height = scale.height + KEY + KEY_LINE * (lines - 1)
    figure = Figure(figsize=(width, height), facecolor="white")
    axes = _add_drawing(figure, u, scale, height)
    _draw_lines(axes, profile, u)
    for cell in u.cells.values():
        _draw_cell(axes, profile, cell, scale)
    for group in u.groups:
        _write(axes, group.room, group.text, scale, style="italic", color=LINE)
    _draw_key(figure, profile, is_narrow=width == COLUMN)
    return figure


def draw_us(profiles: Sequence[tuple[int, Profile]]) -> Figure:
    """Draw small Us side by side, in colors alone.

    Args:
        profiles: Epochs and profiles of one network, at least one, in the order of the pictures.

    Returns:
        A figure as wide as two columns.
    """
    u = arrange_u(profiles[0][1].wiring, bare=True)
    columns = min(len(profiles), max(1, min(3, int(PAGE * 72 / (u.width * LEAST)))))
    each = (PAGE - BETWEEN * (columns - 1)) / columns
    scale = _fit(u, each, MOST_POINTS)
    rows = -(-len(profiles) // columns)
    row = scale.height + SMALL_TITLE
    height = rows * row + KEY
    figure = Figure(figsize=(PAGE, height), facecolor="white")
    for number, (epoch, profile) in enumerate(profiles):
        left, top = (each + BETWEEN) * (number % columns), row * (number // columns)
        place = Scale(scale.points, left + scale.left, scale.width, scale.height)
        axes = _add_drawing(figure, u, place, height, top + SMALL_TITLE)
        _draw_lines(axes, None, u)
        for cell in u.cells.values():
            _draw_block(axes, profile, cell)
        middle = (left + each / 2) / PAGE
        figure.text(middle, 1 - (top + 0.05) / height, f"epoch {epoch}", fontsize=7, color=INK, ha="center", va="top")
    _draw_color_bar(figure, profiles[-1][1].prior.value)
    return figure


def _fit(u: UGeometry, width: float, most: float) -> Scale:
    """As large as fits a width in inches, in its middle."""
    points = min(width * 72 / u.width, most)
    inches = u.width * points / 72
    return Scale(points, (width - inches) / 2, inches, u.height * points / 72)


def _add_drawing(figure: Figure, u: UGeometry, scale: Scale, height: float, top: float = 0.0) -> Axes:
    """Axes whose units are those of the geometry."""
    width = figure.get_figwidth()
    bottom = height - top - scale.height
    axes = figure.add_axes((scale.left / width, bottom / height, scale.width / width, scale.height / height))
    axes.set(xlim=(0, u.width), ylim=(u.height, 0))
    axes.set_axis_off()
    return axes


# ------------------------------------------------------------------------------------------------------------- lines


def _draw_lines(axes: Axes, profile: Profile | None, u: UGeometry) -> None:
    """Every connection; those into a gate as thick as they carry bits."""
    gates = profile.gates if profile else ()
    parts = {(part.source, gate.join): part for gate in gates for part in gate.parts}
    most = max((part.added[LINEAR].value for part in parts.values()), default=0.0)
    for line in u.lines:
        part = parts.get((line.source, line.reader))
        stroke = _choose_stroke(part, most) if profile else Stroke("#9a9a9a", width=FINE)
        _draw_line(axes, line.corners, stroke, order=1 if part is None else 2)
        if part and line.number and profile:
            _write_flow(axes, line, part, profile.prior.value)


def _choose_stroke(part: Part | None, most: float) -> Stroke:
    """Color and dashes by what a path is for, width by what it carries."""
    if part is None:
        return Stroke(LINE, width=THIN)
    known = STROKES[part.status.word]
    share = max(part.added[LINEAR].value, 0.0) / most if most > 0 else 0.0
    return Stroke(known.color, known.dashes, THIN + (THICK - THIN) * share)


def _draw_line(axes: Axes, corners: Sequence[Point], stroke: Stroke, order: int) -> None:
    points, codes = [corners[0]], [Outline.MOVETO]
    for start, corner, end in bend(corners):
        points += [start, corner, end]
        codes += [Outline.LINETO, Outline.CURVE3, Outline.CURVE3]
    outline = Outline([*points, corners[-1]], [*codes, Outline.LINETO])
    style: dict[str, Any] = {"edgecolor": stroke.color, "linewidth": stroke.width, "linestyle": stroke.style}
    axes.add_patch(PathPatch(outline, facecolor="none", capstyle="butt", zorder=order, **style))


def _write_flow(axes: Axes, line: Line, part: Part, ceiling: float) -> None:
    """The bits that a skip adds, above it."""
    room, value = line.number, part.added[LINEAR].value
    if room and isfinite(value):
        style: dict[str, Any] = {
            "ha": "center",
            "va": "bottom",
            "fontsize": TEXT,
            "color": STROKES[part.status.word].color,
        }
        axes.text(room.middle, room.bottom + 1, format_bits(value, ceiling), zorder=5, **style)


# ------------------------------------------------------------------------------------------------------------- cells


def _draw_cell(axes: Axes, profile: Profile, cell: Cell, scale: Scale) -> None:
    """A block with what stands below it."""
    is_hollow = _draw_block(axes, profile, cell)
    _write(axes, cell.name, cell.label, scale, color=LINE)
    if cell.layer == IMAGE:
        return
    value = profile.layer(cell.layer).linear.value
    if isfinite(value):
        style = {"color": LINE} if is_hollow else {"color": INK, "fontweight": "bold"}
        _write(axes, cell.number, format_bits(value, profile.prior.value), scale, **style)
        _draw_gauge(axes, profile, cell, is_hollow)


def _draw_block(axes: Axes, profile: Profile, cell: Cell) -> bool:
    """A block in the color of its bits; returns whether it is hollow because they prove nothing or are not known."""
    if cell.layer == IMAGE:
        _draw_box(axes, cell.block, facecolor=FAINT, edgecolor=LINE, linewidth=0.5)
        return False
    layer = profile.layer(cell.layer)
    if profile.word(layer) != "ok" or not isfinite(layer.linear.value):
        _draw_box(axes, cell.block, facecolor="white", edgecolor=LINE, linewidth=0.7, linestyle=(0, (2, 1.2)))
        return True
    color = COLORS(_share(layer.linear.value, profile))
    _draw_box(axes, cell.block, facecolor=color, edgecolor=LINE, linewidth=0.4)
    return False


def _share(value: float, profile: Profile) -> float:
    """A number of bits as a share of H0."""
    return min(max(value / (profile.prior.value or 1.0), 0.0), 1.0)


def _draw_gauge(axes: Axes, profile: Profile, cell: Cell, is_hollow: bool) -> None:
    """A bar from 0 to H0 with its interval, and where the untrained twin is."""
    room, layer = cell.gauge, profile.layer(cell.layer)
    bar = Box(room.left, room.top + 2, room.width, room.height - 4)
    _draw_box(axes, bar, facecolor=TRACK)
    level = Box(bar.left, bar.top, bar.width * _share(layer.linear.value, profile), bar.height)
    _draw_box(axes, level, facecolor=UNTOLD if is_hollow else LEVEL)
    low, high = (
        bar.left + bar.width * _share(end, profile) if isfinite(end) else None
        for end in (layer.linear.interval.low, layer.linear.interval.high)
    )
    if low is not None and high is not None:
        axes.plot(
            [low, high], [room.top + room.height / 2] * 2, color=INK, linewidth=0.6, solid_capstyle="butt", zorder=4
        )
    if UNTRAINED in layer.bits and isfinite(layer.bits[UNTRAINED].value):
        x = bar.left + bar.width * _share(layer.bits[UNTRAINED].value, profile)
        axes.plot([x, x], [room.top - 0.5, room.bottom + 0.5], color=TWIN, linewidth=0.8, zorder=5)


def _draw_box(axes: Axes, box: Box, **style: Any) -> None:
    axes.add_patch(Rectangle((box.left, box.top), box.width, box.height, zorder=3, **{"linewidth": 0.0, **style}))


def _write(axes: Axes, room: Box, text: str, scale: Scale, **style: Any) -> None:
    """Text in the middle of its room, shortened to fit."""
    fitting, middle = shorten_to(text, room.width * scale.points), room.top + room.height / 2
    axes.text(room.middle, middle, fitting, ha="center", va="center", fontsize=TEXT, zorder=5, **style)


def shorten_to(text: str, room: float) -> str:
    """Text of the smallest size that fits a width in points, its middle left out where it must be.

    Example:
        >>> shorten_to("conv1", 30), len(shorten_to("a.very.long.name", 30)) < 9
        ('conv1', True)
    """
    for longest in range(len(text), 2, -1):
        if _measure(shorten(text, longest)) <= room:
            return shorten(text, longest)
    return shorten(text, 3)


@cache
def _measure(text: str) -> float:
    """Width of a text, points."""
    font = FontProperties(family=STYLE["font.family"])
    return float(TextPath((0, 0), text or " ", size=TEXT, prop=font).get_extents().width)


# --------------------------------------------------------------------------------------------------------------- key


def _draw_key(figure: Figure, profile: Profile, is_narrow: bool) -> None:
    """The color bar, and beside it or below it what strokes, marks and hollow blocks mean."""
    width, height = figure.get_size_inches()
    above = 2 * KEY_LINE if is_narrow else 0.0
    _draw_color_bar(figure, profile.prior.value, above)
    paper = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height), facecolor="none")
    paper.set_axis_off()
    left, top = (0.08, 2 * KEY_LINE - 0.06) if is_narrow else (3.0, KEY - 0.13)
    words = {part.status.word for gate in profile.gates for part in gate.parts}
    strokes: Mapping[str, Stroke] = {word: stroke for word, stroke in STROKES.items() if word in words}
    for number, (word, stroke) in enumerate(strokes.items()):
        x = left + number * (0.85 if is_narrow else KEY_ENTRY)
        style: dict[str, Any] = {"color": stroke.color, "linewidth": 1.6, "linestyle": stroke.style}
        paper.plot([x, x + SAMPLE], [top, top], **style)
        paper.text(x + SAMPLE + 0.05, top, word, fontsize=TEXT, color=INK, va="center")
    x, y = left, top - KEY_LINE
    for text, mark in _list_samples(profile):
        _draw_sample(paper, (x, y), mark)
        paper.text(x + SAMPLE + 0.05, y, text, fontsize=TEXT, color=INK, va="center")
        x += SAMPLE + 0.2 + _measure(text) / 72


def _list_samples(profile: Profile) -> Iterator[tuple[str, str]]:
    """What else the key explains, as far as it occurs."""
    if any(UNTRAINED in layer.bits for layer in profile.layers):
        yield "untrained twin", "tick"
    if any(profile.word(layer) != "ok" for layer in profile.layers):
        yield "not told by these images", "hollow"


def _draw_sample(paper: Axes, place: Point, mark: str) -> None:
    x, y = place
    if mark == "tick":
        paper.plot([x + SAMPLE - 0.08] * 2, [y - 0.05, y + 0.05], color=TWIN, linewidth=0.8)
        return
    style: dict[str, Any] = {"facecolor": "white", "edgecolor": LINE, "linewidth": 0.7, "linestyle": (0, (2, 1.2))}
    paper.add_patch(Rectangle((x + 0.02, y - 0.045), SAMPLE - 0.02, 0.09, **style))


def _draw_color_bar(figure: Figure, ceiling: float, above: float = 0.0) -> None:
    """From 0 to H0, at the lower left."""
    width, height = figure.get_size_inches()
    length = min(2.6, width - 0.3)
    axes = figure.add_axes((0.12 / width, (above + 0.32) / height, length / width, 0.07 / height))
    mappable = ScalarMappable(Normalize(0, ceiling or 1), COLORS)
    bar = figure.colorbar(mappable, cax=axes, orientation="horizontal")
    bar.outline.set_linewidth(0.4)
    bar.ax.tick_params(labelsize=TEXT, length=1.5, width=0.4, color=LINE, pad=1)
    bar.ax.locator_params(nbins=5)
    bar.ax.set_xlabel("usable label information, bits per pixel, from 0 to H0", fontsize=TEXT, labelpad=0.5, color=INK)
