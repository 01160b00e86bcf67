"""Work done ahead by threads while earlier results are used; knows tasks, not what they do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def work_ahead(tasks: Iterable[Callable[[], Result]], waiting: int = 1, workers: int = 1) -> Iterator[Result]:
    """Results of tasks in their order, made by threads while the caller uses earlier ones.

    Reading hides behind computing this way, and so does writing: the tasks may themselves be made one by one by a
    generator that computes, in the caller's thread.

    Args:
        tasks: What to do, taken one by one.
        waiting: Results that may be in work or wait while one is used: what bounds the memory.
        workers: Threads.

    Yields:
        The result of every task, in order.

    Raises:
        Exception: What a task raised, or what making the next task raised, in its turn: after all earlier results.

    Example:
        >>> list(work_ahead(lambda n=n: n * n for n in range(4)))
        [0, 1, 4, 9]
    """
    begun: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="ahead") as pool:
        for task in _failing_last(tasks):
            begun.append(pool.submit(task))
            if len(begun) > waiting:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


def _failing_last(tasks: Iterable[Callable[[], Result]]) -> Iterator[Callable[[], Result]]:
    """The tasks; where making the next one fails, one that fails so: earlier results then come first."""
    try:
        yield from tasks
    except Exception as error:
        failure = error

        def fail() -> Result:
            raise failure

        yield fail
