"""What a search found, in words; knows findings, searches nothing."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING

from unetscope.slimming.jury import Finding
from unetscope.slimming.shapes import multiply_adds_per_pixel

if TYPE_CHECKING:
    from unetscope.slimming.shrinking import Shrinking


def say_search(found: Shrinking) -> Iterator[str]:
    """The result of a search."""
    judged = {finding.spec: finding for finding in found.findings}
    if found.good == found.origin:
        yield f"keep it: no smaller network {'was found to be as good' if judged else 'has one of these shapes'}"
    else:
        yield (
            f"the smallest network found to be as good{_say_by_mean(judged[found.good])} has widths "
            f"{_say_network(judged[found.good])} instead of {multiply_adds_per_pixel(found.origin):,.0f}; validation "
            f"Dice {_say_difference(judged[found.good])}"
        )
    if found.failing is not None:
        failing = judged[found.failing]
        word = "not as good" if failing.word == "no verdict" else failing.word
        yield (
            f"its smaller neighbor {_say_network(failing)}, is {word}{_say_by_mean(failing)}: validation Dice "
            f"{_say_difference(failing)}"
        )
    elif judged:
        yield "no network of these shapes is too small; the boundary lies below the smallest"
    yield f"{found.trainings} trainings, {found.steps:,} optimizer steps; {say_detectable(found.detectable)}"
    for finding in found.confirmed:
        yield _say_confirmed(finding, judged[finding.spec])
    if found.control:
        yield f"the original itself, trained on for as many steps: validation Dice {_say_difference(found.control)}"


def say_detectable(difference: float) -> str:
    """What so many images and seeds can tell.

    Args:
        difference: The smallest that they tell, Dice; infinite where they tell none.

    Example:
        >>> say_detectable(0.0123)
        'with these images and seeds a difference below 0.012 Dice cannot be told'
    """
    if not isfinite(difference):
        return "these images and seeds cannot tell any difference"
    return f"with these images and seeds a difference below {difference:.3f} Dice cannot be told"


def _say_confirmed(finding: Finding, before: Finding) -> str:
    """What all seeds of the end say, and whether the search had said otherwise."""
    widths = "-".join(map(str, finding.spec.level_widths))
    changed = f", where the search had said {before.word}" if finding.word != before.word else ""
    return f"with all seeds of the end {widths}: {finding.word}{changed}; validation Dice {_say_difference(finding)}"


def _say_network(finding: Finding) -> str:
    widths = "-".join(map(str, finding.spec.level_widths))
    return f"{widths}: {finding.multiply_adds:,.0f} multiply-adds per pixel"


def _say_by_mean(finding: Finding) -> str:
    """A caution where there was no verdict."""
    images = finding.difference.images
    return f" by its mean alone (no verdict: {images} images are too few)" if finding.word == "no verdict" else ""


def _say_difference(finding: Finding) -> str:
    said = finding.difference
    return f"{said.value:+.3f} ({said.low:+.3f} to {said.high:+.3f}), seeds: {said.seeds[1]}"
