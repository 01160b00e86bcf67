"""The race encloses the boundary of any verdict that grows with cost, and names networks on both sides of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetscope.model.cost import count_parameters
from unetscope.model.spec import UNetSpec
from unetscope.slimming.race import RATIO, Boundary, Heat, Strategy, find_boundary, next_larger, run_rounds
from unetscope.slimming.shapes import Price, Shape, flat, multiply_adds_per_pixel, shallower, uniform

ORIGIN = UNetSpec.by_level((8, 16, 32), convolutions=1)
SHAPES = {"uniform": (uniform(ORIGIN),), "flat": (flat(ORIGIN),), "both": (uniform(ORIGIN), flat(ORIGIN))}

quick = settings(deadline=None, max_examples=25)


@cache
def price(spec: UNetSpec) -> float:
    """A cost that is quickly counted, so that many races can be run."""
    return float(count_parameters(spec))


COST = price(ORIGIN)


def judge_by(truth: float) -> Callable[[tuple[UNetSpec, ...]], Heat]:
    """As good from a cost on."""
    return lambda entrants: Heat(entrants[0], price(entrants[0]) >= truth)


def search(shapes: str, truth: float, start: float | None, ceiling: float = COST) -> Boundary:
    return find_boundary(Strategy("test", SHAPES[shapes], start), ORIGIN, judge_by(truth), ceiling, price)


def check_enclosed(found: Boundary, shapes: tuple[Shape, ...], truth: float, most: float) -> None:
    """Every network that is left between the ends is too many."""
    judged = [heat.winner for heat in found.heats]
    assert len(set(judged)) == len(judged), "no network is judged twice"
    assert all(price(spec) <= most and spec != ORIGIN for spec in judged)
    assert found.good == ORIGIN or (found.good in judged and price(found.good) >= truth)
    least = min(price(shape.scaled(0)) for shape in shapes)
    if found.failing is None:
        assert judged
        assert price(found.good) == least or price(found.good) <= RATIO * least
        return
    failing = price(found.failing)
    assert found.failing in judged
    assert failing < truth
    assert failing < price(found.good)
    top = min(price(found.good), most)
    between = (next_larger(shape, failing, price) for shape in shapes)
    assert top <= RATIO * failing * (1 + 1e-9) or not [s for s in between if s is not None and price(s) < top]


@quick
@given(
    shapes=st.sampled_from(sorted(SHAPES)),
    truth=st.floats(1, 2 * COST),
    start=st.none() | st.floats(1, 2 * COST),
)
def test_the_boundary_is_enclosed_whatever_the_start(shapes: str, truth: float, start: float | None) -> None:
    found = search(shapes, truth, start)
    left = [shape for shape in SHAPES[shapes] if is_member(found.heats[0].winner, shape)]
    check_enclosed(found, (left[0],) if found.failing else SHAPES[shapes], truth, COST)


def is_member(spec: UNetSpec, shape: Shape) -> bool:
    return shape.at(price(spec), price) == spec


@pytest.mark.parametrize("start", [COST, 1.2 * COST, 0.9 * COST])
def test_a_start_at_the_origin_itself_still_finds_what_is_smaller(start: float) -> None:
    """A plan that keeps all has the origin's cost, and of its shape nothing is as dear."""
    for truth in (0.1 * COST, 0.9 * COST):
        check_enclosed(search("uniform", truth, start), SHAPES["uniform"], truth, COST)


@quick
@given(truth=st.floats(100, COST))
def test_a_start_at_the_boundary_needs_few_heats(truth: float) -> None:
    told = search("uniform", truth, truth * 1.01)
    assert len(told.heats) <= 4
    assert len(told.heats) <= len(search("uniform", truth, None).heats) + 1


@quick
@given(truth=st.floats(1, COST), share=st.floats(0.1, 0.9), start=st.none() | st.floats(1, COST))
def test_a_ceiling_is_kept(truth: float, share: float, start: float | None) -> None:
    found = search("flat", truth, start, ceiling=share * COST)
    assert all(price(heat.winner) <= share * COST for heat in found.heats)
    assert (found.good == ORIGIN) == (not any(heat.is_good for heat in found.heats))
    check_enclosed(found, SHAPES["flat"], truth, share * COST)


def test_where_nothing_is_as_good_all_stays() -> None:
    found = search("flat", 2 * COST, None)
    assert found.good == ORIGIN
    assert found.failing is not None


def test_where_all_is_as_good_nothing_fails() -> None:
    found = search("both", 0.0, None)
    assert found.failing is None
    assert price(found.good) <= RATIO * min(price(shape.scaled(0)) for shape in SHAPES["both"])


def test_a_network_without_smaller_ones_has_no_heats() -> None:
    least = uniform(ORIGIN).scaled(0)
    found = find_boundary(Strategy("test", (uniform(least),), price(least)), least, judge_by(1.0), price=price)
    assert found == Boundary(least, None, ())


@pytest.mark.parametrize("start", [None, 1000.0])
@pytest.mark.parametrize("winner", ["uniform", "flat", "depth 1"])
def test_shapes_run_in_the_first_heat_and_the_winners_goes_on(winner: str, start: float | None) -> None:
    shapes = {"uniform": uniform(ORIGIN), "flat": flat(ORIGIN), "depth 1": shallower(ORIGIN, 1)}
    heats = list[tuple[UNetSpec, ...]]()

    def judge(entrants: tuple[UNetSpec, ...]) -> Heat:
        heats.append(entrants)
        chosen = next((spec for spec in entrants if is_member(spec, shapes[winner])), entrants[0])
        return Heat(chosen, price(chosen) >= 500)

    find_boundary(Strategy("test", tuple(shapes.values()), start), ORIGIN, judge, price=price)
    first, *others = heats
    assert [any(is_member(spec, shape) for spec in first) for shape in shapes.values()] == [True] * 3
    assert others
    assert all(len(entrants) == 1 and is_member(entrants[0], shapes[winner]) for entrants in others)


def test_shapes_with_the_same_member_run_once() -> None:
    twins = (uniform(ORIGIN), Shape("the same", ORIGIN))
    heats = list[int]()

    def judge(entrants: tuple[UNetSpec, ...]) -> Heat:
        heats.append(len(entrants))
        return Heat(entrants[0], is_good=True)

    find_boundary(Strategy("test", twins), ORIGIN, judge, price=price)
    assert set(heats) == {1}


@pytest.mark.parametrize("truth", [60.0, 500.0, 4000.0, 2 * COST])
def test_it_tells_before_every_heat_how_many_are_left(truth: float) -> None:
    left = list[int]()
    strategy = Strategy("test", SHAPES["uniform"])
    found = find_boundary(strategy, ORIGIN, judge_by(truth), price=price, on_heat=left.append)
    assert len(left) == len(found.heats)
    assert min(left) >= 1
    assert left == sorted(left, reverse=True), "bisection comes nearer with every heat"
    assert left[0] >= len(found.heats) - 1


@pytest.mark.parametrize("measure", [price, multiply_adds_per_pixel])
@pytest.mark.parametrize("share", [0.003, 0.1, 1.3])
def test_the_next_larger_member_is_the_next(share: float, measure: Price) -> None:
    for shape in (uniform(ORIGIN), flat(ORIGIN)):
        cost = share * measure(ORIGIN)
        found = next_larger(shape, cost, measure)
        assert found is not None
        assert measure(found) > cost
        below = shape.at(measure(found) * (1 - 1e-9), measure)
        assert below is None or measure(below) <= cost


@quick
@given(st.lists(st.integers(1, 99), min_size=1, max_size=9, unique=True), st.integers(1, 4))
def test_rounds_keep_the_best_and_grow(widths: list[int], count: int) -> None:
    shares = [2.0 ** (number - count) for number in range(count)]
    asked: list[tuple[int, float]] = []

    def score(spec: UNetSpec, share: float) -> float:
        asked.append((spec.level_widths[0], share))
        return float(spec.level_widths[0])

    winner = run_rounds([UNetSpec.by_level((width,)) for width in widths], score, shares)
    assert winner.level_widths == (max(widths),)
    assert all(first <= second for (_, first), (_, second) in pairwise(asked)), "trainings grow"
    assert (len(widths) == 1) == (not asked)


def test_of_equals_the_more_promising_goes_on() -> None:
    entrants = [UNetSpec.by_level((width,)) for width in (3, 5, 4, 2)]
    assert run_rounds(entrants, lambda spec, share: 0.0, (0.5,)) == entrants[0]
