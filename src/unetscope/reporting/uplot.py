"""The U-Plot: usable label information at every layer, drawn where the layer stands; draws a profile, measures nothing.

On the left the network itself, with the status of both paths at every gate; on the right what training added to it;
below, smaller, the controls: what is there too has not been learned, or is not information about these labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from unetscope.information.findings import LINEAR, MLP, POSITION, SHUFFLED, UNTRAINED, LayerProfile, Part
from unetscope.information.profile import Profile
from unetscope.information.profile_text import format_half_width, format_quantity
from unetscope.information.quantity import GATE_SHARE, VALUE_SHARE, Quantity
from unetscope.reporting.canvas import LINE_HEIGHT, Canvas, wrap
from unetscope.reporting.figures import styled
from unetscope.reporting.palette import INK, LINE, STROKES
from unetscope.reporting.panel import FINE, HATCH, Flow, Panel, Scale, draw_panel, format_bits, shorten
from unetscope.reporting.placement import Layout, assign_lanes, place_layers

BORDER, BETWEEN = 0.2, 0.3  # inches, as all lengths here
HEADING, PANEL_TITLE, COLOR_BAR, KEY = 0.6, 0.2, 0.9, 0.95
NARROWEST = 10.2  # of what holds the key
ROOM = 0.85  # columns for what stands at the arrow of an up path
LANE_ROOM = 0.25
LONGEST_RUN = 70  # characters that fit the narrowest page

FLOWS = Scale(column=0.54, row=0.98, width=0.50, height=0.56, room=0.64, named=True)
GAINS = Scale(column=0.49, row=0.98, width=0.45, height=0.56, room=0.64, named=True)
CONTROLS = Scale(column=0.36, row=0.36, width=0.34, height=0.20, room=0.03, named=False)


def draw_uplot(profile: Profile, run: str = "") -> Figure:
    """Draw a profile as a U.

    Args:
        profile: The profile.
        run: What the title calls the network; its own name if empty.

    Returns:
        A figure of its own size, with no text below 7 points.

    Source:
        The U of numbers: Lee & Bajic 2021, Information flow through U-Nets, ISBI; its numbers are others.
    """
    with styled():
        page = Page(profile)
        _write_heading(page, run or profile.name)
        _draw_large(page, flow_panel(profile), page.flows, BORDER, page.flow_scale)
        _draw_large(page, gain_panel(profile), page.plain, page.second, page.gain_scale)
        _draw_floors(page)
        for panel, left in zip(control_panels(profile), page.thirds, strict=False):
            axes = page.canvas.add_axes(left, page.controls_top, *CONTROLS.size(page.plain))
            draw_panel(axes, profile.wiring, page.plain, panel, CONTROLS)
        _draw_key(page)
    return page.canvas.figure


class Page:
    """Where everything stands, in inches from the upper left corner.

    Args:
        profile: What is drawn; its wiring decides how large everything is.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.plain, self.flows = place_layers(profile.wiring), place_layers(profile.wiring, ROOM)
        lanes = max(assign_lanes(profile.wiring, self.flows).values(), default=0)
        self.flow_scale, self.gain_scale = (
            replace(scale, row=scale.row + LANE_ROOM * lanes) for scale in (FLOWS, GAINS)
        )
        (first, height), (last, _) = self.flow_scale.size(self.flows), self.gain_scale.size(self.plain)
        small, small_height = CONTROLS.size(self.plain)
        inside = max(first + BETWEEN + last, 3 * small + 2 * BETWEEN, NARROWEST)
        self.second = BORDER + inside - max(last, (inside - BETWEEN) * 0.42)
        self.thirds = tuple(BORDER + third * (inside + BETWEEN) / 3 for third in range(3))
        self.large_top = BORDER + HEADING + PANEL_TITLE
        self.bar_top = self.large_top + height
        self.controls_top = self.bar_top + COLOR_BAR + PANEL_TITLE
        self.key_top = self.controls_top + small_height + 0.15
        self.notes = [wrap(f"Note: {warning}.", inside) for warning in profile.warnings]
        self.notes_top = self.key_top + KEY
        lines = sum(note.count("\n") + 1 for note in self.notes)
        self.canvas = Canvas(inside + 2 * BORDER, self.notes_top + lines * LINE_HEIGHT + 0.1)

    @property
    def inside(self) -> float:
        """Width between the borders."""
        return self.canvas.width - 2 * BORDER


def flow_panel(profile: Profile) -> Panel:
    """Usable label information, and the status of both paths at every gate."""
    linear = {layer.layer: layer.linear for layer in profile.layers}
    words = {layer.layer: profile.word(layer) for layer in profile.layers}
    return Panel(
        "What the next 1\u00d71 convolution reads of the labels, bits per pixel",
        {layer: quantity.value for layer, quantity in linear.items()},
        profile.prior.value,
        frozenset(layer for layer, word in words.items() if word == "cannot tell"),
        frozenset(profile.control_failures),
        {layer: format_half_width(quantity, _digits(profile)).replace(" ", "") for layer, quantity in linear.items()},
        {(part.source, gate.join): _make_flow(part) for gate in profile.gates for part in gate.parts},
    )


def _digits(profile: Profile) -> int:
    """Digits that numbers of layers are written with."""
    return 3 if profile.prior.value < FINE else 2


def _make_flow(part: Part) -> Flow:
    word, added = part.status.word, part.added[LINEAR]
    number, half = format_quantity(added).split(" ", 1)
    return Flow(STROKES[word], (number, half.replace(" ", "")), blocked=word == "dead")


def gain_panel(profile: Profile) -> Panel:
    """What training added: the same above that of the untrained twin."""
    gains = {layer.layer: profile.beyond_twin(layer) for layer in profile.layers if UNTRAINED in layer.bits}
    return Panel(
        "What training added, bits above the untrained twin",
        {layer: gain.value for layer, gain in gains.items()},
        max((abs(gain.value) for gain in gains.values()), default=0.0),
        frozenset(layer for layer, gain in gains.items() if not gain.interval.excludes(0)),
        frozenset(profile.control_failures),
        {layer: format_half_width(gain, _digits(profile)).replace(" ", "") for layer, gain in gains.items()},
        signed=True,
    )


def control_panels(profile: Profile) -> list[Panel]:
    """The untrained twin, shuffled labels and the larger family, as far as they were measured."""
    titles = {
        UNTRAINED: "control: the network untrained",
        SHUFFLED: "control: labels of other images",
        MLP: "a larger reader (MLP); empty: not measured",
    }
    measured = {name: _values(profile.layers, name) for name in titles}
    return [Panel(titles[name], values, profile.prior.value) for name, values in measured.items() if values]


def _values(layers: Sequence[LayerProfile], name: str) -> dict[str, float]:
    return {layer.layer: layer.bits[name].value for layer in layers if name in layer.bits}


def _write_heading(page: Page, name: str) -> None:
    profile = page.profile
    networks = f" of {profile.networks} networks" if profile.networks > 1 else ""
    page.canvas.write(BORDER, BORDER, f"Usable label information in {shorten(name, LONGEST_RUN)}", 11, bold=True)
    classes = shorten(", ".join(profile.classes), LONGEST_RUN)
    page.canvas.write(
        BORDER,
        BORDER + 0.27,
        f"H0, the entropy of a pixel's label: {format_quantity(profile.prior)} bits  \u00b7  "
        f"{len(profile.images)} images{networks}  \u00b7  classes: {classes}  \u00b7  held out, \u00b1 half of the "
        "95 % interval",
    )


def _draw_large(page: Page, panel: Panel, layout: Layout, left: float, scale: Scale) -> None:
    """A panel with its color bar."""
    width, height = scale.size(layout)
    draw_panel(page.canvas.add_axes(left, page.large_top, width, height), page.profile.wiring, layout, panel, scale)
    axes = page.canvas.add_axes(left + scale.room, page.bar_top + 0.37, width - 2 * scale.room, 0.09)
    bar = page.canvas.figure.colorbar(ScalarMappable(panel.range, panel.colors), cax=axes, orientation="horizontal")
    bar.ax.tick_params(labelsize=7, length=2, width=0.6, color=LINE)
    bar.ax.locator_params(nbins=6)
    bar.ax.set_xlabel("bits per pixel", fontsize=7, labelpad=1)


def _draw_floors(page: Page) -> None:
    """On the first color bar, how far the coordinate and the largest window get without any network."""
    ceiling, scale, y = page.profile.prior.value, page.flow_scale, -page.bar_top - 0.37
    start, width = BORDER + scale.room, scale.size(page.flows)[0] - 2 * scale.room
    page.canvas.paper.text(start + width + 0.06, y - 0.045, "H0", fontsize=7, color=INK, va="center")
    floors = sorted(reference_floors(page.profile).items(), key=lambda floor: -floor[1].value)
    for line, (name, quantity) in enumerate(floors):
        x = start + width * min(1.0, max(0.0, quantity.value / (ceiling or 1)))
        rise = 0.08 + 0.13 * line
        page.canvas.paper.plot([x, x], [y, y + rise], color=INK, linewidth=0.8)
        page.canvas.paper.plot(x, y, "v", color=INK, markersize=4, markeredgewidth=0)
        is_left = x < start + width - 0.6
        style: dict[str, Any] = {"fontsize": 7, "color": INK, "va": "center", "ha": "left" if is_left else "right"}
        halo = [withStroke(linewidth=2.2, foreground="white")]
        text = f"{name} {format_bits(quantity.value, ceiling)}"
        page.canvas.paper.text(x + (0.04 if is_left else -0.04), y + rise, text, path_effects=halo, **style)


def reference_floors(profile: Profile) -> Mapping[str, Quantity]:
    """The coordinate alone, and the largest linear window."""
    sizes = [int(name.split()[1]) for name in profile.floors if name.startswith("patch") and name.count(" ") == 1]
    named = {"position alone": profile.floors.get(POSITION)}
    if sizes:
        named[f"{max(sizes)}-pixel window"] = profile.floors[f"patch {max(sizes)}"]
    return {name: quantity for name, quantity in named.items() if quantity is not None}


def _draw_key(page: Page) -> None:
    """What hatching, hollow blocks and the kinds of arrows mean."""
    second, third = page.thirds[1:]
    width = page.thirds[1] - page.thirds[0] - BETWEEN - 0.4
    _explain(page, BORDER, wrap(_explain_hatching(page.profile), width), _draw_hatched)
    _explain(page, second, wrap("fails its control: labels of other images can be read there too, so that the number "
                                "proves nothing", width), _draw_hollow)  # fmt: skip
    if page.profile.gates:
        share = f"{GATE_SHARE:.0%}".replace("%", " %")
        text = f"at each gate, bits that a path adds given the other; needed is more than {share} of H0"
        page.canvas.write(third, page.key_top, wrap(text, width + 0.4))
        _draw_strokes(page, third, page.key_top + 0.42)
    for index, note in enumerate(page.notes):
        above = sum(other.count("\n") + 1 for other in page.notes[:index])
        page.canvas.write(BORDER, page.notes_top + above * LINE_HEIGHT, note)


def _explain_hatching(profile: Profile) -> str:
    share = f"{VALUE_SHARE:.0%}".replace("%", " %")
    wanted = [layer.linear.verdict.images for layer in profile.layers if layer.linear.verdict.images]
    more = f"; about {max(wanted)} images would tell" if wanted else ""
    return (
        f"cannot tell: on the left \u00b1 is more than {share} of H0, or more images would raise the number{more}; on "
        "the right the interval holds 0"
    )


def _explain(page: Page, left: float, text: str, draw: Callable[[Axes, tuple[float, float]], None]) -> None:
    draw(page.canvas.paper, (left, -page.key_top - 0.2))
    page.canvas.write(left + 0.4, page.key_top, text)


def _draw_hatched(paper: Axes, corner: tuple[float, float]) -> None:
    paper.add_patch(Rectangle(corner, 0.31, 0.19, facecolor="#dddddd", edgecolor=INK, linewidth=0.6, hatch=HATCH))


def _draw_hollow(paper: Axes, corner: tuple[float, float]) -> None:
    paper.add_patch(Rectangle(corner, 0.31, 0.19, facecolor="white", edgecolor=INK, linewidth=1.0))


def _draw_strokes(page: Page, left: float, top: float) -> None:
    """A short line for every word, two by two."""
    for index, (word, stroke) in enumerate(STROKES.items()):
        x, y = left + 1.5 * (index // 2), -top - 0.17 * (index % 2)
        page.canvas.paper.plot([x, x + 0.4], [y, y], color=stroke.color, linewidth=stroke.width, linestyle=stroke.style)
        page.canvas.paper.plot(x + 0.42, y, ">", color=stroke.color, markersize=5, markeredgewidth=0)
        if word == "dead":
            page.canvas.paper.plot(x + 0.2, y, "X", color=stroke.color, markersize=6, markeredgewidth=0)
        page.canvas.paper.text(x + 0.52, y, word, fontsize=7.5, color=INK, va="center")
