"""The U is drawn to scale, nothing in it covers anything else, and its lines go where data goes."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from u_wirings import NESTED, OURS, RESIDUAL, WIRINGS, any_wirings, unets

from unetscope.errors import DataError
from unetscope.reporting.page.u_columns import LEAST_WIDTH
from unetscope.reporting.page.u_geometry import FULL_HEIGHT, LEAST_HEIGHT, Box, arrange_u
from unetscope.wiring import Wiring

EDGE = 1e-6

wirings = st.one_of(unets(), any_wirings(), st.sampled_from(list(WIRINGS.values())))


def rooms(u):
    """Everything that takes room of its own."""
    boxes = [box for cell in u.cells.values() for box in (cell.block, cell.number, cell.gauge, cell.name)]
    return boxes + [group.room for group in u.groups]


def inner(box):
    """A box without its edges."""
    return Box(box.left + EDGE, box.top + EDGE, box.width - 2 * EDGE, box.height - 2 * EDGE)


def pieces(line):
    """The straight pieces of a line as boxes."""
    for (x, y), (end_x, end_y) in pairwise(line.corners):
        assert x == pytest.approx(end_x) or y == pytest.approx(end_y), "level or upright"
        yield Box(min(x, end_x) - EDGE / 2, min(y, end_y) - EDGE / 2, abs(end_x - x) + EDGE, abs(end_y - y) + EDGE)


def touches(box, point):
    """Whether a point lies on the outline of a box."""
    x, y = point
    inside = box.left - EDGE <= x <= box.right + EDGE and box.top - EDGE <= y <= box.bottom + EDGE
    return inside and not (box.left + EDGE < x < box.right - EDGE and box.top + EDGE < y < box.bottom - EDGE)


@given(wiring=wirings)
@settings(deadline=None, max_examples=60)
def test_nothing_covers_anything_and_all_is_inside(wiring):
    u = arrange_u(wiring)
    boxes = [inner(box) for box in rooms(u)]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    page = Box(0, 0, u.width + 0.1, u.height + 0.1)
    numbers = [line.number for line in u.lines if line.number]
    for box in (*boxes, *numbers, *(piece for line in u.lines for piece in pieces(line))):
        assert box.left >= 0 and box.top >= 0 and box.right <= page.right and box.bottom <= page.bottom
    assert not any(number.overlaps(box) for number in numbers for box in boxes)


@given(wiring=wirings)
@settings(deadline=None, max_examples=60)
def test_lines_join_what_reads_with_what_is_read_and_cross_no_block_and_no_text(wiring):
    u = arrange_u(wiring)
    joined = {(line.source, line.reader) for line in u.lines}
    assert joined == {(source, reader) for reader, sources in wiring.sources.items() for source in sources}
    boxes = [inner(box) for box in rooms(u)]
    for line in u.lines:
        assert touches(u.cells[line.source].block, line.corners[0])
        assert touches(u.cells[line.reader].block, line.corners[-1])
        assert not any(piece.overlaps(box) for piece in pieces(line) for box in boxes)


@given(wiring=wirings)
@settings(deadline=None, max_examples=40)
def test_blocks_are_to_scale(wiring):
    u = arrange_u(wiring)
    for layer in wiring.layers:
        block, stride = u.cells[layer].block, wiring.strides[layer]
        assert block.height == pytest.approx(max(LEAST_HEIGHT, FULL_HEIGHT / prod(stride) ** (1 / len(stride))))
        assert block.width == pytest.approx(max(LEAST_WIDTH, u.per_channel * wiring.widths.get(layer, 0)))


@pytest.mark.parametrize("name", ["lee2021", "default", "flat", "wide", "volumes"])
def test_a_unet_is_about_1000_units_wide_and_its_skips_are_bridges(name):
    u = arrange_u(OURS[name].wiring)
    assert 1000 < u.width < 1150 and u.height < 700
    for line in u.lines:
        if line.kind == "skip":
            assert line.corners[0][0] == pytest.approx(u.cells[line.source].block.right), "leaves the side"
            assert line.number is not None
        elif u.cells[line.source].block.top != u.cells[line.reader].block.top:
            assert len(line.corners) == 3, "one bend from row to row"
    skips = [line for line in u.lines if line.kind == "skip"]
    others = [piece for line in u.lines if line.kind != "skip" for piece in pieces(line)]
    assert not any(piece.overlaps(other) for line in skips for piece in list(pieces(line))[1:] for other in others)


def test_two_networks_can_share_a_scale():
    large, small = OURS["default"].wiring, OURS["slim"].wiring
    scale = arrange_u(large).per_channel
    assert arrange_u(small, scale).per_channel == scale
    assert arrange_u(small, scale).cells["head"].block.width == arrange_u(large).cells["head"].block.width


def test_kinds_are_those_of_gates():
    kinds = {(line.source, line.reader): line.kind for line in arrange_u(NESTED).lines}
    assert [kinds[source, "x02"] for source in ("x00", "x01", "up02")] == ["skip", "skip", "up"]
    assert kinds["x02", "out"] == "plain"


BAD = {
    "no layers": Wiring({}, {}, {}),
    "unknown source": Wiring({"a": ("b",)}, {"a": (1, 1)}, {}),
    "a loop": Wiring({"a": ("image", "b"), "b": ("a",)}, {"a": (1, 1), "b": (1, 1)}, {}),
    "no source": Wiring({"a": ()}, {"a": (1, 1)}, {}),
    "no stride": Wiring({"a": ("image",)}, {}, {}),
    "stride zero": Wiring({"a": ("image",)}, {"a": (0, 1)}, {}),
    "stride of text": Wiring({"a": ("image",)}, {"a": ("2", "2")}, {}),
    "negative width": replace(RESIDUAL, widths={"model.0": -1}),
    "endless width": replace(RESIDUAL, widths={"model.0": float("inf")}),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_drawn_is_refused_in_words(name):
    with pytest.raises(DataError, match="restore the file"):
        arrange_u(BAD[name])
