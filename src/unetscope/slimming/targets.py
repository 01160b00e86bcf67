"""What a smaller network may cost, and what networks do cost; knows specs and a calibration, no images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from unetscope.errors import SlimError
from unetscope.model.cost import count_parameters
from unetscope.model.geometry import fitting_shape
from unetscope.model.spec import UNetSpec
from unetscope.scores.difference import MARGIN
from unetscope.slimming.shapes import multiply_adds_per_pixel
from unetscope.timing.prediction import Calibration

SIDES: Mapping[int, int] = {2: 1024, 3: 128}
"""Side of the block for which milliseconds and memory are predicted, pixels."""


@dataclass(frozen=True)
class Target:
    """What a smaller network must keep to.

    Attributes:
        max_parameters: Weights and biases.
        max_multiply_adds: Per labeled pixel.
        max_milliseconds: Per million labeled pixels, as predicted for the calibrated engine.
        max_memory: Bytes, as predicted for a block of 1024 x 1024 pixels (128 x 128 x 128 voxels).
        max_dice_loss: Dice that it may lose.

    Raises:
        SlimError: A limit is none.
    """

    max_parameters: float | None = None
    max_multiply_adds: float | None = None
    max_milliseconds: float | None = None
    max_memory: float | None = None
    max_dice_loss: float = MARGIN

    def __post_init__(self) -> None:
        for name, limit in self.limits.items():
            if not 0 < limit < float("inf"):
                raise SlimError(f"max_{name} is {limit}; use a number above 0")
        if not 0 < self.max_dice_loss < 1:
            raise SlimError(f"max_dice_loss is {self.max_dice_loss}; use a Dice between 0 and 1, such as {MARGIN}")

    @cached_property
    def limits(self) -> Mapping[str, float]:
        """The limits of cost that were given, by measure."""
        given = {name: getattr(self, f"max_{name}") for name in MEASURES}
        return {name: limit for name, limit in given.items() if limit is not None}

    def to_json(self) -> dict[str, Any]:
        """What was asked for."""
        return {name: value for name, value in asdict(self).items() if value is not None}


MEASURES: Mapping[str, str] = {
    "parameters": "parameters",
    "multiply_adds": "multiply-adds per pixel",
    "milliseconds": "ms per megapixel",
    "memory": "bytes of memory",
}


def format_amount(value: float) -> str:
    """A cost for people: four digits, and all digits before the point.

    Example:
        >>> format_amount(1941105.0), format_amount(3.14159)
        ('1,941,105', '3.142')
    """
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


@dataclass(frozen=True)
class Meter:
    """What networks cost.

    Attributes:
        calibration: What work costs in an engine on this machine; None to know neither milliseconds nor memory.
    """

    calibration: Calibration | None = None

    def measure(self, spec: UNetSpec) -> dict[str, float]:
        """The cost of a network by measure, as far as it is known.

        Example:
            >>> Meter().measure(UNetSpec.by_level((1,), convolutions=1))
            {'parameters': 14, 'multiply_adds': 11.0}
        """
        known = {"parameters": count_parameters(spec), "multiply_adds": multiply_adds_per_pixel(spec)}
        if self.calibration is None:
            return known
        shape = fitting_shape(spec, (SIDES[spec.ndim],) * spec.ndim)
        said = self.calibration.predict(spec, shape)
        return {**known, "milliseconds": said.milliseconds_per_megapixel, "memory": float(said.peak_bytes)}

    def excess(self, spec: UNetSpec, target: Target) -> float:
        """By what factor a network exceeds the limit that it exceeds most; at most 1 where it keeps to all.

        Raises:
            SlimError: A limit is asked for whose measure is not known.
        """
        costs = self.measure(spec)
        if unknown := [name for name in target.limits if name not in costs]:
            raise SlimError(f"a limit of {MEASURES[unknown[0]]} came without an engine; calibrate one to predict it")
        return max((costs[name] / limit for name, limit in target.limits.items()), default=0.0)


def largest_within(member: Callable[[float], UNetSpec], target: Target, meter: Meter) -> UNetSpec:
    """The largest network of a family that keeps to a target.

    Args:
        member: From a factor between 0 and 1 to a network, the larger the more it costs.
        target: The limits.
        meter: What networks cost.

    Raises:
        SlimError: Even the smallest exceeds a limit; the message says what it would need.
    """
    if meter.excess(member(1.0), target) <= 1:
        return member(1.0)
    smallest = member(0.0)
    if meter.excess(smallest, target) > 1:
        raise SlimError(_say_nearest(smallest, target, meter))
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if meter.excess(member(middle), target) <= 1 else (low, middle)
    return member(low)


def _say_nearest(spec: UNetSpec, target: Target, meter: Meter) -> str:
    costs = meter.measure(spec)
    asked = ", ".join(f"at most {limit:,g} {MEASURES[name]}" for name, limit in target.limits.items())
    nearest = ", ".join(f"{format_amount(costs[name])} {MEASURES[name]}" for name in target.limits)
    return f"{asked} cannot be had from this network: with one channel a layer it still takes {nearest}; allow as much"
