"""Numbers as a page carries them: short, and null where they are not finite; knows neither units nor meanings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from unetscope.information.intervals import Interval
from unetscope.wording import format_range

DIGITS = 6

Point = dict[str, float | None]


def shorten_number(value: float | None) -> float | None:
    """A number of at most six digits; None where it is not finite.

    Example:
        >>> shorten_number(0.123456789), shorten_number(float("inf")), shorten_number(None)
        (0.123457, None, None)
    """
    return None if value is None or not isfinite(value) else float(f"{value:.{DIGITS}g}")


def point(interval: Interval) -> Point:
    """A value with the ends of its interval.

    Example:
        >>> point(Interval(0.5, 0.25, float("inf")))
        {'v': 0.5, 'lo': 0.25, 'hi': None}
    """
    ends = (interval.value, interval.low, interval.high)
    return {name: shorten_number(end) for name, end in zip(("v", "lo", "hi"), ends, strict=True)}


def make_plain(value: Any) -> Any:
    """Values that JSON can hold: numbers of NumPy become Python's, and null what is not finite; keys become text.

    Example:
        >>> make_plain({1: (np.float32(0.5), float("nan"))})
        {'1': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): make_plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [make_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return make_plain(value.item())
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def format_ends(ends: tuple[float, float] | None, digits: int = 3) -> str:
    """An interval, or a dash where it has no ends.

    Example:
        >>> format_ends((0.5, 0.75)), format_ends((0.5, float("inf")))
        ('0.500 to 0.750', '-')
    """
    return format_range(ends if ends is not None and all(map(isfinite, ends)) else None, digits)


def look_up(content: Any, *keys: str) -> Any:
    """What stands under some keys, one within the other; None where nothing does.

    Example:
        >>> look_up({"data": {"path": "cells"}}, "data", "path"), look_up({"data": []}, "data", "path")
        ('cells', None)
    """
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content
