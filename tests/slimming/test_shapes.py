"""Laws of families of networks: what their member at a cost is, and what all members keep of their origin."""

from __future__ import annotations

from dataclasses import fields
from fractions import Fraction
from itertools import pairwise
from math import inf, nan, prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetscope.errors import SpecError
from unetscope.model.cost import count_cost, count_parameters
from unetscope.model.geometry import fitting_shape, output_shape
from unetscope.model.spec import PRESETS, UNetSpec
from unetscope.slimming.shapes import (
    Shape,
    flat,
    multiply_adds_per_pixel,
    paper_style,
    random_shapes,
    shallower,
    uniform,
    without_skips,
)

KEPT = ("ndim", "norm", "activation", "slope", "down", "up", "padded", "classes", "image_channels", "convolutions")


@st.composite
def specs(draw: st.DrawFn) -> UNetSpec:
    """Networks of every form, each layer as wide as chance has it, as far as unpooling allows."""
    depth, ndim = draw(st.integers(0, 3)), draw(st.sampled_from((2, 3)))
    up = draw(st.sampled_from(("transposed", "nearest", "linear", "subpixel", "unpool")))
    spec = UNetSpec.by_level(
        [8] * (depth + 1),
        ndim=ndim,
        convolutions=draw(st.integers(1, 2)),
        skips=tuple(draw(st.sets(st.integers(0, depth - 1)))) if depth else (),
        padded=draw(st.booleans()),
        norm=draw(st.sampled_from(("none", "batch", "instance"))),
        activation=draw(st.sampled_from(("relu", "leaky"))),
        down="max" if up == "unpool" else draw(st.sampled_from(("max", "strided"))),
        up=up,
        strides=tuple(tuple(draw(st.sampled_from((1, 2))) for _ in range(ndim)) for _ in range(depth)),
        classes=draw(st.integers(1, 3)),
        image_channels=draw(st.integers(1, 3)),
    )
    drawn = {layer: draw(st.integers(1, 20)) for layer in spec.widths}
    return spec.with_widths({layer: drawn[spec.placed_by(layer) or layer] for layer in spec.widths})


def shapes_of(origin: UNetSpec) -> list[Shape]:
    """One family of each kind."""
    return [
        uniform(origin),
        flat(origin),
        flat(origin, depth=origin.depth // 2),
        shallower(origin, origin.depth // 2),
        without_skips(origin, origin.skip_levels[:1]),
        *random_shapes(origin, 2, seed=0),
        *paper_style(origin),
    ]


@given(specs(), st.floats(0.05, 4))
@settings(max_examples=40, deadline=None)
def test_the_member_at_a_cost_is_the_largest_that_costs_no_more(spec: UNetSpec, share: float) -> None:
    cost = share * multiply_adds_per_pixel(spec)
    for shape in shapes_of(spec):
        found = shape.at(cost)
        if found is None:
            assert multiply_adds_per_pixel(shape.scaled(0)) > cost
            continue
        assert multiply_adds_per_pixel(found) <= cost
        assert multiply_adds_per_pixel(next_larger(shape, found)) > cost


def next_larger(shape: Shape, member: UNetSpec) -> UNetSpec:
    """The next member of the family: the layers that are the first to widen have widened by one."""
    first = min((member.widths[layer] + Fraction(1, 2)) / width for layer, width in shape.spec.widths.items())
    larger = shape.scaled(first)
    assert shape.scaled(first * Fraction(999_999, 1_000_000)) == member != larger
    assert all(larger.widths[layer] - member.widths[layer] in (0, 1) for layer in member.widths)
    return larger


@given(specs(), st.lists(st.floats(0, 3), min_size=2, max_size=4))
@settings(max_examples=40, deadline=None)
def test_a_larger_factor_gives_no_narrower_layer_and_no_cheaper_network(spec: UNetSpec, factors: list[float]) -> None:
    for shape in shapes_of(spec):
        members = [shape.scaled(factor) for factor in sorted(factors)]
        for smaller, larger in pairwise(members):
            assert all(smaller.widths[layer] <= larger.widths[layer] for layer in smaller.widths)
            assert multiply_adds_per_pixel(smaller) <= multiply_adds_per_pixel(larger)


@given(specs(), st.floats(0, 3))
@settings(max_examples=40, deadline=None)
def test_members_keep_the_form_of_their_origin(spec: UNetSpec, factor: float) -> None:
    for shape in shapes_of(spec):
        member = shape.scaled(factor)
        assert shape.scaled(1) == shape.spec
        assert UNetSpec.from_json(member.to_json()) == member
        for name in KEPT:
            assert getattr(member, name) == getattr(spec, name)
        assert member.level_strides == spec.level_strides[: member.depth]
        assert set(member.skip_levels) <= set(spec.skip_levels)


@given(specs(), st.floats(0, 3))
@settings(max_examples=40, deadline=None)
def test_uniform_members_are_the_origin_with_rounded_widths(spec: UNetSpec, factor: float) -> None:
    member = uniform(spec).scaled(factor)
    assert member.with_widths(spec.widths) == spec
    for layer, width in spec.widths.items():
        assert member.widths[layer] == 1 or abs(member.widths[layer] - factor * width) <= 0.5
    assert uniform(spec).scaled(0) == spec.with_widths(dict.fromkeys(spec.widths, 1))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("size", [1, 700, 1500])
def test_a_padded_network_costs_the_same_per_pixel_whatever_the_block(preset: str, size: int) -> None:
    spec = UNetSpec.preset(preset, padded=True)
    block = fitting_shape(spec, (size, size))
    assert multiply_adds_per_pixel(spec) * prod(block) == pytest.approx(count_cost(spec, block).multiply_adds)


def test_a_valid_network_pays_for_its_margin() -> None:
    spec = UNetSpec.preset("ronneberger2015")
    padded = UNetSpec.preset("ronneberger2015", padded=True)
    small = count_cost(spec, (572, 572)).multiply_adds / prod(output_shape(spec, (572, 572)))
    assert multiply_adds_per_pixel(padded) < multiply_adds_per_pixel(spec) < small


@given(specs(), st.integers(1, 100_000))
@settings(max_examples=40, deadline=None)
def test_other_prices_are_kept_too(spec: UNetSpec, parameters: int) -> None:
    found = uniform(spec).at(parameters, count_parameters)
    if found is None:
        assert count_parameters(uniform(spec).scaled(0)) > parameters
    else:
        assert count_parameters(found) <= parameters < count_parameters(next_larger(uniform(spec), found))


def test_a_price_that_never_exceeds_the_cost_ends_at_the_widest_layers() -> None:
    found = flat(UNetSpec.by_level((8, 8))).at(1, lambda _spec: 0)
    assert found is not None
    assert found.level_widths == (2**16, 2**16)


@pytest.mark.parametrize("depth", range(5))
@pytest.mark.parametrize("down", ["max", "strided"])
def test_a_cut_makes_the_encoders_level_the_bottleneck(depth: int, down: str) -> None:
    origin = UNetSpec.preset("lee2021", down=down).with_widths({"encoder.2.conv1": 7, "decoder.0.up": 5})
    cut = shallower(origin, depth).spec
    assert cut.depth == depth
    assert cut.skip_levels == tuple(range(depth))
    for layer, width in cut.widths.items():
        side, _, role = layer.partition(".")
        deep = "bottleneck" if depth == origin.depth else f"encoder.{depth}"
        assert width == origin.widths[f"{deep}.{role}" if side == "bottleneck" else layer]


def test_flat_networks_have_one_width() -> None:
    origin = UNetSpec.preset("default", up="unpool")
    for depth in range(origin.depth + 1):
        member = flat(origin, depth).at(20_000)
        assert member is not None
        assert member.depth == depth
        assert len(set(member.widths.values())) == 1


def test_random_families_differ_repeat_and_continue() -> None:
    origin = UNetSpec.preset("lee2021")
    found = random_shapes(origin, 30, seed=3)
    assert len({shape.spec for shape in found}) == len({shape.name for shape in found}) == 30
    assert random_shapes(origin, 10, seed=3) == found[:10]
    assert random_shapes(origin, 30, seed=4) != found
    assert {shape.spec.depth for shape in found} == {1, 2, 3, 4}
    assert {len(shape.spec.skip_levels) for shape in found} >= {0, 1, 2}
    widths = [width for shape in found for width in shape.spec.widths.values()]
    assert 16 <= min(widths) < 32
    assert 128 < max(widths) <= 256


def test_fewer_random_families_come_where_no_more_differ() -> None:
    assert len(random_shapes(UNetSpec.by_level((1,)), 5, seed=0)) == 1


def test_paper_style_varies_one_thing_each() -> None:
    origin = UNetSpec.preset("lee2021")
    levels, channels, skips = (shape.spec for shape in paper_style(origin))
    assert (levels.depth, levels.level_widths) == (3, (16, 32, 64, 128))
    assert channels == origin
    changed = [entry.name for entry in fields(skips) if getattr(skips, entry.name) != getattr(origin, entry.name)]
    assert changed == ["skips"]
    assert [shape.name for shape in paper_style(UNetSpec.by_level((4,)))] == ["paper: fewer channels"]


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda spec: uniform(spec).scaled(nan), "factor"),
        (lambda spec: uniform(spec).scaled(-0.5), "factor"),
        (lambda spec: uniform(spec).at(inf), "cost"),
        (lambda spec: uniform(spec).at(nan), "cost"),
        (lambda spec: shallower(spec, 5), "use 0 to 4"),
        (lambda spec: flat(spec, -1), "use 0 to 4"),
        (lambda spec: without_skips(spec, (4,)), "0, 1, 2, 3"),
    ],
)
def test_what_cannot_be_is_refused_in_words(ask: object, words: str) -> None:
    assert callable(ask)
    with pytest.raises(SpecError, match=words):
        ask(UNetSpec.preset("lee2021"))
