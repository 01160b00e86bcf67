"""Figures for a paper of two columns, each as SVG, PDF and PNG; draws results and measures nothing.

Titles and explanations belong into the paper's captions; figures say what their axes and marks are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unetscope.errors import DataError
from unetscope.information.findings import LINEAR, Part
from unetscope.information.profile import Profile
from unetscope.information.profile_text import order_gates
from unetscope.information.quantity import GATE_SHARE
from unetscope.reporting.epochs import choose_epochs
from unetscope.reporting.figures import PAPER_STYLE, save_paper_figure, styled
from unetscope.reporting.palette import FAINT, INK, LINE, STROKES
from unetscope.reporting.pareto import draw_paretos
from unetscope.reporting.plane import Profiles, has_plane, plot_plane
from unetscope.reporting.u_figure import COLUMN, TEXT, draw_u, draw_us, shorten_to
from unetscope.reporting.whiskers import Mark, draw_quantity, find_limits

if TYPE_CHECKING:
    from unetscope.slimming.comparison import Comparison

SMALL_US = 6
PLANE_HEIGHT, PARETO_HEIGHT = 2.9, 3.1  # inches, as all lengths here
NAMES, BETWEEN, BITS_SHARE, EDGE = 1.02, 0.16, 0.62, 0.12
GATE, PART, ABOVE, BELOW = 0.15, 0.135, 0.08, 0.56
DASHES = (0, (4, 3))


def save_figures(
    profiles: Sequence[tuple[int, Profile]], folder: Path | str, comparison: Comparison | None = None
) -> list[Path]:
    """Draw what a paper shows of a network, each figure as SVG, PDF and PNG.

    Args:
        profiles: Epochs and profiles of one network; none if only a comparison is drawn.
        folder: Where to write; it is created.
        comparison: Networks side by side.

    Returns:
        The files. Of the last profile: paper-u, paper-plane where the information about the input was measured, and
        paper-gates where there are gates; of several: paper-u-epochs; of a comparison: paper-pareto-multiply-adds, and
        paper-pareto-milliseconds where there are times. The same results give the same bytes.

    Raises:
        DataError: Neither profiles nor a comparison came, or the profiles have different layers.
        OutputError: A file cannot be written.
    """
    if not profiles and comparison is None:
        raise DataError("neither a profile nor a comparison came; give one of them")
    ordered = sorted(profiles, key=lambda pair: pair[0])
    if any(one.wiring.layers != ordered[0][1].wiring.layers for _, one in ordered):
        raise DataError("the profiles have different layers; give those of one network at several epochs")
    with styled(PAPER_STYLE):
        figures = _draw_profiles(ordered) if ordered else {}
        if comparison:
            figures |= draw_paretos(comparison, (COLUMN, PARETO_HEIGHT), titled=False)
    return [
        path for name, figure in figures.items() for path in save_paper_figure(figure, Path(folder) / f"paper-{name}")
    ]


def _draw_profiles(profiles: Profiles) -> dict[str, Figure]:
    """Figures of profiles by name."""
    last = profiles[-1][1]
    figures = {"u": draw_u(last)}
    if len(profiles) > 1:
        figures["u-epochs"] = draw_us([profiles[index] for index in choose_epochs(len(profiles), SMALL_US)])
    if has_plane(last):
        figures["plane"] = draw_paper_plane(profiles)
    if last.gates:
        figures["gates"] = draw_paper_gates(last)
    return figures


def draw_paper_plane(profiles: Profiles) -> Figure:
    """Draw the information plane as wide as a column.

    Args:
        profiles: Epochs and profiles, in order.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(COLUMN, PLANE_HEIGHT), facecolor="white")
    left, bottom, right, top = 0.52, 0.42, 0.06, 0.22
    width, height = COLUMN - left - right, PLANE_HEIGHT - bottom - top
    place = (left / COLUMN, bottom / PLANE_HEIGHT, width / COLUMN, height / PLANE_HEIGHT)
    plot_plane(figure.add_axes(place), profiles)
    return figure


def draw_paper_gates(profile: Profile) -> Figure:
    """Draw what every path into a gate adds, and the Dice lost without it, as wide as a column.

    Args:
        profile: A profile with gates.

    Returns:
        The figure: from full resolution down, a mark with its interval for each path, in the color of its word.
    """
    gates = order_gates(profile)
    rows = [(gate, part) for gate in gates for part in reversed(gate.parts)]
    inside = ABOVE + GATE * len(gates) + PART * len(rows)
    height = inside + BELOW
    figure = Figure(figsize=(COLUMN, height), facecolor="white")
    bits, dice = _add_columns(figure, profile, [part for _, part in rows], inside)
    y = -ABOVE
    for gate in gates:
        _write(bits, y - GATE / 2, gate.join, is_gate=True)
        y -= GATE
        for part in reversed(gate.parts):
            _draw_part(bits, dice, part, y - PART / 2)
            y -= PART
    _draw_words(figure, {part.status.word for _, part in rows})
    return figure


def _add_columns(figure: Figure, profile: Profile, parts: Sequence[Part], inside: float) -> tuple[Axes, Axes]:
    """Axes for bits and for Dice."""
    height, room = figure.get_figheight(), COLUMN - NAMES - BETWEEN - EDGE
    columns = []
    for left, width in ((NAMES, room * BITS_SHARE), (NAMES + room * BITS_SHARE + BETWEEN, room * (1 - BITS_SHARE))):
        axes = figure.add_axes((left / COLUMN, BELOW / height, width / COLUMN, inside / height))
        axes.set(ylim=(-inside, 0), yticks=(), facecolor="none")
        axes.spines[["top", "left", "right"]].set_visible(False)
        axes.tick_params(labelsize=TEXT, length=2, width=0.5, color=LINE, pad=1.5)
        axes.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
        columns.append(axes)
    bits, dice = columns
    threshold = GATE_SHARE * profile.prior.value
    bits.set_xlim(find_limits((part.added[LINEAR] for part in parts), 0.0, 2 * threshold))
    dice.set_xlim(find_limits((part.lost_dice for part in parts), 0.0, 0.01))
    bits.axvline(threshold, color=INK, linewidth=0.7, linestyle=DASHES, zorder=1)
    bits.set_xlabel("bits per pixel added", fontsize=TEXT, labelpad=1.5)
    dice.set_xlabel("Dice lost", fontsize=TEXT, labelpad=1.5)
    bits.locator_params(axis="x", nbins=4)
    dice.locator_params(axis="x", nbins=3)
    return bits, dice


def _draw_part(bits: Axes, dice: Axes, part: Part, y: float) -> None:
    color = STROKES[part.status.word].color
    draw_quantity(bits, y, part.added[LINEAR], Mark("o", color, size=3))
    draw_quantity(dice, y, part.lost_dice, Mark("o", color, size=3))
    _write(bits, y, part.kind if part.kind == "up" else f"skip {part.source}", is_gate=False)


def _write(axes: Axes, y: float, text: str, is_gate: bool) -> None:
    """A name to the left of the axes."""
    indent = 0.0 if is_gate else 0.1
    left = (0.04 + indent - NAMES) * 72
    style: dict[str, Any] = {"color": INK, "fontweight": "bold"} if is_gate else {"color": LINE}
    fitting = shorten_to(text, (NAMES - indent - 0.1) * 72 / (1.12 if is_gate else 1.0))
    place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    axes.annotate(fitting, (0, y), (left, 0), va="center", ha="left", fontsize=TEXT, **place, **style)


def _draw_words(figure: Figure, words: set[str]) -> None:
    """Which color is which word."""
    handles = [
        figure.axes[0].plot([], [], label=word, **Mark("o", stroke.color, size=3).style)[0]
        for word, stroke in STROKES.items()
        if word in words
    ]
    style: dict[str, Any] = {"frameon": False, "handletextpad": 0.1, "columnspacing": 1.0, "borderpad": 0.2}
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), fontsize=TEXT, **style)
