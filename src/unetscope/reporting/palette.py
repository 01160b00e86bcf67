"""Colors, strokes and marks with a fixed meaning in all figures; knows words and wirings, neither numbers nor axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib
from matplotlib.colors import to_hex

from unetscope.information.findings import CONVOLUTIONAL, LINEAR, MLP, Word
from unetscope.reporting.placement import Side, place_layers
from unetscope.wiring import IMAGE, Wiring

INK, LINE, FAINT = "#222222", "#6e6e6e", "#d4d4d4"


@dataclass(frozen=True)
class Stroke:
    """How a line is drawn: by color and by dashes, so that either is enough."""

    color: str
    dashes: tuple[float, ...] = ()
    width: float = 1.6

    @property
    def style(self) -> str | tuple[float, tuple[float, ...]]:
        """The line style as matplotlib takes it."""
        return (0, self.dashes) if self.dashes else "-"


STROKES: Mapping[Word, Stroke] = {
    "needed": Stroke("#0072b2", width=2.0),
    "redundant": Stroke("#d55e00", (4, 1.6)),
    "dead": Stroke("#222222", (1, 1.4)),
    "cannot tell": Stroke("#8a8a8a", (5, 1.5, 1, 1.5)),
}
"""How the words of findings look; blue and vermilion of Okabe & Ito are told apart by color-blind readers."""

MARKS: Mapping[str, str] = {LINEAR: "o", MLP: "s", CONVOLUTIONAL: "^"}
"""The mark of each family of readers."""

SIDES: Mapping[Side, tuple[str, str]] = {
    "left": ("encoder", "Blues"),
    "middle": ("bottleneck", "Greys"),
    "right": ("decoder", "Oranges"),
}
"""What the parts of a U are called, and their ranges of colors."""


def color_layers(wiring: Wiring) -> dict[str, str]:
    """A color for every layer: its range says on which side of the U it stands, its darkness how far along.

    Example:
        >>> color_layers(Wiring({"a": ("image",), "head": ("a",)}, {"a": (1, 1), "head": (1, 1)}, {}))
        {'a': '#959595', 'head': '#0e0e0e'}
    """
    colors: dict[str, str] = {}
    for side, layers in group_layers(wiring).items():
        shades = matplotlib.colormaps[SIDES[side][1]]
        for index, layer in enumerate(layers):
            colors[layer] = to_hex(shades(0.5 + 0.45 * index / max(1, len(layers) - 1)))
    return colors


def group_layers(wiring: Wiring) -> dict[Side, list[str]]:
    """The layers on each side of the U, in order; sides without layers are left out.

    Example:
        >>> group_layers(Wiring({"a": ("image",), "head": ("a",)}, {"a": (1, 1), "head": (1, 1)}, {}))
        {'middle': ['a', 'head']}
    """
    places = place_layers(wiring).places
    groups: dict[Side, list[str]] = {side: [] for side in SIDES}
    for layer, place in places.items():
        if layer != IMAGE:
            groups[place.side].append(layer)
    return {side: layers for side, layers in groups.items() if layers}
