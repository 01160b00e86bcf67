"""How information changes while a network learns: layers, gates and the plane over epochs; draws, measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from unetscope.errors import DataError
from unetscope.information.findings import LINEAR, Kind, Part
from unetscope.information.profile import Profile
from unetscope.information.profile_text import order_gates
from unetscope.information.quantity import GATE_SHARE
from unetscope.reporting.beside import LEAST, write_beside
from unetscope.reporting.canvas import Canvas, wrap
from unetscope.reporting.figures import styled
from unetscope.reporting.palette import FAINT, INK, LINE, SIDES, color_layers, group_layers
from unetscope.reporting.panel import Panel, Scale, draw_panel, shorten
from unetscope.reporting.placement import place_layers
from unetscope.reporting.plane import CAPTION, Profiles, has_plane, plot_plane
from unetscope.reporting.whiskers import Mark, draw_quantity, find_limits

BORDER, BETWEEN = 0.2, 0.35  # inches, as all lengths here
WIDTH, AXIS, NAMES = 11.6, 0.5, 1.2  # between the borders; left and right of axes
HEADING, TITLE, COLOR_BAR, LINES, TICKS, LOWER, FOOT = 0.5, 0.3, 0.55, 2.3, 0.6, 2.6, 0.7
LONGEST_NAME, LONGEST_RUN = 17, 80  # characters that fit
MOST, LEAST_PICTURE, LARGEST = 6, 1.5, 1.5  # pictures; inches of one; times its size
TINY = Scale(column=0.16, row=0.2, width=0.14, height=0.13, room=0.03, named=False, numbered=False)
KINDS: dict[Kind, str] = {
    "up": "up paths: I(up | rest), bits per pixel",
    "skip": "skips: I(skip | rest), bits per pixel",
}


def draw_epochs(profiles: Profiles) -> Figure:
    """Draw how layers, gates and the information plane change over training.

    Args:
        profiles: Epochs and profiles of one network, at least one.

    Returns:
        A figure, with no text below 7 points.

    Raises:
        DataError: No profile came, or their layers differ.

    Source:
        Information over epochs: Lee & Bajic 2021, Information flow through U-Nets, ISBI; the quantities are others.
    """
    ordered = sorted(profiles, key=lambda pair: pair[0])
    if not ordered:
        raise DataError("no profile came; give at least one, of an epoch each")
    if any(one.wiring.layers != ordered[0][1].wiring.layers for _, one in ordered):
        raise DataError("the profiles have different layers; give those of one network at several epochs")
    with styled():
        page = Page(ordered)
        page.canvas.write(
            BORDER, BORDER, f"Information over training: {shorten(page.last.name, LONGEST_RUN)}", 11, True
        )
        _draw_pictures(page)
        _draw_layers(page)
        _draw_gates(page)
        if has_plane(page.last):
            plot_plane(page.add_third(2 if page.last.gates else 0, page.lower_top, LOWER, right=0.0), ordered)
        page.canvas.write(BORDER, page.foot_top, wrap(_caption(page), WIDTH))
    return page.canvas.figure


class Page:
    """Where everything stands, in inches from the upper left corner: pictures, layers, then gates and plane.

    Args:
        profiles: Epochs and profiles, in order.
    """

    def __init__(self, profiles: Profiles) -> None:
        self.profiles, self.last = profiles, profiles[-1][1]
        self.layout = place_layers(self.last.wiring)
        self.pictures = max(1, min(MOST, len(profiles), int((WIDTH + BETWEEN) / (LEAST_PICTURE + BETWEEN))))
        self.scale = _fit(TINY, TINY.size(self.layout)[0], (WIDTH + BETWEEN) / self.pictures - BETWEEN)
        _, height = self.scale.size(self.layout)
        self.layers_top = HEADING + TITLE + height + COLOR_BAR + TITLE
        self.lower_top = self.layers_top + LINES + TICKS + TITLE
        self.has_lower = bool(self.last.gates) or has_plane(self.last)
        self.foot_top = self.lower_top + (LOWER + TICKS if self.has_lower else -TITLE)
        self.canvas = Canvas(WIDTH + 2 * BORDER, self.foot_top + FOOT)

    def add_third(self, number: int, top: float, height: float, right: float = NAMES) -> Axes:
        """Axes in one of three columns, with room for ticks at the left and names at the right."""
        each = (WIDTH - 2 * BETWEEN) / 3
        left = BORDER + number * (each + BETWEEN) + AXIS
        return self.canvas.add_axes(left, top, each - AXIS - right, height)


def _caption(page: Page) -> str:
    plane = f"Plane, {CAPTION[0].lower()}{CAPTION[1:]}" if has_plane(page.last) else ""
    return f"Intervals of 95 % at the last epoch. {plane}"


def choose_epochs(count: int, most: int) -> list[int]:
    """Which of so many profiles are drawn as pictures: the first, the last, and some in equal steps between.

    Example:
        >>> choose_epochs(11, 3), choose_epochs(2, 6), choose_epochs(5, 1)
        ([0, 5, 10], [0, 1], [4])
    """
    if most < 2:
        return [count - 1]
    shown = min(count, most)
    return sorted({round(number * (count - 1) / max(1, shown - 1)) for number in range(shown)})


def _fit(scale: Scale, width: float, wanted: float) -> Scale:
    """A picture of some width brought to another, or to `LARGEST` times its size if that is less."""
    factor = min(LARGEST, wanted / width)
    lengths = ("column", "row", "width", "height", "room")
    return replace(scale, **{name: factor * getattr(scale, name) for name in lengths})


def _draw_pictures(page: Page) -> None:
    """The U at some epochs, in colors alone."""
    ceiling, (width, height) = page.last.prior.value, page.scale.size(page.layout)
    for place, index in enumerate(choose_epochs(len(page.profiles), page.pictures)):
        epoch, profile = page.profiles[index]
        bits = {layer.layer: layer.linear.value for layer in profile.layers}
        left = BORDER + place * (WIDTH + BETWEEN) / page.pictures
        axes = page.canvas.add_axes(left, HEADING + TITLE, width, height)
        draw_panel(axes, profile.wiring, page.layout, Panel(f"epoch {epoch}", bits, ceiling), page.scale)
    _draw_color_bar(page, Panel("", {}, ceiling), HEADING + TITLE + height + 0.08)


def _draw_color_bar(page: Page, panel: Panel, top: float) -> None:
    axes = page.canvas.add_axes(BORDER + 0.03, top, 2.6, 0.08)
    bar = page.canvas.figure.colorbar(ScalarMappable(panel.range, panel.colors), cax=axes, orientation="horizontal")
    bar.ax.tick_params(labelsize=7, length=2, width=0.6, color=LINE)
    bar.ax.locator_params(nbins=5)
    page.canvas.write(BORDER + 2.75, top - 0.02, "usable label information, bits per pixel, from 0 to H0", 7)


def _draw_layers(page: Page) -> None:
    """A line for every layer, one column for each side of the U."""
    shown = [layer.linear for _, profile in page.profiles for layer in profile.layers]
    limits, colors = find_limits(shown, 0.0, page.last.prior.value), color_layers(page.last.wiring)
    for number, (side, layers) in enumerate(group_layers(page.last.wiring).items()):
        axes = page.add_third(number, page.layers_top, LINES)
        _style(page, axes, f"{SIDES[side][0]}: usable label information, bits per pixel")
        axes.set_ylim(limits)
        axes.axhline(page.last.prior.value, color=INK, linewidth=0.9, zorder=0)
        for layer in layers:
            _draw_line(
                axes, page, [profile.layer(layer).linear for _, profile in page.profiles], {"color": colors[layer]}
            )
        step = -(-len(layers) // int(LINES / LEAST))  # as many names as have room
        last = [(shorten(layer, LONGEST_NAME), page.last.layer(layer).linear.value) for layer in layers[::-1][::step]]
        write_beside(axes, [*last, ("H0", page.last.prior.value)], LINES)


def _draw_gates(page: Page) -> None:
    """A line for every path into a gate: up paths on the left, skips on the right."""
    threshold = GATE_SHARE * page.last.prior.value
    parts = [part for _, profile in page.profiles for gate in profile.gates for part in gate.parts]
    if not parts:
        return
    limits = find_limits((part.added[LINEAR] for part in parts), 0.0, 2 * threshold)
    for number, (kind, title) in enumerate(KINDS.items()):
        axes = page.add_third(number, page.lower_top, LOWER)
        _style(page, axes, title)
        axes.set_ylim(limits)
        axes.axhline(threshold, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        write_beside(axes, [*_draw_parts(axes, page, kind), ("1 % of H0", threshold)], LOWER)


def _draw_parts(axes: Axes, page: Page, kind: Kind) -> list[tuple[str, float]]:
    """Lines of one kind of path, the finest gate the brightest; returns their names and last values."""
    places = [
        (number, index, gate.join)
        for number, gate in enumerate(order_gates(page.last))
        for index, part in enumerate(gate.parts)
        if part.kind == kind
    ]
    shades, named = matplotlib.colormaps["viridis"], []
    for number, index, join in places:
        parts = [_find_part(profile, join, index) for _, profile in page.profiles]
        color = matplotlib.colors.to_hex(shades(0.85 - 0.8 * number / max(1, len(page.last.gates) - 1)))
        _draw_line(axes, page, [part.added[LINEAR] for part in parts], {"color": color})
        several = sum(join == other for _, _, other in places) > 1
        name = shorten(f"{join} {parts[-1].source}" if several else join, LONGEST_NAME)
        named.append((name, parts[-1].added[LINEAR].value))
    return named


def _find_part(profile: Profile, join: str, index: int) -> Part:
    return next(gate for gate in profile.gates if gate.join == join).parts[index]


def _draw_line(axes: Axes, page: Page, quantities: Sequence[Any], style: dict[str, Any]) -> None:
    """One quantity over epochs, with its interval at the last."""
    epochs = [epoch for epoch, _ in page.profiles]
    axes.plot(epochs, [one.value for one in quantities], linewidth=1.1, marker="o", markersize=2, zorder=2, **style)
    draw_quantity(axes, epochs[-1], quantities[-1], Mark("o", size=4, **style), upright=True)


def _style(page: Page, axes: Axes, title: str) -> None:
    first, last = page.profiles[0][0], page.profiles[-1][0]
    margin = 0.03 * (last - first or 1)
    axes.set(xlim=(first - margin, last + margin))
    axes.set_title(title, fontsize=7.5, color=INK, loc="left")
    axes.set_xlabel("epoch", fontsize=7.5, labelpad=2)
    axes.axhline(0, color=FAINT, linewidth=0.9, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7, length=3, width=0.6, color=LINE)
    axes.locator_params(axis="x", nbins=5, integer=True)
