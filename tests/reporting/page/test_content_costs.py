"""What a page says of costs is what the network costs; milliseconds only where this machine was calibrated."""

from __future__ import annotations

import pytest

from unetscope.model.cost import count_parameters
from unetscope.model.spec import UNetSpec
from unetscope.reporting.page import costs as costs_module
from unetscope.reporting.page.costs import count_costs, recall_calibration
from unetscope.reporting.page.measures import measure_costs
from unetscope.slimming.shapes import multiply_adds_per_pixel
from unetscope.timing import calibration as calibration_module
from unetscope.timing.law import count_amounts
from unetscope.timing.prediction import Calibration
from unetscope.timing.work import list_work

SPECS = {
    "padded": UNetSpec.by_level((4, 8, 8), norm="batch"),
    "valid": UNetSpec.by_level((4, 8), padded=False),
    "volumes": UNetSpec.by_level((2, 4), ndim=3),
}


@pytest.mark.parametrize("name", SPECS)
def test_costs_add_up(name: str) -> None:
    spec = SPECS[name]
    costs = count_costs(spec)
    assert sum(costs.parameters.values()) == count_parameters(spec)
    assert sum(costs.multiply_adds.values()) == pytest.approx(multiply_adds_per_pixel(spec), rel=0.05)
    assert costs.milliseconds == {} and "milliseconds" not in measure_costs(costs)
    assert set(measure_costs(costs)["memory"]["layers"]) == set(spec.wiring.layers)


def test_nothing_is_timed_for_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> float:
        raise AssertionError("a network was timed")

    monkeypatch.setattr(calibration_module, "time_block", refuse)
    assert recall_calibration() is None


def test_milliseconds_are_predicted_where_a_calibration_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = SPECS["padded"]
    amounts = dict.fromkeys(count_amounts(list_work(spec, (1024, 1024)), 4), 1e-6)
    known = Calibration("torch", "float32", amounts, (0.9, 1.0, 1.1), 2.0, 3, 1.0)
    monkeypatch.setattr(costs_module, "calibrate", lambda engine, seconds: known)
    costs = count_costs(spec)
    assert costs.engine == "torch float32"
    assert sum(costs.milliseconds.values()) == pytest.approx(costs.prediction.milliseconds_per_megapixel)
    shown = measure_costs(costs)["milliseconds"]["layers"]
    assert set(shown) == set(spec.wiring.layers)
    unknown = UNetSpec.by_level((4, 8), ndim=3)
    assert count_costs(unknown).milliseconds == {}
