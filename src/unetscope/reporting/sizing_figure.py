"""What probes read before training, against their window and against the images they had; draws, measures nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unetscope.information.quantity import Quantity
from unetscope.information.sizing.sizing import Sizing
from unetscope.reporting.figures import styled
from unetscope.reporting.panel import INK, LINE, shorten

SIZE = (7.2, 3.1)  # inches
CURVE = "#1f6f8b"
LONGEST_NAME = 60  # characters that fit


def draw_sizing(sizing: Sizing, name: str = "") -> Figure:
    """Draw the two curves of a sizing, with their intervals.

    Args:
        sizing: What was measured.
        name: What the title calls the dataset; none if empty.

    Returns:
        A figure, with no text below 7 points. A hollow point is a value that cannot be told.
    """
    with styled():
        figure = Figure(figsize=SIZE, layout="constrained", facecolor="white")
        left, right = figure.subplots(1, 2, sharey=True)
        left.set_title(shorten(name, LONGEST_NAME), fontsize=9, color=INK, loc="left")
        _draw_windows(left, sizing)
        _draw_shares(right, sizing)
        left.set_ylabel("bits per pixel, held out")
        left.set_ylim(min(0.0, *(each.interval.low for each in sizing.windows.values())), 1.06 * sizing.prior.value)
        for axes in (left, right):
            axes.tick_params(labelsize=7, color=LINE)
            axes.spines[["top", "right"]].set_visible(False)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=7, frameon=False)
    return figure


def _draw_windows(axes: Axes, sizing: Sizing) -> None:
    """Bits against the receptive field, with the window that was chosen and the two references."""
    _draw_references(axes, sizing)
    _draw_curve(axes, sizing.windows)
    chosen = sizing.window
    label = "smallest window as good as the best" + ("" if chosen.verdict.word == "ok" else " (cannot tell)")
    axes.axvspan(chosen.low / 1.15, chosen.high * 1.15, color=CURVE, alpha=0.15, linewidth=0, zorder=0, label=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(sizing.windows), [str(size) for size in sizing.windows])
    axes.minorticks_off()
    axes.set_xlabel("receptive field, pixels per axis")


def _draw_shares(axes: Axes, sizing: Sizing) -> None:
    """Bits against the images that the probes learned from, and what twice as many are expected to bring."""
    _draw_references(axes, sizing)
    count = len(sizing.names)
    _draw_curve(axes, {share * count: each for share, each in sizing.shares.items()})
    ticks = [share * count for share in sizing.shares]
    if sizing.growth is not None:
        expected, now = sizing.growth.gain, sizing.shares[1.0].value
        ends = ([expected.value - expected.low], [expected.high - expected.value])
        axes.errorbar([2 * count], [now + expected.value], ends, fmt="D", markersize=4, color=LINE, linewidth=1)
        axes.annotate(
            "expected", (2 * count, now + expected.high), (0, 3), textcoords="offset points", ha="center", fontsize=7
        )
        ticks.append(2 * count)
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel(f"annotated images, window of {sizing.window.value} pixels")


def _draw_curve(axes: Axes, curve: Mapping[Any, Quantity]) -> None:
    """Values with their intervals; hollow where they cannot be told."""
    at, each = list(curve), list(curve.values())
    values = [quantity.value for quantity in each]
    ends = [
        [quantity.value - quantity.interval.low for quantity in each],
        [quantity.interval.high - quantity.value for quantity in each],
    ]
    axes.errorbar(at, values, ends, color=CURVE, linewidth=1.2, capsize=2, label="what a probe reads, 95 % interval")
    fills = [CURVE if quantity.verdict.word == "ok" else "white" for quantity in each]
    axes.scatter(at, values, c=fills, edgecolors=CURVE, s=18, zorder=3)


def _draw_references(axes: Axes, sizing: Sizing) -> None:
    """All that could be told, and what the place alone tells."""
    axes.axhline(sizing.prior.value, color=LINE, linewidth=0.8, linestyle=(0, (4, 3)), label="H0")
    axes.axhline(sizing.place.value, color=LINE, linewidth=0.8, linestyle=(0, (1, 2)), label="the place alone")
