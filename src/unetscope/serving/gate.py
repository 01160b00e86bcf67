"""One computation at a time, a few that wait, and an end for those that nobody waits for; knows no networks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from threading import Event
from typing import TypeVar

from unetscope.serving.refusals import AbandonedError, RefusalError

Result = TypeVar("Result")
Work = Callable[[Callable[[int, int], None]], Result]

MOST_INSIDE = 6


class Gate:
    """Where requests wait for the processor.

    Args:
        most: Requests that may be inside, that which is computed included.

    Attributes:
        done: Parts of the present computation that are done, and parts in all; nothing where none tells.
    """

    def __init__(self, most: int = MOST_INSIDE) -> None:
        self.done: tuple[int, int] | None = None
        self._most, self._inside, self._turn = most, 0, asyncio.Lock()

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """A place in the queue for as long as the block runs.

        Raises:
            RefusalError: The queue is full.
        """
        if self._inside >= self._most:
            raise RefusalError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{self._inside} requests are being computed or wait already; try again when they are done",
            )
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    async def compute(self, work: Work[Result], gone: Callable[[], Awaitable[None]]) -> Result:
        """Let a thread work, after those that came before.

        Args:
            work: Is given what it calls with parts done and parts in all, and what may end it there.
            gone: Returns when nobody waits for the result any more.

        Raises:
            AbandonedError: Nobody does.
            Exception: What the work raised.
        """
        ended = Event()
        watch = asyncio.create_task(_tell(gone, ended))
        try:
            async with self._turn:
                return await asyncio.to_thread(work, self._follow(ended))
        finally:
            ended.set()
            watch.cancel()
            self.done = None

    def _follow(self, ended: Event) -> Callable[[int, int], None]:
        def tell(done: int, total: int) -> None:
            if ended.is_set():
                raise AbandonedError
            self.done = done, total

        tell(0, 0)
        return tell


async def _tell(gone: Callable[[], Awaitable[None]], ended: Event) -> None:
    await gone()
    ended.set()
