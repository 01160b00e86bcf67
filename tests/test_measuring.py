"""Benchmarks take turns fairly, go on where they were stopped, and compare within rounds."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(BENCHMARKS)
    import measuring
    import processes

FACTS = {"machine": {"cpu": "a"}, "versions": {"torch": "2"}, "parameters": {"size": 512}}
MEGABYTE = 2**20
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc, which only Linux has")


class Machine:
    """A machine whose clock only contestants move: each takes its own time, more of it the busier the machine is."""

    def __init__(self, **seconds: float) -> None:
        self.seconds, self.now, self.load, self.order = seconds, 0.0, 1.0, []

    def contestants(self) -> dict[str, Callable[[], float]]:
        return {name: measuring.timed(lambda name=name: self.work(name), lambda: self.now) for name in self.seconds}

    def work(self, name: str) -> None:
        self.order.append(name)
        self.now += self.seconds[name] * self.load


def measure(machine: Machine, rounds: int, file: Path, **changes: object) -> measuring.Rounds:
    settings = {"facts": FACTS, "warm_up": 0, "tell": lambda line: None, **changes}
    return measuring.measure_rounds(machine.contestants(), rounds, file, **settings)


def test_seconds_are_what_the_clock_says(tmp_path: Path) -> None:
    rounds = measure(Machine(a=1, b=3), 4, tmp_path / "rounds.json")
    assert rounds.count == 4
    assert rounds.seconds == {"a": (1,) * 4, "b": (3,) * 4}


@given(st.integers(1, 7), st.integers(0, 20))
def test_every_round_has_every_contestant(count: int, index: int) -> None:
    assert sorted(measuring.rotate(range(count), index)) == list(range(count))


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_everyone_starts_and_ends_equally_often(count: int) -> None:
    orders = [measuring.rotate(range(count), index) for index in range(2 * count)]
    assert set(Counter(order[0] for order in orders).values()) == {2}
    if count % 2:
        assert set(Counter(order[-1] for order in orders).values()) == {2}


@pytest.mark.parametrize("count", [3, 5, 9])
def test_nobody_always_follows_the_same(count: int) -> None:
    orders = [measuring.rotate(range(count), index) for index in range(5)]
    for name in range(count):
        places = [order.index(name) for order in orders]
        before = {order[place - 1] for order, place in zip(orders, places, strict=True) if place}
        assert len(before) > 1


def test_rounds_take_the_rotated_order(tmp_path: Path) -> None:
    machine = Machine(a=1, b=1, c=1)
    measure(machine, 3, tmp_path / "rounds.json")
    assert "".join(machine.order) == "abcbaccab"


def test_ratios_are_formed_within_rounds() -> None:
    """A machine that gets ever slower spreads the seconds; the ratio does not see it."""
    rounds = measuring.Rounds({}, {"fast": (1.0, 2.0, 4.0), "slow": (3.0, 6.0, 12.0)})
    assert rounds.summary("slow").high / rounds.summary("slow").low == 4
    assert rounds.ratio("slow", "fast") == measuring.Summary(3, 3, 3, (3, 3), 3)


def test_a_ratio_is_no_ratio_of_medians() -> None:
    rounds = measuring.Rounds({}, {"a": (1.0, 10.0, 2.0), "b": (2.0, 5.0, 8.0)})
    assert rounds.ratio("b", "a").median == 2.0  # of 2, 0.5 and 4, whereas the medians give 2.5


def test_warm_up_does_not_count(tmp_path: Path) -> None:
    machine = Machine(a=1, b=1)
    rounds = measure(machine, 2, tmp_path / "rounds.json", warm_up=3)
    assert len(machine.order) == 10
    assert rounds.count == 2


class StoppedError(Exception):
    """What stops a benchmark."""


@pytest.mark.parametrize("stop", range(9))
def test_a_stopped_benchmark_goes_on(tmp_path: Path, stop: int) -> None:
    """Stopped after any measurement, it ends with as many rounds, and repeats no round that was finished."""
    file = tmp_path / "rounds.json"
    first, second = Machine(a=1, b=2, c=3), Machine(a=1, b=2, c=3)
    lines = []

    def count(line: str) -> None:
        lines.append(line)
        if len(lines) == stop + 1:
            raise StoppedError

    with pytest.raises(StoppedError):
        measure(first, 3, file, tell=count)
    rounds = measure(second, 3, file)
    assert rounds.count == 3
    assert len(second.order) == 9 - stop // 3 * 3
    assert json.loads(file.read_text())["seconds"] == {"a": [1] * 3, "b": [2] * 3, "c": [3] * 3}


def test_a_finished_benchmark_runs_nothing(tmp_path: Path) -> None:
    known = measure(Machine(a=1, b=2), 3, tmp_path / "rounds.json", warm_up=1)
    idle = Machine(a=1, b=2)
    assert measure(idle, 3, tmp_path / "rounds.json", warm_up=1) == known
    assert not idle.order


@pytest.mark.parametrize(
    ("facts", "names", "named"),
    [
        ({**FACTS, "machine": {"cpu": "b"}}, "ab", "facts.machine.cpu"),
        ({**FACTS, "versions": {"torch": "3"}}, "ab", "facts.versions.torch"),
        ({**FACTS, "parameters": {"size": 513}}, "ab", "facts.parameters.size"),
        ({**FACTS, "parameters": {}}, "ab", "facts.parameters.size"),
        (FACTS, "abc", "contestants"),
        (FACTS, "a", "contestants"),
    ],
)
def test_other_circumstances_start_anew(tmp_path: Path, facts: dict[str, object], names: str, named: str) -> None:
    file = tmp_path / "rounds.json"
    measure(Machine(a=5, b=5), 2, file)
    told: list[str] = []
    rounds = measure(Machine(**dict.fromkeys(names, 1.0)), 1, file, facts=facts, tell=told.append)
    assert rounds.seconds == dict.fromkeys(names, (1.0,))
    assert named in told[0]
    assert json.loads((tmp_path / "rounds-before.json").read_text())["seconds"]["a"] == [5, 5]


def test_the_order_of_contestants_is_no_circumstance(tmp_path: Path) -> None:
    measure(Machine(a=1, b=1), 2, tmp_path / "rounds.json")
    assert measure(Machine(b=1, a=1), 3, tmp_path / "rounds.json").count == 3


def test_the_time_left_is_told(tmp_path: Path) -> None:
    lines: list[str] = []
    measure(Machine(a=10, b=20), 3, tmp_path / "rounds.json", tell=lines.append)
    assert lines[0] == "  round 1 of 3: a 10.00 s"
    assert lines[1] == "  round 1 of 3: b 20.00 s, 60 s left"
    assert lines[-1].endswith("0 s left")


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=12))
def test_summaries_agree_with_numpy(values: list[float]) -> None:
    summary = measuring.summarize(values)
    assert summary.low == min(values)
    assert summary.high == max(values)
    assert (summary.quartiles[0], summary.median, summary.quartiles[1]) == pytest.approx(
        np.percentile(values, (25, 50, 75)).tolist()
    )


def test_rounds_survive_json() -> None:
    rounds = measuring.Rounds(FACTS, {"a": (1.0, 2.0), "b": (3.0, 4.0)})
    assert measuring.Rounds.from_json(json.loads(json.dumps(rounds.to_json()))) == rounds


@pytest.mark.parametrize(
    ("instructions", "titles"),
    [
        (["avx2"], []),
        (["avx2", "avx512f", "avx512_bf16"], [measuring.NO_BFLOAT16]),
        (["avx512f", "avx512_bf16", "amx_tile", "amx_bf16"], [measuring.NO_AMX, measuring.NO_BFLOAT16]),
    ],
)
def test_only_what_is_there_can_be_switched_off(instructions: list[str], titles: list[str]) -> None:
    assert list(measuring.list_limits(instructions)) == titles


def test_a_description_names_what_determines_speed() -> None:
    facts = measuring.describe_run({"size": 512})
    assert facts["machine"]["threads"] >= 1
    assert {"python", "unetscope", "torch", "numpy"} <= set(facts["versions"])
    assert facts == json.loads(json.dumps(facts))


def test_a_product_needs_operations() -> None:
    assert 1e6 < measuring.measure_products("float32", sizes=(64,)) < 1e15


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes find the benchmarks' modules on the path that they are given."""
    monkeypatch.syspath_prepend(BENCHMARKS)


def answer(number: int) -> Callable[[], int]:
    """Prepares a contestant that returns the environment's variable and a number."""
    variable = int(os.environ.get("MEASURED_TWICE", "0"))
    return lambda: 2 * variable + number


def take(megabytes: int) -> Callable[[], int]:
    """Prepares a contestant that fills so much memory."""
    held = np.ones(50 * MEGABYTE, np.uint8)  # part of the baseline

    def fill() -> int:
        filled = np.ones(megabytes * MEGABYTE, np.uint8)
        # A kernel may take idle pages away; read, all are there at once.
        return filled[::4096].size + int(held[::4096].max())

    return fill


def end(_: int) -> Callable[[], None]:
    """Prepares a contestant that ends its process."""
    return lambda: os._exit(3)


@pytest.mark.usefixtures("importable")
def test_a_worker_has_its_own_environment() -> None:
    with processes.Worker(answer, 5, environment={"MEASURED_TWICE": "7"}) as worker:
        assert worker.ask("run") == 19
        assert 0 <= worker() < 60
    assert "MEASURED_TWICE" not in os.environ


@pytest.mark.usefixtures("importable")
def test_a_worker_that_ended_says_so() -> None:
    with processes.Worker(end, 1) as worker, pytest.raises(RuntimeError, match="has ended"):
        worker()


@on_linux
@pytest.mark.usefixtures("importable")
def test_memory_is_what_the_run_took() -> None:
    memory, result = processes.measure_memory(take, 100)
    assert result == 100 * MEGABYTE // 4096 + 1
    for extra in (memory.extra, memory.anonymous_extra):
        assert 95 * MEGABYTE < extra < 110 * MEGABYTE
    assert memory.anonymous_baseline > 50 * MEGABYTE
