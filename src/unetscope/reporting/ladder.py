"""Every layer against what can be told without it: references as rungs, layers as marks; draws, measures nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from unetscope.information.findings import EDGE, INSIDE, LINEAR, MLP, POSITION, SHUFFLED, UNTRAINED, LayerProfile
from unetscope.information.profile import Profile
from unetscope.information.quantity import Quantity
from unetscope.information.tally import Tally
from unetscope.reporting.beside import write_beside
from unetscope.reporting.canvas import Canvas, wrap
from unetscope.reporting.figures import styled
from unetscope.reporting.palette import FAINT, INK, LINE, MARKS, SIDES, color_layers, group_layers
from unetscope.reporting.panel import shorten
from unetscope.reporting.whiskers import Mark, draw_quantity, find_limits

BORDER = 0.2  # inches, as all lengths here
HEADING, LADDER, NAMES, STRATA, FOOT = 0.95, 3.4, 1.15, 1.5, 0.75
AXIS, RUNGS, BETWEEN = 0.5, 1.6, 0.7
COLUMN, NARROWEST = 0.32, 5.6  # of a layer; of all layers
LONGEST_NAME, LONGEST_RUN = 18, 60  # characters that fit
ASIDE = 0.09  # from the mark of one reader to that of the next
TWINS: Mapping[str, Any] = {UNTRAINED: (0, (5, 2)), SHUFFLED: (0, (1, 1.5))}
STRATA_TITLES = {EDGE: "within 3 pixels of a label edge", INSIDE: "elsewhere"}
CAPTION = (
    "Bits per pixel that a reader of each layer tells of the labels, on held-out images, with 95 % intervals. Rungs "
    "are what can be told without the network: from the position alone, and from windows of the image. Below, the "
    "share that is told of the labels' own entropy near edges and elsewhere."
)


def draw_ladder(profile: Profile) -> Figure:
    """Draw all layers in order between the references.

    Args:
        profile: The profile.

    Returns:
        A figure of its own size, with no text below 7 points.
    """
    with styled():
        layers = max(NARROWEST, COLUMN * len(profile.layers))
        width = 2 * BORDER + AXIS + layers + RUNGS
        canvas = Canvas(width, HEADING + LADDER + NAMES + STRATA + FOOT + 0.35)
        title = f"What the layers of {shorten(profile.name, LONGEST_RUN)} tell, and what is told without them"
        canvas.write(BORDER, BORDER, title, 11, bold=True)
        axes = canvas.add_axes(BORDER + AXIS, HEADING, layers, LADDER)
        _draw_layers(axes, profile, layers)
        _draw_rungs(axes, profile)
        _name_layers(axes, profile)
        _draw_key(canvas, profile)
        _draw_strata(canvas, profile, layers)
        canvas.write(BORDER, canvas.height - FOOT + 0.1, wrap(CAPTION, width - 2 * BORDER))
    return canvas.figure


def _draw_layers(axes: Axes, profile: Profile, width: float) -> None:
    """Twins as lines, readers as marks with whiskers."""
    layers, colors = profile.layers, color_layers(profile.wiring)
    shown = [one.bits[name] for one in layers for name in (LINEAR, MLP, UNTRAINED, SHUFFLED) if name in one.bits]
    axes.set_ylim(find_limits([*shown, *profile.floors.values()], 0.0, profile.prior.value))
    for name, dashes in TWINS.items():
        places = [(number, one.bits[name].value) for number, one in enumerate(layers) if name in one.bits]
        axes.plot(*zip(*places, strict=True), color=LINE, linewidth=1.1, linestyle=dashes) if places else None
    for number, layer in enumerate(layers):
        told = profile.word(layer) == "ok"
        draw_quantity(axes, number, layer.linear, Mark("o", colors[layer.layer], told), upright=True)
        if MLP in layer.bits:
            beside = number + ASIDE * len(layers) / width
            draw_quantity(axes, beside, layer.bits[MLP], Mark(MARKS[MLP], LINE, False, 3.5), upright=True)
    _style(axes, len(layers))
    axes.set_ylabel("bits per pixel", fontsize=7.5)


def _style(axes: Axes, count: int) -> None:
    axes.set(xlim=(-0.7, count - 0.3), xticks=())
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(labelsize=7, length=3, width=0.6, color=LINE)


def _draw_rungs(axes: Axes, profile: Profile) -> None:
    """A line for every reference, with its name at the right."""
    floors = {name_floor(name): one.value for name, one in _linear_floors(profile).items()}
    rungs = [("H0", profile.prior.value), *floors.items()]
    for name, value in rungs:
        axes.axhline(value, color=INK if name == "H0" else FAINT, linewidth=0.9, zorder=0)
    write_beside(axes, [(f"{name} {value:.3f}", value) for name, value in rungs], LADDER)


def _linear_floors(profile: Profile) -> dict[str, Quantity]:
    """The references of the linear reader, which layers are compared with."""
    return {name: one for name, one in profile.floors.items() if name == POSITION or name.split()[-1].isdecimal()}


def name_floor(name: str) -> str:
    """What a reference is called on a figure.

    Example:
        >>> name_floor("patch 15"), name_floor("position")
        ('15-pixel window', 'position alone')
    """
    return "position alone" if name == POSITION else f"{name.split()[1]}-pixel window"


def _name_layers(axes: Axes, profile: Profile) -> None:
    """Names below, and above which part of the U they are."""
    names = [shorten(layer.layer, LONGEST_NAME) for layer in profile.layers]
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.tick_params(axis="x", length=0)
    order = [layer.layer for layer in profile.layers]
    for side, layers in group_layers(profile.wiring).items():
        start, end = order.index(layers[0]) - 0.45, order.index(layers[-1]) + 0.45
        color = color_layers(profile.wiring)[layers[len(layers) // 2]]
        style: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "clip_on": False}
        axes.plot([start, end], [1.02, 1.02], color=color, linewidth=2.5, solid_capstyle="butt", **style)
        if end - start > 1.5:
            name = SIDES[side][0]
            axes.text((start + end) / 2, 1.035, name, fontsize=7, color=INK, ha="center", va="bottom", **style)


def _draw_key(canvas: Canvas, profile: Profile) -> None:
    """Which mark is which reader, and which line which twin."""
    left, y = BORDER + AXIS, -0.58
    style: dict[str, Any] = {"fontsize": 7.5, "color": INK, "va": "center"}
    marks = {
        "linear reader": Mark("o", INK),
        "cannot tell, or fails its control": Mark("o", INK, False),
        "MLP": Mark("s", LINE, False, 3.5),
    }
    for text, mark in marks.items():
        canvas.paper.plot(left, y, **mark.style)
        canvas.paper.text(left + 0.09, y, text, **style)
        left += 0.3 + 0.064 * len(text)
    for text, dashes in (("untrained", TWINS[UNTRAINED]), ("labels of other images", TWINS[SHUFFLED])):
        canvas.paper.plot([left, left + 0.3], [y, y], color=LINE, linewidth=1.1, linestyle=dashes)
        canvas.paper.text(left + 0.37, y, text, **style)
        left += 0.6 + 0.064 * len(text)


def _draw_strata(canvas: Canvas, profile: Profile, width: float) -> None:
    """Near label edges and elsewhere, each as a share of its own H0."""
    top, each = HEADING + LADDER + NAMES + 0.25, (width + RUNGS - BETWEEN) / 2
    shown = {name: [one for one in profile.layers if name in one.bits] for name in STRATA_TITLES}
    shares = {name: [_relate(one.bits[name]) for one in layers] for name, layers in shown.items()}
    limits = find_limits([one for stratum in shares.values() for one in stratum], 0.0, 1.0)
    for number, (name, title) in enumerate(STRATA_TITLES.items()):
        axes = canvas.add_axes(BORDER + AXIS + number * (each + BETWEEN), top, each, STRATA)
        scale = f"; H0 = {shown[name][0].bits[name].scale:.3f} bits" if shown[name] else ", not measured"
        axes.set_title(f"{title}{scale}", fontsize=7.5, color=INK, loc="left")
        _draw_stratum(axes, profile, shown[name], shares[name])
        axes.set_ylim(limits)


def _draw_stratum(axes: Axes, profile: Profile, layers: Sequence[LayerProfile], shares: Sequence[Quantity]) -> None:
    colors, order = color_layers(profile.wiring), [layer.layer for layer in profile.layers]
    for height in (0, 1):
        axes.axhline(height, color=FAINT, linewidth=0.9, zorder=0)
    for layer, share in zip(layers, shares, strict=True):
        draw_quantity(axes, order.index(layer.layer), share, Mark("o", colors[layer.layer], size=3.5), upright=True)
    _style(axes, len(order))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set_ylabel("of its H0", fontsize=7.5)


def _relate(quantity: Quantity) -> Quantity:
    """A quantity as a share of its scale."""
    scale = quantity.scale or 1.0
    tally = quantity.tally
    return Quantity(Tally(tally.sums / scale, tally.counts, tally.member), 1.0, quantity.allowed)
