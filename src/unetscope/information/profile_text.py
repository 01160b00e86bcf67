"""A profile in words and tables, for terminals and pages; knows profiles, neither colors nor where the text goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import TYPE_CHECKING

from unetscope.information.findings import LINEAR, MLP, SHUFFLED, UNTRAINED, Gate, Part
from unetscope.information.quantity import Quantity
from unetscope.information.sentences import describe
from unetscope.tables import Block, Table

if TYPE_CHECKING:
    from unetscope.information.profile import Profile

LAYER_COLUMNS = ("layer", "stride", "width", "linear", "mlp", "untrained", "shuffled", "by training", "verdict")
GATE_COLUMNS = (
    "gate",
    "part",
    "alone",
    "given the rest",
    "mlp, given the rest",
    "beyond position",
    "Dice lost",
    "status",
)

LAYERS = ("layer", "linear", "untrained", "shuffled", "verdict")
GATES = ("gate", "part", "given the rest", "Dice lost", "status")
"""What a terminal or a notebook has room for."""


def lay_out(profile: Profile) -> Iterator[Block]:
    """The tables of a profile, and what it says; warnings come last.

    Args:
        profile: The profile.
    """
    yield tabulate_layers(profile).select(*LAYERS)
    if profile.gates:
        yield tabulate_gates(profile).select(*GATES)
    yield from describe(profile)


def tabulate_layers(profile: Profile) -> Table:
    """Every layer as a row below `LAYER_COLUMNS`, in bits per pixel with the half-width of the 95 % interval.

    Args:
        profile: The profile.

    Returns:
        Rows in the order that data meets the layers; a dash where something was not measured.
    """
    rows = []
    for layer in profile.layers:
        trained = _difference(layer.bits, LINEAR, UNTRAINED)
        values = [*(layer.bits.get(name) for name in (LINEAR, MLP, UNTRAINED, SHUFFLED)), trained]
        stride = "x".join(map(str, layer.stride))
        rows.append((layer.layer, stride, str(layer.width), *map(format_quantity, values), profile.word(layer)))
    caption = f"{profile.name}: usable bits per pixel at every layer, with half of the 95 % interval"
    return Table(caption, LAYER_COLUMNS, tuple(rows))


def tabulate_gates(profile: Profile) -> Table:
    """Every part of every gate as a row below `GATE_COLUMNS`, the finest gate first.

    Args:
        profile: The profile.

    Returns:
        Rows; bits per pixel, and Dice lost when the part becomes its mean.
    """
    rows = tuple(
        (
            gate.join,
            name_part(gate, part),
            *(format_quantity(values.get(LINEAR)) for values in (part.alone, part.added)),
            format_quantity(part.added.get(MLP)),
            format_quantity(part.beyond_position),
            format_quantity(part.lost_dice),
            describe_status(part),
        )
        for gate in order_gates(profile)
        for part in gate.parts
    )
    caption = f"{profile.name}: what each path adds where paths meet, bits per pixel, and the Dice lost without it"
    return Table(caption, GATE_COLUMNS, rows)


def order_gates(profile: Profile) -> list[Gate]:
    """The gates from full resolution down; those of one resolution as data meets them."""
    return sorted(profile.gates, key=lambda gate: gate.stride)


def name_part(gate: Gate, part: Part) -> str:
    """What a part is called beside its gate: "up", "skip", or "skip" with its source where there are several."""
    kinds = [other.kind for other in gate.parts]
    return part.kind if kinds.count(part.kind) == 1 else f"{part.kind} {part.source}"


def describe_status(part: Part) -> str:
    """The word of a part, with what limits it: images wanted, and families that say otherwise."""
    status = part.status
    wanted = f" (about {status.images} images would)" if status.images else ""
    flips = f" ({', '.join(part.flips)} says otherwise)" if part.flips else ""
    return f"{status.word}{wanted}{flips}"


def format_quantity(quantity: Quantity | None, digits: int = 3) -> str:
    """Value and half-width of its 95 % interval; a dash where it was not measured.

    Example:
        >>> from unetscope.information.tally import Tally
        >>> format_quantity(Quantity(Tally.of([0.5, 0.5, 0.5]), scale=1.0)), format_quantity(None)
        ('0.500 \u00b1 0.000', '-')
    """
    if quantity is None or not isfinite(quantity.value):
        return "-"
    return f"{_trim(quantity.value, digits)} {format_half_width(quantity, digits)}"


def format_half_width(quantity: Quantity, digits: int = 3) -> str:
    """Half of the 95 % interval, with its sign; a question mark where there is none.

    Example:
        >>> from unetscope.information.tally import Tally
        >>> format_half_width(Quantity(Tally.of([0.5]), scale=1.0))
        '\u00b1 ?'
    """
    half = quantity.interval.half_width
    return f"\u00b1 {half:.{digits}f}" if isfinite(half) else "\u00b1 ?"


def _trim(value: float, digits: int) -> str:
    """A number without the sign of a zero."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _difference(bits: Mapping[str, Quantity], name: str, other: str) -> Quantity | None:
    return bits[name].minus(bits[other]) if name in bits and other in bits else None
