"""What more annotated images would bring, by what `size` wrote; knows its numbers, neither images nor probes."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from unetscope.reporting.page.numbers import format_ends, shorten_number
from unetscope.wording import format_number


def show_learning(sizing: Mapping[str, Any]) -> dict[str, Any]:
    """What probes read with some of the images, and what twice as many would bring.

    Args:
        sizing: Plain values, as `size` wrote them.

    Raises:
        KeyError: An entry is missing; TypeError, ValueError or AttributeError where one has another form.
    """
    count = len(sizing["images"])
    points = sorted((float(share) * count, point) for share, point in sizing["shares"].items())
    ends = [point["interval"] for _, point in points]
    return {
        "images": [shorten_number(images) for images, _ in points],
        "value": [shorten_number(point["value"]) for _, point in points],
        "low": [shorten_number(end.get("low")) for end in ends],
        "high": [shorten_number(end.get("high")) for end in ends],
        "sentences": list(describe_growth(sizing)),
    }


def describe_growth(sizing: Mapping[str, Any]) -> tuple[str, ...]:
    """Whether more annotations would help, by what `size` wrote.

    Example:
        >>> interval = {"value": 0.1, "low": 0.05, "high": 0.2}
        >>> describe_growth({"growth": {"helps": True, "verdict": {"word": "ok"}, "gain": interval}})[0]
        'More annotations would help: twice the images would add 0.100 (0.050 to 0.200) bits per pixel to ...'
    """
    growth = sizing.get("growth")
    if not isinstance(growth, Mapping):
        return ("Whether more annotations would help cannot be told: there are too few images for a curve.",)
    gain, verdict = growth["gain"], growth["verdict"]
    ends = [gain[name] for name in ("low", "high")]
    known = all(isinstance(end, int | float) and isfinite(end) for end in ends)
    told = f"twice the images would add {format_number(gain['value'])}" + (
        f" ({format_ends((ends[0], ends[1]))})" if known else ""
    )
    said = f"{told} bits per pixel to what small probes read"
    if verdict["word"] != "ok":
        wanted = f"; about {verdict['images']} images would tell" if verdict.get("images") else ""
        return (f"Whether more annotations would help cannot be told ({verdict['reason']}){wanted}; {said}.",)
    return (f"More annotations would {'help' if growth['helps'] else 'hardly help'}: {said}.",)
