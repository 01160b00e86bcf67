"""Names at the right of axes, each near its value and none over another; knows heights and text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes

from unetscope.reporting.palette import INK, LINE

LEAST = 0.13  # inches from one name to the next
POINTS = 72  # of an inch
TURNS = 300


def write_beside(axes: Axes, named: Sequence[tuple[str, float]], height: float) -> None:
    """Write names to the right of axes whose limits are set, each with a fine line to its value.

    Args:
        axes: Where.
        named: Names and their values on the upright axis.
        height: Of the axes, inches.
    """
    low, high = axes.get_ylim()
    inch = (high - low) / height
    places = spread_out([value for _, value in named], LEAST * inch)
    leader = {"arrowstyle": "-", "color": LINE, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0, "relpos": (0, 0.5)}
    for (name, value), place in zip(named, places, strict=True):
        axes.annotate(
            name,
            (axes.get_xlim()[1], value),
            xytext=(14, (place - value) / inch * POINTS),
            textcoords="offset points",
            fontsize=7,
            color=INK,
            va="center",
            annotation_clip=False,
            arrowprops=leader,
        )


def spread_out(values: Sequence[float], least: float) -> list[float]:
    """Places near some values, at least so far from each other: those that are too near give way to both sides.

    Example:
        >>> spread_out([0.25, 0.0, 2.0], 0.5)
        [0.375, -0.125, 2.0]
    """
    order = sorted(range(len(values)), key=lambda index: values[index])
    places = [values[index] for index in order]
    for _ in range(TURNS):
        for lower, upper in pairwise(range(len(places))):
            lack = least - (places[upper] - places[lower])
            if lack > 0:
                places[lower], places[upper] = places[lower] - lack / 2, places[upper] + lack / 2
    return [places[order.index(index)] for index in range(len(values))]
