"""What a server says instead of an answer: a number that browsers understand, and a sentence for people."""

from __future__ import annotations

from http import HTTPStatus

from unetscope.errors import UnetscopeError


class RefusalError(UnetscopeError):
    """A request that is not answered.

    Attributes:
        status: What HTTP calls it.

    Example:
        >>> RefusalError(HTTPStatus.NOT_FOUND, "there is no such page").status.value
        404
    """

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class AbandonedError(Exception):
    """Nobody waits for the answer any more."""
