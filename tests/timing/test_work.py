"""What is to do against what the network is: its multiply-adds, its outputs, its sizes."""

from __future__ import annotations

from itertools import product
from math import prod

import pytest

from unetscope.errors import SizeError
from unetscope.model.cost import count_cost
from unetscope.model.geometry import fitting_shape
from unetscope.model.spec import UNetSpec
from unetscope.timing.law import count_amounts
from unetscope.timing.work import CONVOLUTIONS, list_work

DOWN_UP = [*product(("max", "strided"), ("transposed", "nearest", "linear", "subpixel")), ("max", "unpool")]
SPECS = [
    UNetSpec.by_level((3, 5, 8), padded=padded, norm=norm, down=down, up=up, ndim=ndim)
    for padded, norm, (down, up), ndim in product((True, False), ("none", "instance"), DOWN_UP, (2, 3))
]
FORMS = [
    UNetSpec.by_level((3,)),
    UNetSpec.by_level((2, 3, 4), skips=(), image_channels=3, classes=1),
    UNetSpec.by_level((2, 3, 4), skips=(1,), down="strided", convolutions=3, padded=False, up="linear"),
    UNetSpec.by_level((2, 3), ndim=3, strides=((1, 2, 3),), up="subpixel"),
]


def shape_for(spec: UNetSpec) -> tuple[int, ...]:
    return fitting_shape(spec, tuple(range(20, 20 + 4 * spec.ndim, 4)))


@pytest.mark.parametrize("spec", [*SPECS, *FORMS])
def test_every_multiply_add_and_every_layer_is_there(spec):
    work, cost = list_work(spec, shape_for(spec)), count_cost(spec, shape_for(spec))
    for layer in cost.layers:
        own = [each for each in work if each.layer == layer.layer]
        assert sum(each.multiply_adds for each in own) == layer.multiply_adds
        made = own[-1] if layer.layer != "head" else next(each for each in own if each.kind == "pointwise")
        assert made.writes == layer.activations
    assert {each.layer for each in work} == {"image", *spec.wiring.layers}


@pytest.mark.parametrize("spec", [*SPECS, *FORMS])
def test_convolutions_have_widths_and_passes_have_none(spec):
    for each in list_work(spec, shape_for(spec)):
        assert (each.kind in CONVOLUTIONS) == (each.multiply_adds > 0)
        assert min(each.pixels, each.reads, each.writes) > 0


def test_the_work_of_a_small_network_counted_by_hand():
    spec = UNetSpec.by_level((4, 8), convolutions=1, norm="batch", up="nearest", down="strided")
    found = [(each.kind, each.pixels, each.reads, each.writes) for each in list_work(spec, (4, 6))]
    assert found == [
        ("enter", 24, 24, 24),
        ("conv", 24, 24, 96),
        ("batch", 24, 96, 96),
        ("relu", 24, 96, 96),
        ("strided", 6, 96, 24),
        ("conv", 6, 24, 48),
        ("batch", 6, 48, 48),
        ("relu", 6, 48, 48),
        ("nearest", 24, 48, 192),
        ("conv", 24, 192, 96),
        ("join", 24, 192, 192),
        ("conv", 24, 192, 96),
        ("batch", 24, 96, 96),
        ("relu", 24, 96, 96),
        ("pointwise", 24, 96, 48),
        ("leave", 24, 48, 48),
    ]


@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec.padded])
def test_amounts_grow_in_proportion_to_the_image(spec):
    small = count_amounts(list_work(spec, (16,) * spec.ndim), 2)
    large = count_amounts(list_work(spec, (32,) * spec.ndim), 2)
    fixed = {"calls"}
    assert {name: large[name] / small[name] for name in small if name not in fixed} == pytest.approx(
        dict.fromkeys(small.keys() - fixed, prod((2,) * spec.ndim))
    )
    assert large["calls"] == small["calls"]


def test_a_shape_that_the_network_cannot_take_is_refused():
    with pytest.raises(SizeError, match="use"):
        list_work(UNetSpec.by_level((4, 8)), (5, 6))
