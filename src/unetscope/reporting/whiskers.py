"""A quantity as a mark with its 95 % interval; knows quantities and axes, not what is measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Any

from matplotlib.axes import Axes

from unetscope.information.quantity import Quantity

FAR = 1e6
"""Where a whisker without an end goes: beyond any axes, which cut it off."""


@dataclass(frozen=True)
class Mark:
    """How a quantity is drawn.

    Attributes:
        shape: Marker, in matplotlib's letters.
        color: Of mark and whisker.
        filled: Whether the mark is filled.
        size: Of the mark, points.
    """

    shape: str
    color: str
    filled: bool = True
    size: float = 5.0

    @property
    def style(self) -> dict[str, Any]:
        """The mark as matplotlib takes it."""
        return {
            "marker": self.shape,
            "markersize": self.size,
            "markeredgecolor": self.color,
            "markerfacecolor": self.color if self.filled else "white",
            "linestyle": "none",
        }


def draw_quantity(axes: Axes, at: float, quantity: Quantity, mark: Mark, upright: bool = False) -> None:
    """Draw a mark with its whisker; nothing where the value is not known.

    Args:
        axes: Where.
        at: Its place on the other axis.
        quantity: Value and interval.
        mark: How it looks.
        upright: Whether the value is a height.
    """
    interval = quantity.interval
    if not isfinite(interval.value):
        return
    ends = [min(max(end, -FAR), FAR) for end in (interval.low, interval.high)]
    line, dot = (([at, at], ends), (at, interval.value)) if upright else ((ends, [at, at]), (interval.value, at))
    axes.plot(*line, color=mark.color, linewidth=1.1, solid_capstyle="butt", zorder=2)
    axes.plot(*dot, zorder=3, **mark.style)


def find_limits(quantities: Iterable[Quantity], *others: float) -> tuple[float, float]:
    """Limits of an axis that hold all finite intervals and some other values, with a margin.

    Example:
        >>> find_limits([], 0.0, 1.0)
        (-0.04, 1.04)
    """
    ends = [end for one in quantities for end in (one.interval.low, one.interval.value, one.interval.high)]
    held = [end for end in (*ends, *others) if isfinite(end)]
    margin = 0.04 * (max(held) - min(held) or 1.0)
    return min(held) - margin, max(held) + margin
