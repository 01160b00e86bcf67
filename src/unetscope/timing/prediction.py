"""What a network will take here, from its spec alone: a calibration applied to its work; measures nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite, prod
from typing import Any, get_args

from unetscope.engines.engine import ITEMSIZE, Arithmetic, EngineName, estimate_memory
from unetscope.errors import SpecError
from unetscope.model.geometry import output_shape
from unetscope.model.spec import UNetSpec
from unetscope.timing.law import Amounts, count_amounts, price
from unetscope.timing.work import list_work

LOW, HIGH = 0.1, 0.9  # quantiles of an interval
UNSURE = 0.25  # median error above which something else was computing during the calibration


@dataclass(frozen=True)
class Prediction:
    """What one block will take.

    Attributes:
        milliseconds: From normalized pixels to labels.
        low: One measurement in ten is below.
        high: One measurement in ten is above.
        pixels: Pixels that are labeled.
        peak_bytes: Memory at the most, beyond the program and its weights.
        layers: Milliseconds of every layer; "image" and "head" bring the pixels in and the labels out.
    """

    milliseconds: float
    low: float
    high: float
    pixels: int
    peak_bytes: int
    layers: Mapping[str, float] = field(repr=False)

    @property
    def milliseconds_per_megapixel(self) -> float:
        """Milliseconds for a million labeled pixels or voxels, in blocks of this shape."""
        return self.milliseconds / self.pixels * 1e6


@dataclass(frozen=True)
class Calibration:
    """What work costs in one engine on this machine.

    Attributes:
        engine: The library.
        precision: What convolutions are computed in.
        costs: Milliseconds for one of each amount (see `law`).
        ratios: Measured by predicted times of probes that did not take part in their prediction, ascending.
        workspace: Memory taken per byte of activations that are alive at once.
        probes: Networks that were measured.
        seconds: How long that took.
    """

    engine: EngineName
    precision: Arithmetic
    costs: Amounts = field(repr=False)
    ratios: Sequence[float] = field(repr=False)
    workspace: float
    probes: int
    seconds: float

    @property
    def error(self) -> float:
        """The relative error that one prediction in two stays below."""
        return _quantile(sorted(abs(1 / ratio - 1) for ratio in self.ratios), 0.5)

    @property
    def disturbed(self) -> bool:
        """Whether something else seems to have computed during the calibration."""
        return self.error > UNSURE

    def predict(self, spec: UNetSpec, shape: tuple[int, ...]) -> Prediction:
        """What one block will take.

        Args:
            spec: The network.
            shape: Spatial shape of the block, ([z,] y, x), one that the network accepts.

        Returns:
            The prediction. It adds up over layers, and grows with the block.

        Raises:
            SizeError: The network cannot take this shape.
            SpecError: The network needs something that the calibration has not measured.

        Example:
            >>> costs = {name: 1.0 for name in count_amounts(list_work(UNetSpec.by_level((4,)), (8, 8)), 4)}
            >>> calibration = Calibration("torch", "float32", costs, (0.9, 1.0, 1.1), 2.0, 3, 1.0)
            >>> prediction = calibration.predict(UNetSpec.by_level((4,)), (8, 8))
            >>> prediction.pixels, sum(prediction.layers.values()) == prediction.milliseconds
            (64, True)
        """
        layers: dict[str, float] = {}
        for work in list_work(spec, shape):
            amounts = count_amounts((work,), ITEMSIZE[self.precision])
            self._check_known(amounts)
            layers[work.layer] = layers.get(work.layer, 0.0) + price(amounts, self.costs)
        total = sum(layers.values())
        low, high = (total * _quantile(self.ratios, share) for share in (LOW, HIGH))
        memory = estimate_memory(spec, shape, self.precision, self.workspace)
        return Prediction(total, low, high, prod(output_shape(spec, shape)), memory, layers)

    def _check_known(self, amounts: Amounts) -> None:
        """Refuse to guess."""
        missing = [name for name in amounts if name not in self.costs]
        if missing:
            raise SpecError(
                f"cannot tell what this network takes with {self.engine}: the calibration has not measured "
                f"{missing[0]}; calibrate anew with more time"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` makes the same calibration."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Calibration:
        """What `to_json` gave.

        Raises:
            ValueError: It is something else.
        """
        try:
            made = cls(**{**content, "ratios": tuple(content["ratios"])})
            numbers = (*made.costs.values(), *made.ratios, made.workspace, made.seconds)
            sound = all(isfinite(number) and number >= 0 for number in numbers) and len(made.ratios) > 0
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"no calibration ({error})") from error
        if not sound or made.engine not in get_args(EngineName) or made.precision not in get_args(Arithmetic):
            raise ValueError("no calibration")
        return made


def read_calibration(content: bytes | None) -> Calibration | None:
    """The calibration in a file, None where there is none or it is damaged."""
    try:
        return None if content is None else Calibration.from_json(json.loads(content))
    except (ValueError, RecursionError):
        return None


def _quantile(ascending: Sequence[float], share: float) -> float:
    """The number below which a share of the numbers lie."""
    place = share * (len(ascending) - 1)
    below = int(place)
    above = min(below + 1, len(ascending) - 1)
    return ascending[below] + (place - below) * (ascending[above] - ascending[below])
