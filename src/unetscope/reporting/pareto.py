"""Dice against cost: networks as marks with whiskers, and the front that none is above; draws, judges nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import hypot, isfinite, log10
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from unetscope.reporting.figures import STYLE, save_figure, styled
from unetscope.reporting.name_places import REACHES, ROOM, Box, Corner, nearest_point, place_names
from unetscope.reporting.palette import FAINT, INK, LINE
from unetscope.reporting.whiskers import Mark
from unetscope.scores.difference import Word

if TYPE_CHECKING:
    from unetscope.slimming.comparison import Comparison

SIZE = (6.4, 4.0)  # inches
LEFT, RIGHT, BOTTOM, TOP = 0.64, 0.192, 0.8, 0.32  # inches around the axes
LEGEND_ENTRY, LEGEND_LINE = 0.9, 0.15  # inches
NAME_SIZE = 7.0  # points
FRONT_WIDTH = 2.5  # points
DASHES = (0, (4, 3))

MARKS: Mapping[Word | None, Mark] = {
    None: Mark("*", INK, size=10.0),
    "as good": Mark("o", "#0072b2", size=6.0),
    "not separable": Mark("s", LINE, filled=False),
    "worse": Mark("v", "#d55e00", size=6.0),
    "no verdict": Mark("D", INK, filled=False),
}
"""How a network looks, by what may be said of it: by color and by shape; None is what others are compared with."""


@dataclass(frozen=True)
class Point:
    """A network.

    Attributes:
        name: What to call it.
        cost: Above 0, in the unit of the axis.
        value: Its Dice.
        low: Lower end of its whisker.
        high: Upper end.
        word: What may be said of it; None for the network that others are compared with.
    """

    name: str
    cost: float
    value: float
    low: float
    high: float
    word: Word | None = None


def draw_pareto(
    points: Sequence[Point], axis: str, title: str = "", margin: float | None = None, size: Corner = SIZE
) -> Figure:
    """Draw networks by cost and Dice.

    Args:
        points: At least one.
        axis: What the cost is, with its unit.
        title: Above the axes; none if empty.
        margin: Dice that may be lost: a line so far below the network that others are compared with.
        size: Width and height of the figure, inches.

    Returns:
        A figure, with no text below 7 points. The step line is the front: what lies on it is better than all that is
        cheaper.
    """
    with styled():
        figure = Figure(figsize=size, facecolor="white", dpi=72)  # a pixel is a point then
        bottom = BOTTOM + LEGEND_LINE * (_count_lines(size, points, margin) - 1)
        width, height = size[0] - LEFT - RIGHT, size[1] - bottom - TOP
        axes = figure.add_axes((LEFT / size[0], bottom / size[1], width / size[0], height / size[1]))
        axes.set_title(title, fontsize=9, color=INK, loc="left")
        axes.set(xlabel=axis, ylabel="Dice", ylim=_value_limits(points, margin))
        _scale_costs(axes, points)
        axes.tick_params(labelsize=7, color=LINE)
        axes.spines[["top", "right"]].set_visible(False)
        _draw_margin(axes, points, margin)
        _draw_front(axes, points)
        for point in points:
            _draw_point(axes, point)
        _write_names(axes, points, margin)
        _add_legend(figure, points, margin)
    return figure


def find_front(points: Sequence[Point]) -> tuple[Point, ...]:
    """The points that are better than all cheaper ones, the cheapest first.

    Example:
        >>> costs = {"small": (1, 0.8), "large": (4, 0.9), "clumsy": (5, 0.7)}
        >>> [point.name for point in find_front([Point(n, c, v, v, v) for n, (c, v) in costs.items()])]
        ['small', 'large']
    """
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.cost, -point.value)):
        if not front or point.value > front[-1].value:
            front.append(point)
    return tuple(front)


def list_points(comparison: Comparison, costs: Sequence[float]) -> tuple[Point, ...]:
    """The networks of a comparison at given costs.

    Whiskers are those of the difference to the first network, so that what is said of a network can be read from them;
    the first's own show where another training of it would be found.
    """
    first, chance = comparison.means[0].value, comparison.chance
    ends = (chance.low, chance.high) if chance else (0.0, 0.0)
    points = [Point(comparison.rows[0].name, costs[0], first, first + ends[0], first + ends[1])]
    for row, cost, mean, difference, word in zip(
        comparison.rows[1:], costs[1:], comparison.means[1:], comparison.differences, comparison.words, strict=True
    ):
        points.append(Point(row.name, cost, mean.value, first + difference.low, first + difference.high, word))
    return tuple(points)


def draw_paretos(comparison: Comparison, size: Corner = SIZE, titled: bool = True) -> dict[str, Figure]:
    """Draw Dice against multiply-adds, and against milliseconds where there are times.

    Milliseconds are those of the engine and precision in which the first network is fastest.

    Args:
        comparison: The networks.
        size: Width and height of each figure, inches.
        titled: Say above the axes what the scores rest upon.

    Returns:
        The figures by name.
    """
    unit, short = ("pixel", "Mpx") if len(comparison.size) == 2 else ("voxel", "Mvx")
    amounts = [row.multiply_adds_per_pixel for row in comparison.rows]
    drawn = {"pareto-multiply-adds": (amounts, f"multiply-adds per {unit}")}
    timings = comparison.rows[0].timings
    if timings:
        fastest = min(range(len(timings)), key=lambda index: timings[index].median)
        times = [row.timings[fastest].median for row in comparison.rows]
        way = " in ".join(timings[fastest].way)
        drawn["pareto-milliseconds"] = (times, f"milliseconds per {short}, {way}")
    title = f"{comparison.evidence}; whiskers: 95 % of the difference to the star" if titled else ""
    return {
        name: draw_pareto(list_points(comparison, costs), axis, title, comparison.margin, size)
        for name, (costs, axis) in drawn.items()
    }


def save_paretos(comparison: Comparison, folder: Path) -> tuple[Path, ...]:
    """Write what `draw_paretos` draws.

    Args:
        comparison: The networks.
        folder: Where.

    Returns:
        The files, SVG and PNG of each figure.

    Raises:
        OutputError: A file cannot be written.
    """
    figures = draw_paretos(comparison)
    return tuple(path for name, figure in figures.items() for path in save_figure(figure, folder / name))


def _scale_costs(axes: Axes, points: Sequence[Point]) -> None:
    """Costs by their logarithm, with the same room on both sides and plain numbers, as many as there is room for."""
    low, high = min(point.cost for point in points), max(point.cost for point in points)
    room = max(1.4, (high / low) ** 0.12)
    decades = log10(high * room / (low / room))
    steps = (1, 1.5, 2, 3, 4, 5, 7) if decades < 1 else (1, 2, 5) if decades < 3 else (1,)
    axes.set_xscale("log")
    axes.set_xlim(low / room, high * room)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda cost, _: f"{cost:,.0f}" if cost >= 10 else f"{cost:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _value_limits(points: Sequence[Point], margin: float | None) -> Corner:
    """All values, and whiskers unless they are far longer than the values lie apart."""
    values = [point.value for point in points]
    least = min(values) - (margin or 0.0)
    room = max(max(values) - least, 0.02)
    low = max(least - room, min(point.low for point in points if isfinite(point.low)))
    high = min(max(values) + room, max(point.high for point in points if isfinite(point.high)))
    low, high = min(low, least), max(high, *values)
    return low - 0.08 * (high - low), high + 0.08 * (high - low)


def _draw_margin(axes: Axes, points: Sequence[Point], margin: float | None) -> None:
    """Where a network starts to be worse than the first."""
    for start, end in _margin_lines(axes, points, margin):
        axes.plot(*zip(start, end, strict=True), color=LINE, linewidth=0.8, linestyle=DASHES, zorder=0)


def _margin_lines(axes: Axes, points: Sequence[Point], margin: float | None) -> list[tuple[Corner, Corner]]:
    """A line across, so far below each network that others are compared with."""
    left, right = axes.get_xlim()
    levels = [point.value - margin for point in points if point.word is None and margin is not None]
    return [((left, level), (right, level)) for level in levels]


def _draw_front(axes: Axes, points: Sequence[Point]) -> None:
    """Up at each point of the front, level until the next."""
    costs, values = zip(*_front_corners(axes, points), strict=True)
    axes.plot(costs, values, color=FAINT, linewidth=FRONT_WIDTH, zorder=1, solid_joinstyle="miter")


def _front_corners(axes: Axes, points: Sequence[Point]) -> list[Corner]:
    """The corners of the step line, from the left to the edge of the axes."""
    front = find_front(points)
    ends = [*(point.cost for point in front[1:]), axes.get_xlim()[1]]
    return [
        corner
        for point, end in zip(front, ends, strict=True)
        for corner in ((point.cost, point.value), (end, point.value))
    ]


def _draw_point(axes: Axes, point: Point) -> None:
    """A mark with its whisker, which the axes may cut off."""
    mark, (bottom, top) = MARKS[point.word], axes.get_ylim()
    ends = (max(point.low, bottom), min(point.high, top))
    axes.plot([point.cost] * 2, ends, color=mark.color, linewidth=1.1, solid_capstyle="butt", zorder=2)
    axes.plot([point.cost], [point.value], zorder=3, **mark.style)


def _add_legend(figure: Figure, points: Sequence[Point], margin: float | None) -> None:
    """The marks that occur, the front and the margin."""
    handles = _list_handles(points, margin)
    columns = min(len(handles), _count_columns(figure.get_figwidth()))
    figure.legend(handles=handles, loc="lower center", ncols=columns, fontsize=7, frameon=False)


def _list_handles(points: Sequence[Point], margin: float | None) -> list[Line2D]:
    words = {point.word for point in points}
    handles = [
        Line2D([], [], label=word or "compared with", **mark.style) for word, mark in MARKS.items() if word in words
    ]
    handles.append(Line2D([], [], color=FAINT, linewidth=FRONT_WIDTH, label="front"))
    if margin is not None and None in words:
        handles.append(Line2D([], [], color=LINE, linewidth=0.8, linestyle=DASHES, label=f"{margin:g} below"))
    return handles


def _count_lines(size: Corner, points: Sequence[Point], margin: float | None) -> int:
    """Lines that the legend takes."""
    return -(-len(_list_handles(points, margin)) // _count_columns(size[0]))


def _count_columns(width: float) -> int:
    """Entries of a legend that stand beside each other."""
    return max(1, int(width / LEGEND_ENTRY))


# ------------------------------------------------------------------------------------------------------------ names


def _write_names(axes: Axes, points: Sequence[Point], margin: float | None) -> None:
    """Write each name beside its mark, with a fine line to it where there is no room nearby."""
    marks = [_to_paper(axes, point.cost, point.value) for point in points]
    wide = [_measure(point.name) for point in points]
    taken = [box for point, mark in zip(points, marks, strict=True) for box in _occupied(axes, point, mark)]
    lines = [*pairwise(_front_corners(axes, points)), *_margin_lines(axes, points, margin)]
    taken += [_box_around(_to_paper(axes, *start), _to_paper(axes, *end), FRONT_WIDTH / 2) for start, end in lines]
    left, bottom, right, top = axes.get_window_extent().extents
    boxes = place_names(marks, wide, taken, (left, bottom, right, top))
    for point, mark, box in zip(points, marks, boxes, strict=True):
        near = nearest_point(mark, box)
        if hypot(near[0] - mark[0], near[1] - mark[1]) > REACHES[0] + ROOM:
            ends = axes.transData.inverted().transform([mark, near])
            axes.plot(*ends.T, color=LINE, linewidth=0.5, zorder=1)
        x, y = axes.transData.inverted().transform(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
        axes.text(x, y, point.name, fontsize=NAME_SIZE, color=INK, ha="center", va="center")


def _occupied(axes: Axes, point: Point, mark: Corner) -> tuple[Box, Box]:
    """What a mark and its whisker cover."""
    low, high = (_to_paper(axes, point.cost, end) for end in (point.low, point.high))
    return _box_around(mark, mark, MARKS[point.word].size / 2 + 1), _box_around(low, high, 1)


def _box_around(start: Corner, end: Corner, half: float) -> Box:
    """The box of an upright or level line of some width."""
    (left, right), (bottom, top) = (sorted(pair) for pair in zip(start, end, strict=True))
    return left - half, bottom - half, right + half, top + half


def _to_paper(axes: Axes, cost: float, value: float) -> Corner:
    """Where a point lies on the figure, points from its lower left corner."""
    x, y = axes.transData.transform((cost, value))
    return float(x), float(y)


def _measure(name: str) -> Corner:
    """Width and height of a name, points."""
    font = FontProperties(family=STYLE["font.family"])
    return float(TextPath((0, 0), name or " ", size=NAME_SIZE, prop=font).get_extents().width), 1.2 * NAME_SIZE
