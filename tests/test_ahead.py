"""Results come in order, few at a time, and failures in their turn."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from unetscope.ahead import work_ahead


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("waiting", [0, 1, 5, 50])
def test_results_come_in_order(waiting: int, workers: int) -> None:
    def late(index: int) -> int:
        time.sleep(0.002 * (index % 3))
        return index

    assert list(work_ahead((partial(late, index) for index in range(20)), waiting, workers)) == list(range(20))


@pytest.mark.parametrize("waiting", [0, 1, 4])
def test_no_more_than_asked_for_is_made_ahead(waiting: int) -> None:
    begun: list[int] = []
    for used, _ in enumerate(work_ahead((partial(begun.append, index) for index in range(30)), waiting)):
        time.sleep(0.001)
        assert len(begun) <= used + 1 + waiting


def test_the_next_is_made_while_one_is_used() -> None:
    """A task waits for the use of the result before it: without threads this would never end."""
    used = [threading.Event() for _ in range(5)]

    def task(index: int) -> int:
        assert index == 0 or used[index - 1].wait(10)
        return index

    for index in work_ahead(partial(task, index) for index in range(5)):
        used[index].set()


def test_making_tasks_stays_in_the_callers_thread() -> None:
    def tasks():
        for _ in range(3):
            made = threading.get_ident()
            yield lambda made=made: (made, threading.get_ident())

    for made, done in work_ahead(tasks()):
        assert made == threading.get_ident() != done


@pytest.mark.parametrize("where", ["task", "making"])
def test_failures_come_in_their_turn(where: str) -> None:
    def fail() -> int:
        raise ValueError("third")

    def tasks():
        yield lambda: 1
        yield lambda: 2
        if where == "making":
            fail()
        yield fail

    results: list[int] = []
    with pytest.raises(ValueError, match="third"):
        results.extend(work_ahead(tasks(), waiting=10))
    assert results == [1, 2]


def test_stopping_early_leaves_no_thread() -> None:
    before = threading.active_count()
    results = work_ahead(partial(int, index) for index in range(100))
    assert next(results) == 0
    results.close()
    assert threading.active_count() == before
