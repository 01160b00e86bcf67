"""A wiring lists layers before their readers and knows when an output can be forgotten."""

from __future__ import annotations

from itertools import product

import pytest

from unetscope.model.spec import UNetSpec
from unetscope.wiring import HEAD, IMAGE, Wiring

SPECS = [
    UNetSpec.by_level((2, 3, 4)[: depth + 1], down=down, skips=skips, convolutions=convolutions)
    for depth, down, convolutions in product((0, 1, 2), ("max", "strided"), (1, 2, 3))
    for skips in dict.fromkeys((None, (), tuple(range(1, depth))))
]


@pytest.mark.parametrize("spec", SPECS)
def test_data_meets_every_source_before_its_reader(spec):
    wiring = spec.wiring
    met = [IMAGE]
    for layer in wiring.layers:
        assert set(wiring.sources[layer]) <= set(met)
        met.append(layer)
    assert len(met) == len(set(met))
    assert met[-1] == HEAD


@pytest.mark.parametrize("spec", SPECS)
def test_an_output_is_forgotten_after_its_last_reader_only(spec):
    wiring = spec.wiring
    for layer in (IMAGE, *wiring.layers):
        last = wiring.last_reader(layer)
        if layer == HEAD:
            assert last is None
            continue
        later = wiring.layers[wiring.layers.index(last) + 1 :]
        assert layer in wiring.sources[last]
        assert not any(layer in wiring.sources[reader] for reader in later)


@pytest.mark.parametrize("spec", SPECS)
def test_joins_are_where_skips_meet_the_up_path(spec):
    assert set(spec.wiring.joins()) == {f"decoder.{level}.conv1" for level in spec.skip_levels}
    for level in range(spec.depth):
        skip = (f"encoder.{level}.conv{spec.convolutions}",) if level in spec.skip_levels else ()
        assert spec.wiring.sources[f"decoder.{level}.conv1"] == (*skip, f"decoder.{level}.up")


@pytest.mark.parametrize("spec", SPECS)
def test_widths_and_strides_are_given_for_every_layer(spec):
    wiring = spec.wiring
    assert tuple(wiring.widths) == (IMAGE, *wiring.layers)
    assert tuple(wiring.strides) == wiring.layers
    assert {layer: wiring.widths[layer] for layer in spec.widths} == dict(spec.widths)
    assert (wiring.widths[IMAGE], wiring.widths[HEAD]) == (spec.image_channels, spec.classes)


def test_any_network_can_be_described():
    wiring = Wiring(
        {"stem": (IMAGE,), "left": ("stem",), "right": ("stem",), HEAD: ("left", "right", "stem")},
        strides={},
        widths={},
    )
    assert wiring.layers == ("stem", "left", "right", HEAD)
    assert wiring.joins() == (HEAD,)
    assert [wiring.last_reader(layer) for layer in (IMAGE, *wiring.layers)] == ["stem", HEAD, HEAD, HEAD, None]
    assert wiring.last_reader("elsewhere") is None
