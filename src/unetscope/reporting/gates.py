"""The gates of a network: what every path adds given the other, with intervals; draws a profile, measures nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from unetscope.errors import DataError
from unetscope.information.findings import CONVOLUTIONAL, LINEAR, MLP, POSITION, Gate, Part
from unetscope.information.profile import Profile
from unetscope.information.profile_text import format_quantity, order_gates
from unetscope.information.quantity import GATE_SHARE, Quantity
from unetscope.reporting.canvas import Canvas, wrap
from unetscope.reporting.figures import styled
from unetscope.reporting.palette import FAINT, INK, LINE, MARKS, STROKES
from unetscope.reporting.panel import shorten
from unetscope.reporting.whiskers import Mark, draw_quantity, find_limits

BORDER = 0.2  # inches, as all lengths here
NAMES, BITS, DICE, WORDS = 2.3, 4.1, 2.0, 2.7
BETWEEN = 0.2
HEADING, GATE, PART, FOOT = 0.9, 0.24, 0.44, 1.2
LONGEST_NAME, LONGEST_RUN = 36, 80  # characters that fit
VARIANTS = {
    LINEAR: "linear reader",
    MLP: "MLP",
    CONVOLUTIONAL: "two 3\u00d73 convolutions, as the decoder",
    POSITION: "linear, position known too",
}
SHAPES = {**MARKS, POSITION: "D"}
CAPTION = (
    "Each row: what a path into the gate adds to what the other path tells, in bits per pixel, on held-out images; to "
    "the right of it the Dice lost when the path is replaced by its mean, in this gate alone. Whiskers are 95 % "
    "intervals. A path is needed where the interval of the linear reader lies above the dashed line, 1 % of H0, and "
    "redundant where it lies below; it is dead where it does not vary at all."
)


def draw_gates(profile: Profile) -> Figure:
    """Draw what skip and up path add at every gate, from full resolution down.

    Args:
        profile: The profile.

    Returns:
        A figure of its own size, with no text below 7 points.

    Raises:
        DataError: The network has no gate.
    """
    if not profile.gates:
        raise DataError(f"{profile.name} has no gate, since no layer reads two others; draw its U-Plot instead")
    with styled():
        rows = Rows(order_gates(profile))
        width = 2 * BORDER + NAMES + BITS + DICE + WORDS + 2 * BETWEEN
        canvas = Canvas(width, HEADING + rows.height + FOOT)
        canvas.write(
            BORDER, BORDER, f"What arrives at the gates of {shorten(profile.name, LONGEST_RUN)}", 11, bold=True
        )
        _draw_bands(canvas, rows)
        bits, dice = _add_axes(canvas, profile, rows)
        for gate, part, top in rows.parts:
            _draw_part(bits, dice, part, top)
            _write_part(canvas, gate, part, HEADING + top)
        _draw_key(canvas, profile)
        canvas.write(BORDER, canvas.height - 0.68, wrap(CAPTION, width - 2 * BORDER))
    return canvas.figure


class Rows:
    """How far down gates and their parts stand, in inches below the heading.

    Args:
        gates: In the order of the page.
    """

    def __init__(self, gates: list[Gate]) -> None:
        self.gates: list[tuple[Gate, float]] = []
        self.parts: list[tuple[Gate, Part, float]] = []
        self.height = 0.0
        for gate in gates:
            self.gates.append((gate, self.height))
            upward = reversed(gate.parts)  # the up path first
            self.parts += [(gate, part, self.height + GATE + PART * number) for number, part in enumerate(upward)]
            self.height += GATE + PART * len(gate.parts) + 0.06


def measured_variants(profile: Profile) -> list[str]:
    """The readers that the gates were measured with, and the position where it says something of its own."""
    parts = [part for gate in profile.gates for part in gate.parts]
    families = [name for name in (LINEAR, MLP, CONVOLUTIONAL) if any(name in part.added for part in parts)]
    beyond = any(part.beyond_position.value != part.added[LINEAR].value for part in parts)
    return [*families, POSITION] if beyond else families


def _variants(part: Part) -> Iterator[tuple[str, Quantity]]:
    """Name and quantity of everything that is measured of a part, in bits."""
    yield from ((name, part.added[name]) for name in (LINEAR, MLP, CONVOLUTIONAL) if name in part.added)
    if part.beyond_position.value != part.added[LINEAR].value:
        yield POSITION, part.beyond_position


def _draw_bands(canvas: Canvas, rows: Rows) -> None:
    """A gray band behind every other gate, and the names of all."""
    ends = [top for _, top in rows.gates[1:]] + [rows.height]
    for number, ((gate, top), end) in enumerate(zip(rows.gates, ends, strict=True)):
        corner, width = (BORDER, -HEADING - end), canvas.width - 2 * BORDER
        if number % 2 == 0:
            canvas.paper.add_patch(Rectangle(corner, width, end - top, facecolor="#f4f4f4", edgecolor="none"))
        stride = " \u00d7 ".join(map(str, gate.stride))
        canvas.write(BORDER + 0.08, HEADING + top + 0.06, shorten(gate.join, LONGEST_NAME), 8, bold=True)
        canvas.write(BORDER + NAMES + BITS + DICE + 2 * BETWEEN, HEADING + top + 0.06, f"stride {stride}", 7)


def _add_axes(canvas: Canvas, profile: Profile, rows: Rows) -> tuple[Axes, Axes]:
    """Axes for bits and for Dice, as high as all rows."""
    left, threshold = BORDER + NAMES, GATE_SHARE * profile.prior.value
    bits = canvas.add_axes(left, HEADING, BITS, rows.height)
    dice = canvas.add_axes(left + BITS + BETWEEN, HEADING, DICE, rows.height)
    parts = [part for _, part, _ in rows.parts]
    bits.set_xlim(find_limits((one for part in parts for _, one in _variants(part)), 0.0, 2 * threshold))
    dice.set_xlim(find_limits((part.lost_dice for part in parts), 0.0, 0.01))
    for axes, label in ((bits, "bits per pixel that the path adds, given the other"), (dice, "Dice lost without it")):
        axes.set(ylim=(-rows.height, 0), yticks=(), facecolor="none")
        axes.spines[["top", "left", "right"]].set_visible(False)
        axes.tick_params(labelsize=7, length=3, width=0.6, color=LINE)
        axes.locator_params(axis="x", nbins=6)
        axes.set_xlabel(label, fontsize=7.5, labelpad=2)
        axes.axvline(0, color=FAINT, linewidth=0.9, zorder=0)
    bits.axvline(threshold, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    return bits, dice


def _draw_part(bits: Axes, dice: Axes, part: Part, top: float) -> None:
    color, variants = STROKES[part.status.word].color, list(_variants(part))
    step = min(0.12, (PART - 0.1) / len(variants))
    for number, (name, quantity) in enumerate(variants):
        y = -top - PART / 2 - step * (number - (len(variants) - 1) / 2)
        draw_quantity(bits, y, quantity, Mark(SHAPES[name], color, name == LINEAR, 5 if name == LINEAR else 4))
    draw_quantity(dice, -top - PART / 2, part.lost_dice, Mark("o", color))


def _write_part(canvas: Canvas, gate: Gate, part: Part, top: float) -> None:
    """What the part is, on the left; what is found, on the right."""
    left, right = BORDER + 0.08, BORDER + NAMES + BITS + DICE + 2 * BETWEEN
    other = "rest" if len(gate.parts) > 2 else "skip" if part.kind == "up" else "up"
    canvas.write(left, top + 0.07, f"I({part.kind} | {other})", 7.5)
    canvas.write(left, top + 0.23, f"from {shorten(part.source, LONGEST_NAME - 6)}", 7)
    stroke = STROKES[part.status.word]
    style: dict[str, Any] = {"color": stroke.color, "linewidth": stroke.width, "linestyle": stroke.style}
    canvas.paper.plot([right, right + 0.3], [-top - 0.13] * 2, **style)
    canvas.write(right + 0.4, top + 0.06, part.status.word, 8.5, bold=True)
    canvas.write(right + 1.3, top + 0.07, _remark(part), 7)
    canvas.write(right + 0.4, top + 0.23, f"{format_quantity(part.added[LINEAR])} bits", 7)


def _remark(part: Part) -> str:
    """What limits a status."""
    if part.flips:
        return f"{' and '.join(part.flips)}: the contrary"
    return f"about {part.status.images} images would" if part.status.images else ""


def _draw_key(canvas: Canvas, profile: Profile) -> None:
    """Which mark is which reader."""
    style: dict[str, Any] = {"fontsize": 7.5, "color": INK, "va": "center"}
    left, y = BORDER + NAMES, -HEADING + 0.28
    canvas.paper.text(BORDER, y, f"H0 = {profile.prior.value:.3f} bits, {len(profile.images)} images", **style)
    for name in measured_variants(profile):
        mark = Mark(SHAPES[name], INK, name == LINEAR, 5 if name == LINEAR else 4)
        canvas.paper.plot(left, y, **mark.style)
        canvas.paper.text(left + 0.1, y, VARIANTS[name], **style)
        left += 0.35 + 0.064 * len(VARIANTS[name])
    canvas.paper.plot([left, left + 0.3], [y, y], color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    canvas.paper.text(left + 0.37, y, "1 % of H0", **style)
