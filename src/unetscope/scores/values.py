"""A score is a number, or None where it is not defined: how such are averaged and read back; knows no images."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from typing import Any

from unetscope.errors import DataError


def defined(values: Iterable[float | None]) -> list[float]:
    """The values that are not None, in their order."""
    return [value for value in values if value is not None]


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the defined values, the same in any order; None if none is defined.

    Example:
        >>> mean([0.25, None, 0.75])
        0.5
    """
    kept = defined(values)
    return math.fsum(kept) / len(kept) if kept else None


def median(values: Iterable[float | None]) -> float | None:
    """Median of the defined values; None if none is defined."""
    kept = defined(values)
    return statistics.median(kept) if kept else None


def read_share(value: Any) -> float | None:
    """Check a number from 0 to 1, or None, that comes from a file.

    Raises:
        DataError: It is something else.
    """
    return _read(value, 1.0, "a number from 0 to 1")


def read_distance(value: Any) -> float | None:
    """Check a finite number from 0 up, or None, that comes from a file.

    Raises:
        DataError: It is something else.
    """
    return _read(value, math.nextafter(math.inf, 0), "a finite number from 0 up")


def _read(value: Any, highest: float, need: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
        raise DataError(f"a score reads {value!r}, but it must be {need} or null; evaluate again")
    return float(value)
