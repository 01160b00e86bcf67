"""Any network has a layout in which no two layers share a place."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetscope.model.spec import UNetSpec
from unetscope.reporting.placement import place_layers
from unetscope.wiring import Wiring


@st.composite
def specs(draw):
    depth = draw(st.integers(0, 5))
    return UNetSpec.by_level(
        (2,) * (depth + 1),
        convolutions=draw(st.integers(1, 4)),
        down=draw(st.sampled_from(["max", "strided"])),
        skips=tuple(level for level in range(depth) if draw(st.booleans())),
        ndim=draw(st.integers(2, 3)),
    )


@given(spec=specs())
@settings(deadline=None)
def test_layers_stand_apart_and_every_row_reads_from_left_to_right(spec):
    layout = place_layers(spec.wiring)
    assert tuple(layout.places) == ("image", *spec.wiring.layers)
    assert layout.rows == spec.depth + 1
    for row in range(layout.rows):
        columns = [place.column for place in layout.places.values() if place.row == row]
        assert all(after - before >= 1 - 1e-9 for before, after in pairwise(columns))
    assert min(place.column for place in layout.places.values()) == 0
    assert max(place.column for place in layout.places.values()) + 1 == layout.columns


@given(spec=specs())
@settings(deadline=None)
def test_rows_go_by_resolution_and_sides_by_order(spec):
    layout = place_layers(spec.wiring)
    for layer in spec.wiring.layers:
        place = layout.places[layer]
        assert place.row == spec.level(layer)
        if place.row < spec.depth:
            assert place.side == ("left" if layer.startswith("encoder") else "right")
        else:
            assert place.side == "middle"


def test_the_u_is_symmetric():
    layout = place_layers(UNetSpec.by_level((4, 4, 4, 4), convolutions=1, up="nearest").wiring)
    middle = layout.places["bottleneck.conv1"].column
    for level in range(3):
        left, right = layout.places[f"encoder.{level}.conv1"].column, layout.places[f"decoder.{level}.up"].column
        assert middle - left == pytest.approx(right - middle)
    assert layout.places["encoder.0.conv1"].column < layout.places["encoder.2.conv1"].column


def test_another_network_is_laid_out_too():
    strides = {"stem": (2, 2), "a.0": (4, 4), "b.0": (2, 2), "a.1": (4, 4), "head": (1, 1)}
    sources = {"stem": ("image",), "a.0": ("stem",), "b.0": ("a.0", "stem"), "a.1": ("b.0",), "head": ("a.1", "b.0")}
    layout = place_layers(Wiring(sources, strides, {}))
    places = {layer: (place.row, place.side) for layer, place in layout.places.items()}
    assert places == {
        "image": (0, "left"),
        "stem": (1, "left"),
        "a.0": (2, "middle"),
        "b.0": (1, "right"),
        "a.1": (2, "middle"),
        "head": (0, "right"),
    }
