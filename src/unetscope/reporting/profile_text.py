"""A profile in words and tables, for terminals and pages; knows profiles, neither colors nor where the text goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

from unetscope.information.findings import LINEAR, MLP, SHUFFLED, UNTRAINED, Gate, Part
from unetscope.information.profile import Profile
from unetscope.information.quantity import Quantity

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

Row = tuple[str, ...]


def format_layers(profile: Profile) -> list[Row]:
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
    return rows


def format_gates(profile: Profile) -> list[Row]:
    """Every part of every gate as a row below `GATE_COLUMNS`, the finest gate first.

    Args:
        profile: The profile.

    Returns:
        Rows; bits per pixel, and Dice lost when the part becomes its mean.
    """
    return [
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
    ]


def format_markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""Rows as a table in Markdown.

    Example:
        >>> print(format_markdown(("layer", "bits"), [("a|b", "0.5")]))
        | layer | bits |
        |---|---|
        | a\|b | 0.5 |
    """
    lines = [[cell.replace("|", "\\|") for cell in row] for row in (columns, *rows)]
    head, *body = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([head, f"|{'---|' * len(columns)}", *body])


def select(columns: Sequence[str], rows: Sequence[Row], wanted: Sequence[str]) -> list[Row]:
    """Some columns of a table, in another order if wanted.

    Example:
        >>> select(("a", "b", "c"), [("1", "2", "3")], ("c", "a"))
        [('3', '1')]
    """
    places = [columns.index(name) for name in wanted]
    return [tuple(row[place] for place in places) for row in rows]


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
