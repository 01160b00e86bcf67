"""Networks take turns fairly, and what is said of their times follows from the rounds."""

from __future__ import annotations

import json
from itertools import count

import pytest

from unetscope.errors import SlimError, SpecError
from unetscope.model.spec import UNetSpec
from unetscope.slimming import speed
from unetscope.slimming.speed import Timing, list_ways, order_turns, time_networks

SPECS = (UNetSpec.by_level((2, 4)), UNetSpec.by_level((4, 8), padded=False))


@pytest.mark.parametrize("networks", [1, 2, 3, 5])
def test_every_network_takes_every_turn_equally_often(networks):
    rounds = [order_turns(networks, index) for index in range(2 * networks)]
    assert all(sorted(order) == list(range(networks)) for order in rounds)
    assert sorted(order[0] for order in rounds) == sorted(2 * list(range(networks)))


def test_times_are_those_of_a_million_labeled_pixels():
    """By a clock that advances one second whenever it is asked, every block takes a second."""
    padded, valid = time_networks(SPECS, (16, 16), clock=map(float, count()).__next__)
    assert set(padded.milliseconds) == {1e9 / (16 * 16)}
    assert valid.shape != padded.shape or valid.milliseconds != padded.milliseconds
    assert set(padded.speedups) == {1.0}
    assert padded.rounds == valid.rounds >= speed.ROUNDS[0]
    assert set(valid.speedups) == {padded.median / valid.median}


def test_slow_networks_get_fewer_rounds(monkeypatch):
    told = []
    monkeypatch.setattr(speed, "SECONDS", 1.0)
    (timing,) = time_networks(SPECS[:1], (16, 16), on_round=lambda *now: told.append(now), clock=iter(count()).__next__)
    assert timing.rounds == speed.ROUNDS[0] == len(told)
    assert told[-1] == (speed.ROUNDS[0], speed.ROUNDS[1])


@pytest.mark.parametrize("way", list_ways(), ids=" ".join)
def test_every_way_is_timed_in_reality(way, monkeypatch):
    monkeypatch.setattr(speed, "ROUNDS", (2, 2))
    monkeypatch.setattr(speed, "TURN", 0.001)
    for timing in time_networks(SPECS, (16, 16), way):
        assert timing.way == way
        assert 0 < timing.low <= timing.median <= timing.high
        assert timing.speedup[1] <= timing.speedup[0] <= timing.speedup[2]
        assert Timing.from_json(json.loads(json.dumps(timing.to_json()))) == timing


def test_nothing_to_time_and_nothing_to_time_with_are_refused():
    with pytest.raises(SlimError, match="no network came"):
        time_networks((), (16, 16))
    with pytest.raises(SpecError):
        time_networks(SPECS[:1], (16, 16), ("openvino", "float64"))


@pytest.mark.parametrize(
    "change",
    [
        {"engine": "abacus"},
        {"precision": "int1"},
        {"milliseconds": []},
        {"milliseconds": [float("nan")]},
        {"speedups": ["fast"]},
        {"shape": None},
    ],
)
def test_damaged_timings_are_refused(change):
    content = Timing("torch", "float32", (8, 8), (2.0, 3.0), (1.0, 1.0)).to_json()
    with pytest.raises(SlimError, match="measure again"):
        Timing.from_json({**content, **change})
