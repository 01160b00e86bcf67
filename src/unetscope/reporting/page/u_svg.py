"""The U as SVG, for the page and as a file of its own; knows geometry, names and classes, neither colors nor numbers.

All colors are in `assets/u.css`. The page puts values into the drawing; a drawing that stands alone carries them, and
that style sheet, in itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from unetscope.reporting.page.u_corners import Point, bend
from unetscope.reporting.page.u_geometry import Box, Cell, Group, Line, UGeometry, arrange_u
from unetscope.wiring import IMAGE, Wiring
from unetscope.wording import format_count

BASELINE = 0.8  # of the height of a text's room, from its top
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
STAND_ALONE = 'xmlns="http://www.w3.org/2000/svg" '


@dataclass(frozen=True)
class Shown:
    """What a drawing that stands alone says of a layer.

    Attributes:
        share: Of the color range and of the gauge, 0 to 1.
        text: Its number.
        hollow: Whether the number proves nothing: no color, and a broken outline.
        ends: Of the interval, as shares; no whisker if None.
    """

    share: float
    text: str
    hollow: bool = False
    ends: tuple[float, float] | None = None


def draw_svg(
    wiring: Wiring, name: str, standalone: Mapping[str, Shown] | None = None, per_channel: float | None = None
) -> str:
    """Draw a network as a U.

    Args:
        wiring: Any network's.
        name: What the network is called.
        standalone: Values of layers, for a drawing that is a file of its own and carries its style sheet; None for one
            that a page puts values into.
        per_channel: Units of width per channel, as in `arrange_u`.

    Returns:
        An `<svg class="u">`; its text is the same each time, and every name in it is escaped.

    Raises:
        DataError: As `arrange_u`.

    Example:
        >>> wiring = Wiring({"head": ("image",)}, {"head": (1, 1)}, {"image": 1, "head": 2})
        >>> print(draw_svg(wiring, "<tiny>").splitlines()[0].partition(" role=")[2])
        "group" aria-label="&lt;tiny&gt;, a network of 1 layer in 1 row">
    """
    u = arrange_u(wiring, per_channel)
    layers, rows = len(wiring.layers), len({cell.block.top for cell in u.cells.values()})
    label = f"{name}, a network of {format_count(layers, 'layer')} in {format_count(rows, 'row')}"
    alone = standalone is not None
    size = f'viewBox="0 0 {_write(u.width)} {_write(u.height)}"'
    width = f' style="--u-width:{_write(u.width)}"' if alone else ""  # a page forbids styles in attributes
    head = f'<svg {STAND_ALONE if alone else ""}class="u" {size}{width} role="group" {_label(label)}>'
    style = () if not alone else ("<style>", read_style().strip(), "</style>")
    return "\n".join([head, *style, *_draw_all(u, standalone or {}), "</svg>", ""])


def read_style() -> str:
    """The style sheet of the drawing."""
    return (files("unetscope.reporting.page") / "assets" / "u.css").read_text(encoding="utf-8")


def clean(text: str) -> str:
    """Text that may stand in HTML and XML, in an attribute or between tags.

    Example:
        >>> clean('a<b> "c"')
        'a&lt;b&gt; &quot;c&quot;'
    """
    return escape(UNPRINTABLE.sub("\ufffd", text), quote=True)


def trace_path(corners: Sequence[Point]) -> str:
    """A line with rounded corners, as the attribute `d` of a path.

    Example:
        >>> trace_path([(0, 0), (20, 0), (20, 20)])
        'M0 0L13 0Q20 0 20 7L20 20'
    """
    bends = (f"L{_pair(start)}Q{_pair(corner)} {_pair(end)}" for start, corner, end in bend(corners))
    return f"M{_pair(corners[0])}{''.join(bends)}L{_pair(corners[-1])}"


def _draw_all(u: UGeometry, shown: Mapping[str, Shown]) -> Iterator[str]:
    """Lines below blocks, plain ones lowest; then what is written."""
    yield '<g class="lines">'
    yield from map(_draw_line, sorted(u.lines, key=lambda line: ("plain", "up", "skip").index(line.kind)))
    yield "</g>"
    yield '<g class="groups" aria-hidden="true">'
    yield from map(_draw_group, u.groups)
    yield "</g>"
    for layer, cell in u.cells.items():
        yield from _draw_image(cell) if layer == IMAGE else _draw_layer(cell, shown.get(layer))


def _draw_line(line: Line) -> str:
    ends = f'data-from="{clean(line.source)}" data-to="{clean(line.reader)}"'
    path = f'<path class="bridge {line.kind}" {ends} d="{trace_path(line.corners)}"/>'
    return path if line.number is None else f'{path}<text class="bits" {ends} {_place(line.number)}></text>'


def _draw_group(group: Group) -> str:
    """A name between two strokes that end where its layers do."""
    room, y = group.room, group.room.top + group.room.height * 0.5
    half = len(group.text) * 2.9 + 5
    ends = [(room.left + 1, room.middle - half), (room.middle + half, room.right - 1)]
    strokes = "".join(f"M{_pair((start, y))}H{_write(end)}" for start, end in ends if end - start > 6)
    text = f'<text class="group" {_place(room)}>{clean(group.text)}</text>'
    return f'<path class="span" d="{strokes}"/>{text}' if strokes else text


def _draw_image(cell: Cell) -> list[str]:
    return [
        '<g class="image">',
        f"<title>{clean(_describe(cell))}</title>",
        f'<rect class="block" {_corners(cell.block)}/>',
        f'<text class="name" {_place(cell.name)}>{clean(cell.label)}</text>',
        "</g>",
    ]


def _draw_layer(cell: Cell, shown: Shown | None) -> list[str]:
    description, gauge = _describe(cell), cell.gauge
    more = f' style="--share:{min(max(shown.share, 0.0), 1.0):.3f}"' if shown else ""
    name = f'class="layer{" hollow" if shown and shown.hollow else ""}" data-layer="{clean(cell.layer)}"{more}'
    places = (("x", gauge.left), ("y", gauge.top), ("w", gauge.width), ("h", gauge.height))
    place = " ".join(f'data-{key}="{_write(value)}"' for key, value in places)
    return [
        f'<g {name} tabindex="0" role="button" {_label(description)}>',
        f"<title>{clean(description)}</title>",
        f'<rect class="ground" {_corners(cell.whole)}/>',
        f'<rect class="block" {_corners(cell.block)}/>',
        f'<text class="number" {_place(cell.number)}>{clean(shown.text) if shown else ""}</text>',
        f'<g class="gauge" {place}>{"".join(_fill_gauge(gauge, shown)) if shown else ""}</g>',
        f'<text class="name" {_place(cell.name)}>{clean(cell.label)}</text>',
        "</g>",
    ]


def _fill_gauge(room: Box, shown: Shown) -> Iterator[str]:
    """A bar as long as the share, with a whisker."""
    bar = Box(room.left, room.top + 2, room.width, room.height - 4)
    level = Box(bar.left, bar.top, bar.width * min(max(shown.share, 0.0), 1.0), bar.height)
    yield f'<rect class="track" {_corners(bar)}/><rect class="level" {_corners(level)}/>'
    if shown.ends:
        low, high = (room.left + room.width * min(max(end, 0.0), 1.0) for end in shown.ends)
        y = room.top + room.height / 2
        yield f'<path class="whisker" d="M{_pair((low, y))}H{_write(high)}"/>'


def _describe(cell: Cell) -> str:
    """A layer in words.

    Strides that are alike along all axes are one number.
    """
    strides = cell.stride if len(set(cell.stride)) > 1 else cell.stride[:1]
    channels = f", {format_count(cell.channels, 'channel')}" if cell.channels else ""
    stride = " \u00d7 ".join(map(_write, strides))
    return f"{cell.layer}{channels}, stride {stride}"


def _label(text: str) -> str:
    return f'aria-label="{clean(text)}"'


def _place(room: Box) -> str:
    """Where a text stands that is centered in its room."""
    return f'x="{_write(room.middle)}" y="{_write(room.top + BASELINE * room.height)}"'


def _corners(box: Box) -> str:
    values = zip(("x", "y", "width", "height"), (box.left, box.top, box.width, box.height), strict=True)
    return " ".join(f'{name}="{_write(value)}"' for name, value in values)


def _pair(point: Point) -> str:
    return " ".join(map(_write, point))


def _write(value: float) -> str:
    """A length to a tenth of a unit."""
    return f"{round(value + 0.0, 1):g}" if abs(value) < 1e5 else f"{value:.1f}"
