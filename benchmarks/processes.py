"""Contestants in processes of their own: with another environment, and with their peak memory; knows no benchmark."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, repeat
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from measuring import Contestant, timed

Prepare = Callable[..., Callable[[], Any]]
"""Gets everything ready and returns what is to be measured; a function of a module, for it is sent to a process."""

SAMPLING_SECONDS = 0.01


@dataclass(frozen=True)
class Memory:
    """Memory of a process in bytes, before and at the peak of what was measured.

    Resident memory includes the pages of files that are mapped, libraries and images alike, which the system takes
    back when it needs them; anonymous memory is what the program itself asked for and nobody can take back.

    Attributes:
        baseline: Resident when all was ready to start: interpreter, libraries, weights, compiled network.
        peak: Resident at the most.
        anonymous_baseline: Anonymous when all was ready.
        anonymous_peak: Anonymous at the most, sampled every 10 ms.
    """

    baseline: int
    peak: int
    anonymous_baseline: int
    anonymous_peak: int

    @property
    def extra(self) -> int:
        """Resident memory that the run took beyond the baseline."""
        return max(0, self.peak - self.baseline)

    @property
    def anonymous_extra(self) -> int:
        """Anonymous memory that the run took beyond the baseline."""
        return max(0, self.anonymous_peak - self.anonymous_baseline)


def measure_memory(
    prepare: Prepare, *arguments: Any, environment: Mapping[str, str] | None = None
) -> tuple[Memory, Any]:
    """Peak memory of one run in a fresh process (on Linux, whose /proc tells it).

    Args:
        prepare: Makes everything ready there and returns what to run.
        arguments: Of `prepare`.
        environment: Variables to set there before anything is imported.

    Returns:
        The memory, and what the run returned.
    """
    with Worker(prepare, *arguments, environment=environment) as worker:
        memory, result = worker.ask("observe")
    return memory, result


class Worker:
    """A contestant in a process of its own, which starts when it is first needed and ends with the block.

    Args:
        prepare: Makes everything ready there and returns what to run.
        arguments: Of `prepare`.
        environment: Variables to set there before anything is imported.
    """

    def __init__(self, prepare: Prepare, *arguments: Any, environment: Mapping[str, str] | None = None) -> None:
        self.prepare, self.arguments, self.environment = prepare, arguments, dict(environment or {})
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self) -> float:
        """Seconds of one run; preparing is not counted, nor is getting there and back."""
        return float(self.ask("time"))

    def ask(self, order: str) -> Any:
        """The answer of the process to "time" (seconds), "run" (its result) or "observe" (memory and result)."""
        if self._pipe is None:
            self._start()
        assert self._pipe is not None
        try:
            self._pipe.send(order)
            return self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            self.close()
            raise RuntimeError(
                f"the process of {self.prepare.__name__}{self.arguments} has ended; see above"
            ) from error

    def close(self) -> None:
        """End the process."""
        if self._pipe is not None and self._process is not None:
            self._pipe.close()
            self._process.join(timeout=10)
            self._process.kill()
            self._process.join()
        self._pipe = self._process = None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self.prepare, self.arguments), daemon=True)
        with _environment(self.environment):
            self._process.start()
        theirs.close()


def observing(worker: Worker, note: Callable[[Memory, Any], None]) -> Contestant:
    """A contestant whose first run, in a process that has run nothing yet, is observed; all later ones are timed.

    The first run is the warm-up that does not count anyway.

    Args:
        worker: Its process.
        note: Gets the peak memory of the first run and what it returned.
    """

    def observe_first() -> None:
        note(*worker.ask("observe"))

    calls: Iterator[Contestant] = chain([timed(observe_first)], repeat(worker))
    return lambda: next(calls)()


def _serve(pipe: Connection, prepare: Prepare, arguments: tuple[Any, ...]) -> None:
    """What the process of a `Worker` does until the other end is closed."""
    run = prepare(*arguments)
    orders: dict[str, Callable[[], Any]] = {"time": timed(run), "run": run, "observe": lambda: observe(run)}
    with suppress(EOFError):
        while True:
            pipe.send(orders[pipe.recv()]())


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Variables that a process started in this block finds in its environment."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def observe(run: Callable[[], Any]) -> tuple[Memory, Any]:
    """Peak memory of this process while something runs, and what it returned."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before, sampler = read_memory(), Sampler()
    with sampler:
        result = run()
    peak = read_memory()["VmHWM"]
    return Memory(before["VmRSS"], peak, before["RssAnon"], max(sampler.peak, before["RssAnon"])), result


def read_memory() -> dict[str, int]:
    """The memory of this process in bytes, by the names that /proc/self/status gives it.

    Raises:
        SystemExit: This is not Linux.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        raise SystemExit("peak memory is read from /proc, which only Linux has; leave memory out, or measure on Linux")
    lines = (line.split(":") for line in status.read_text(encoding="utf-8").splitlines())
    return {name: int(value.split()[0]) * 1024 for name, value in lines if value.endswith(" kB")}


class Sampler:
    """Follows the anonymous memory of this process in a thread: Linux keeps no peak of it."""

    def __init__(self) -> None:
        self.peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._ended.is_set():
            self.peak = max(self.peak, read_memory()["RssAnon"])
            self._ended.wait(SAMPLING_SECONDS)
