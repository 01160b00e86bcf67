"""The law against times that follow it exactly: costs come back, also where some probes were disturbed."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from unetscope.model.cost import count_cost
from unetscope.timing.law import TYPICAL, count_amounts, find_ratios, fit_costs, price
from unetscope.timing.probes import MOST_ACTIVATIONS, Probe, draw_probes
from unetscope.timing.work import list_work


def amounts_of(probe: Probe, itemsize: int = 2) -> dict[str, float]:
    return count_amounts(list_work(probe.spec, probe.shape), itemsize)


@pytest.fixture(scope="module")
def probes() -> list[dict[str, float]]:
    return [amounts_of(probe) for probe in draw_probes()]


@pytest.fixture(scope="module")
def truth(probes) -> dict[str, float]:
    """The costs of a slow machine, several times more or less than is typical."""
    random = Random(1)
    names = sorted({name for each in probes for name in each})
    return {name: 7 * random.lognormvariate(0, 0.8) * TYPICAL[name.rpartition(".")[2]] for name in names}


@pytest.fixture(scope="module")
def unseen() -> list[dict[str, float]]:
    return [amounts_of(probe) for probe in draw_probes(130)[96:]]


def test_probes_tell_all_costs_apart(probes, truth, unseen):
    costs = fit_costs(probes, [price(each, truth) for each in probes])
    assert costs.keys() == truth.keys()
    errors = [price(each, costs) / price(each, truth) - 1 for each in unseen]
    assert np.median(np.abs(errors)) < 0.01
    assert np.abs(errors).max() < 0.1


def test_disturbed_probes_count_little(probes, truth, unseen):
    random = Random(2)
    times = [price(each, truth) * (3 if random.random() < 0.08 else random.uniform(0.98, 1.05)) for each in probes]
    costs = fit_costs(probes, times)
    errors = np.abs([price(each, costs) / price(each, truth) - 1 for each in unseen])
    assert np.median(errors) < 0.05
    assert min(costs.values()) >= 0


def test_the_stated_error_is_that_of_networks_never_seen(probes, truth, unseen):
    random = Random(3)
    noise = [random.lognormvariate(0, 0.1) for _ in range(len(probes) + len(unseen))]
    times = [price(each, truth) * factor for each, factor in zip(probes, noise, strict=False)]
    stated = np.median(np.abs(np.log(find_ratios(probes, times))))
    costs = fit_costs(probes, times)
    real = [
        np.log(price(each, costs) / price(each, truth) / factor)
        for each, factor in zip(unseen, noise[len(probes) :], strict=True)
    ]
    assert 0.5 < np.median(np.abs(real)) / stated < 2


@pytest.mark.parametrize("itemsize", [2, 4])
def test_few_probes_give_no_absurd_costs(truth, itemsize):
    random = Random(4)
    probes = [amounts_of(probe, itemsize) for probe in draw_probes(130)]
    times = [sum(truth.get(name, 7.0) * amount for name, amount in each.items()) for each in probes]
    costs = fit_costs(probes[:24], [time * random.uniform(0.8, 1.25) for time in times[:24]])
    told = [price(each, costs) / time for each, time in zip(probes, times, strict=True) if costs.keys() >= each.keys()]
    assert len(told) > 60
    assert 0.3 < min(told) <= max(told) < 3


def test_exact_times_leave_no_error(probes, truth):
    ratios = find_ratios(probes, [price(each, truth) for each in probes])
    assert len(ratios) >= 0.9 * len(probes)
    assert np.median(np.abs(np.log(ratios))) < 0.01
    assert list(ratios) == sorted(ratios)


def test_a_price_adds_up(probes, truth):
    together = {name: probes[0].get(name, 0) + probes[1].get(name, 0) for name in {**probes[0], **probes[1]}}
    assert price(together, truth) == pytest.approx(price(probes[0], truth) + price(probes[1], truth))
    with pytest.raises(KeyError):
        price({"unheard of": 1.0}, truth)


def test_every_cost_is_met_by_several_probes(probes):
    for itemsize in (2, 4):
        met: dict[str, int] = {}
        for probe in draw_probes():
            for name in amounts_of(probe, itemsize):
                met[name] = met.get(name, 0) + 1
        assert min(met.values()) >= 5, met


def test_probes_are_small_and_unlike_each_other():
    probes = draw_probes()
    assert len(set(probes)) == len(probes)
    assert max(count_cost(probe.spec, probe.shape).peak_activations for probe in probes) <= 2.5 * MOST_ACTIVATIONS
