"""The information plane: what each layer keeps of the image and tells of the labels; draws, measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from unetscope.errors import DataError
from unetscope.information.findings import INPUT, LINEAR
from unetscope.information.profile import Profile
from unetscope.information.quantity import Quantity
from unetscope.reporting.canvas import Canvas, wrap
from unetscope.reporting.figures import styled
from unetscope.reporting.palette import FAINT, INK, LINE, SIDES, color_layers, group_layers
from unetscope.reporting.panel import shorten
from unetscope.reporting.whiskers import Mark, draw_quantity, find_limits

Profiles = Sequence[tuple[int, Profile]]

BORDER, WIDTH, HEIGHT = 0.2, 4.9, 3.6  # inches
HEADING, FOOT, AXIS = 0.8, 1.2, 0.5
LONGEST_RUN = 40  # characters that fit
CAPTION = (
    "Left to right: Gaussian information between a layer and the first 32 principal components of the input patch, "
    "that is, what detail a linear reader can still recover. I(X;M) itself is not drawn: for a network without noise "
    "it is constant or infinite."
)


def draw_plane(profiles: Profiles) -> Figure:
    """Draw the information plane of a network, at one epoch or over several.

    Args:
        profiles: Epochs and profiles, in order; of one epoch the layers are joined in order, of several each layer has
            its path.

    Returns:
        A figure, with no text below 7 points.

    Raises:
        DataError: No layer's information about the input was measured.

    Source:
        The plane: Tishby & Zaslavsky 2015, Deep learning and the information bottleneck principle, ITW; its axes are
        others, since I(X;M) of a deterministic network cannot be finite and informative (Saxe 2018, Goldfeld 2019).
    """
    last = profiles[-1][1]
    if not has_plane(last):
        raise DataError(f"{last.name} was profiled without information about the input; profile it again")
    with styled():
        canvas = Canvas(WIDTH + 2 * BORDER, HEADING + HEIGHT + FOOT)
        canvas.write(BORDER, BORDER, f"Information plane of {shorten(last.name, LONGEST_RUN)}", 11, bold=True)
        plot_plane(canvas.add_axes(BORDER + AXIS, HEADING, WIDTH - AXIS, HEIGHT), profiles)
        canvas.write(BORDER, HEADING + HEIGHT + 0.5, wrap(CAPTION, WIDTH))
    return canvas.figure


def has_plane(profile: Profile) -> bool:
    """Whether information about the input was measured anywhere."""
    return any(INPUT in layer.bits for layer in profile.layers)


def plot_plane(axes: Axes, profiles: Profiles) -> None:
    """Draw the plane into axes, with intervals at the last epoch."""
    colors, ends = color_layers(profiles[-1][1].wiring), _find(profiles[-1][1])
    paths = {
        layer: [found[layer] for found in map(_find, (one for _, one in profiles)) if layer in found] for layer in ends
    }
    _set_limits(axes, profiles)
    if len(profiles) == 1:
        axes.plot(*zip(*(_point(one) for one in ends.values()), strict=True), color=FAINT, linewidth=1.0, zorder=1)
    for layer, path in paths.items():
        axes.plot(
            *zip(*map(_point, path), strict=True),
            color=colors[layer],
            linewidth=0.9,
            marker=".",
            markersize=3,
            alpha=0.5,
        )
        x, y = ends[layer]
        draw_quantity(axes, _point(ends[layer])[1], x, Mark("o", colors[layer], size=4))
        draw_quantity(axes, _point(ends[layer])[0], y, Mark("o", colors[layer], size=4), upright=True)
    _name_ends(axes, profiles[-1][1], ends)
    _draw_key(axes, profiles[-1][1])


def _find(profile: Profile) -> dict[str, tuple[Quantity, Quantity]]:
    """Both quantities of every layer that has them."""
    both = {one.layer: (one.bits[INPUT], one.bits[LINEAR]) for one in profile.layers if INPUT in one.bits}
    return {layer: pair for layer, pair in both.items() if all(isfinite(one.value) for one in pair)}


def _point(pair: tuple[Quantity, Quantity]) -> tuple[float, float]:
    return pair[0].value, pair[1].value


def _set_limits(axes: Axes, profiles: Profiles) -> None:
    found = [pair for _, profile in profiles for pair in _find(profile).values()]
    axes.set_xlim(find_limits((x for x, _ in found), 0.0))
    axes.set_ylim(find_limits((y for _, y in found), 0.0))
    axes.set_xlabel("recoverable input information, bits", fontsize=7.5)
    axes.set_ylabel("usable label information, bits per pixel", fontsize=7.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7, length=3, width=0.6, color=LINE)


def _name_ends(axes: Axes, profile: Profile, ends: dict[str, tuple[Quantity, Quantity]]) -> None:
    """Name the first and the last layer, below their whiskers; more names would cover each other."""
    named = [layer for layer in dict.fromkeys((profile.layers[0].layer, profile.layers[-1].layer)) if layer in ends]
    halo = [withStroke(linewidth=2.2, foreground="white")]
    bottom = axes.get_ylim()[0]
    for layer in named:
        x, low = _point(ends[layer])[0], max(bottom, ends[layer][1].interval.low)
        is_right = x > sum(axes.get_xlim()) / 2
        style: dict[str, Any] = {"ha": "right" if is_right else "left", "va": "top", "path_effects": halo, "zorder": 4}
        offset = (4 if is_right else -4, -2)
        axes.annotate(layer, (x, low), offset, textcoords="offset points", fontsize=7, color=INK, **style)


def _draw_key(axes: Axes, profile: Profile) -> None:
    """The colors of the sides."""
    colors = color_layers(profile.wiring)
    for side, layers in group_layers(profile.wiring).items():
        axes.plot([], [], "o", color=colors[layers[-1]], markersize=4, label=SIDES[side][0])
    style: dict[str, Any] = {"frameon": False, "ncols": 3, "handletextpad": 0.1, "columnspacing": 1.0, "borderpad": 0}
    axes.legend(fontsize=7, loc="lower left", bbox_to_anchor=(0.0, 1.01), borderaxespad=0.2, **style)
