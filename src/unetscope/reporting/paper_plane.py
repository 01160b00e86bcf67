"""The information plane: every layer as a dot at I(X;M) and I(M;Y), trained and untrained; draws, estimates nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure

from unetscope.information.published.estimates import Estimate
from unetscope.information.published.paper import PaperProfile
from unetscope.reporting.figures import styled
from unetscope.reporting.palette import INK, LINE
from unetscope.reporting.panel import COLORS, shorten

SIZE = (4.8, 3.9)  # inches
LONGEST_RUN = 42  # characters that fit


def draw_plane(profile: PaperProfile, run: str = "") -> Figure:
    """Draw the information plane of a profile.

    Args:
        profile: The profile.
        run: What the title calls the network; none if empty.

    Returns:
        A figure, with no text below 7 points.

    Source:
        Tishby & Zaslavsky 2015, Deep learning and the information bottleneck principle, ITW.
    """
    with styled():
        figure = Figure(figsize=SIZE, layout="constrained", facecolor="white")
        axes = figure.add_subplot()
        axes.set_title(shorten(run, LONGEST_RUN), fontsize=9, color=INK, loc="left")
        _draw_ceilings(axes, profile)
        _draw_layers(axes, profile)
        axes.set(xlabel="I(X;M), bits", ylabel="I(M;Y), bits")
        axes.tick_params(labelsize=7, color=LINE)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside lower center", ncols=2, fontsize=7, frameon=False, columnspacing=1.2)
    return figure


def _draw_ceilings(axes: Axes, profile: PaperProfile) -> None:
    """Everything lies left of log2 N and below H(Y)."""
    style: dict[str, Any] = {"color": LINE, "linewidth": 0.8, "linestyle": (0, (4, 3)), "zorder": 0}
    axes.axvline(profile.input_ceiling, **style)
    axes.axhline(profile.label_ceiling, **style, label="ceilings log2 N and H(Y)")
    axes.set(xlim=(-0.03 * profile.input_ceiling, 1.06 * profile.input_ceiling))
    axes.set(ylim=(-0.03 * (profile.label_ceiling or 1), 1.08 * (profile.label_ceiling or 1)))


def _draw_layers(axes: Axes, profile: PaperProfile) -> None:
    """One dot for each layer, colored by its place in the network, hollow where it is saturated; and its controls."""
    x, y = _points([layer.trained for layer in profile.layers])
    axes.plot(*_points([layer.untrained for layer in profile.layers]), "+", markersize=6, color=LINE, label="untrained")
    axes.plot(
        x, [layer.shuffled.mean for layer in profile.layers], "x", markersize=5, color=LINE, label="shuffled labels"
    )
    scale = ScalarMappable(Normalize(0, len(x) - 1), COLORS)
    edges = [to_hex(color) for color in scale.to_rgba(np.arange(len(x)))]
    hollow = [bool(layer.trained.saturated) for layer in profile.layers]
    faces = ["#ffffff" if is_hollow else edge for edge, is_hollow in zip(edges, hollow, strict=True)]
    label = "trained (hollow: saturated)" if any(hollow) else "trained"
    axes.scatter(x, y, c=faces, edgecolors=edges, linewidths=1.2, s=26, zorder=3, label=label)
    bar = axes.figure.colorbar(scale, ax=axes, ticks=[0, len(x) - 1], pad=0.02, aspect=30)
    bar.ax.set_yticklabels([profile.layers[0].layer, profile.layers[-1].layer], fontsize=7)


def _points(estimates: list[Estimate]) -> tuple[list[float], list[float]]:
    return [one.input.upper for one in estimates], [one.label.published for one in estimates]
