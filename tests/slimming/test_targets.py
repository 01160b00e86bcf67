"""Limits are kept by the largest network that keeps to them, or refused with what the nearest one takes."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from unetscope.engines.engine import estimate_memory
from unetscope.errors import SlimError
from unetscope.model.cost import count_cost, count_parameters
from unetscope.model.spec import UNetSpec
from unetscope.slimming.shapes import Shape, flat, uniform
from unetscope.slimming.targets import MEASURES, Meter, Target, largest_within
from unetscope.timing.law import count_amounts, price
from unetscope.timing.prediction import Calibration
from unetscope.timing.work import list_work

SPEC = UNetSpec.by_level((8, 12, 16), norm="batch")
SIDE = 1024
SHAPES = {"uniform": uniform(SPEC), "flat": flat(SPEC)}


@pytest.fixture(scope="module")
def meter() -> Meter:
    """A machine on which all work costs alike."""
    specs = (SPEC, *(uniform(SPEC).scaled(factor) for factor in (0, 0.5)))
    names = {name for spec in specs for name in count_amounts(list_work(spec, (SIDE, SIDE)), 4)}
    return Meter(Calibration("torch", "float32", dict.fromkeys(names, 1e-3), (0.9, 1.0, 1.1), 2.0, 3, 1.0))


@pytest.mark.parametrize("name", ["max_parameters", "max_multiply_adds", "max_milliseconds", "max_memory"])
@pytest.mark.parametrize("limit", [0, -1.0, nan, inf])
def test_no_limit_is_none(name: str, limit: float) -> None:
    with pytest.raises(SlimError, match=f"{name} is {limit}; use a number above 0"):
        Target(**{name: limit})


@pytest.mark.parametrize("loss", [0, -0.1, 1, nan, inf])
def test_a_loss_is_a_dice(loss: float) -> None:
    with pytest.raises(SlimError, match="max_dice_loss is"):
        Target(max_dice_loss=loss)


def test_what_was_not_asked_for_is_not_limited() -> None:
    assert Target().limits == {}
    assert Target(max_memory=5.0).limits == {"memory": 5.0}
    assert Target(max_parameters=10, max_dice_loss=0.02).to_json() == {"max_parameters": 10, "max_dice_loss": 0.02}
    assert Meter().excess(SPEC, Target()) <= 1


def test_a_meter_reads_what_a_large_block_takes(meter: Meter) -> None:
    block = (SIDE, SIDE)
    amounts = count_amounts(list_work(SPEC, block), 4)
    costs = meter.calibration.costs if meter.calibration else {}
    assert meter.measure(SPEC) == {
        "parameters": count_parameters(SPEC),
        "multiply_adds": count_cost(SPEC, block).multiply_adds / SIDE**2,
        "milliseconds": pytest.approx(price(amounts, costs) / SIDE**2 * 1e6),
        "memory": estimate_memory(SPEC, block, "float32", 2.0),
    }


def test_what_is_not_known_cannot_be_limited() -> None:
    for name in ("milliseconds", "memory"):
        with pytest.raises(SlimError, match="came without an engine; calibrate one"):
            Meter().excess(SPEC, Target(**{f"max_{name}": 1.0}))


@pytest.mark.parametrize("name", MEASURES)
def test_the_excess_is_that_of_the_limit_exceeded_most(meter: Meter, name: str) -> None:
    costs = meter.measure(SPEC)
    generous = {f"max_{other}": 2 * cost for other, cost in costs.items()}
    assert meter.excess(SPEC, Target(**generous)) == pytest.approx(0.5)
    tight: dict[str, Any] = {**generous, f"max_{name}": costs[name] / 3}
    assert meter.excess(SPEC, Target(**tight)) == pytest.approx(3)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("share", [0.0, 0.03, 0.4, 0.9, 0.98, 1.0, 1.2])
@pytest.mark.parametrize("two", [False, True])
def test_the_largest_network_within_limits_is_the_largest(name: str, share: float, two: bool) -> None:
    shape, plain = SHAPES[name], Meter()
    least, most = (plain.measure(shape.scaled(factor))["parameters"] for factor in (0, 1))
    limits = {"max_parameters": least + share * (most - least)}
    target = Target(**limits, max_multiply_adds=plain.measure(shape.scaled(0.6))["multiply_adds"] if two else None)
    found = largest_within(shape.scaled, target, plain)
    assert plain.excess(found, target) <= 1
    if found != shape.scaled(1):
        members = [shape.scaled(step / 64) for step in range(65)]
        larger = [spec for spec in members if count_parameters(spec) > count_parameters(found)]
        assert all(plain.excess(spec, target) > 1 for spec in larger)
        assert len(larger) > 0


@pytest.mark.parametrize("name", ["milliseconds", "memory"])
def test_predicted_limits_are_kept_too(meter: Meter, name: str) -> None:
    shape = uniform(SPEC)
    limit = meter.measure(shape.scaled(0.5))[name]
    target = Target(**{f"max_{name}": limit})
    found = largest_within(shape.scaled, target, meter)
    assert meter.excess(found, target) <= 1
    assert all(found.widths[layer] >= width for layer, width in shape.scaled(0.5).widths.items())
    assert found != SPEC


def test_what_cannot_be_had_is_refused_with_what_the_nearest_takes() -> None:
    shape = Shape("narrow", SPEC)
    least = Meter().measure(shape.scaled(0))
    target = Target(max_parameters=least["parameters"] - 1, max_multiply_adds=1e6)
    with pytest.raises(SlimError) as refused:
        largest_within(shape.scaled, target, Meter())
    said = str(refused.value)
    assert f"at most {least['parameters'] - 1:g} parameters" in said
    assert f"{least['parameters']:,.4g} parameters" in said
    assert f"{least['multiply_adds']:,.4g} multiply-adds per pixel" in said
    enough = Target(max_parameters=least["parameters"])
    assert largest_within(shape.scaled, enough, Meter()) == shape.scaled(0)
