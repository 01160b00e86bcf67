"""What every layer of a network costs per labeled pixel, and here in milliseconds; knows specs, measures nothing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from math import prod

from unetscope.engines.engine import EngineName
from unetscope.errors import SpecError
from unetscope.model.cost import count_cost
from unetscope.model.geometry import fitting_shape, margin, output_shape
from unetscope.model.spec import UNetSpec
from unetscope.slimming.targets import SIDES
from unetscope.timing.calibration import calibrate
from unetscope.timing.prediction import Calibration, Prediction

FLOAT = 4  # bytes


@dataclass(frozen=True)
class Costs:
    """The cost of a network, layer by layer.

    Attributes:
        parameters: Weights, biases, scales and shifts.
        multiply_adds: Per labeled pixel of a large block.
        memory: Bytes of the output, in float32, per labeled pixel.
        milliseconds: For a million labeled pixels in blocks as `cost` takes them; none where this machine was never
            calibrated.
        engine: What the milliseconds were calibrated for.
        prediction: The whole of such a block.
    """

    parameters: Mapping[str, int]
    multiply_adds: Mapping[str, float]
    memory: Mapping[str, float]
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    engine: str = ""
    prediction: Prediction | None = None


def count_costs(spec: UNetSpec) -> Costs:
    """The cost of a network; milliseconds only where this machine remembers a calibration.

    Example:
        >>> costs = count_costs(UNetSpec.by_level((4, 8)))
        >>> costs.parameters["head"], costs.multiply_adds["head"], costs.memory["head"]
        (10, 8.0, 8.0)
    """
    side = SIDES[spec.ndim]
    block = fitting_shape(spec, tuple(side + 2 * lost for lost in margin(spec)))
    labeled = prod(output_shape(spec, block))
    layers = count_cost(spec, block).layers
    known = recall_calibration()
    said = None
    if known is not None:
        with suppress(SpecError):  # of a kind of layer that the calibration did not time
            said = known.predict(spec, block)
    return Costs(
        parameters={layer.layer: layer.parameters for layer in layers},
        multiply_adds={layer.layer: layer.multiply_adds / labeled for layer in layers},
        memory={layer.layer: FLOAT * layer.activations / labeled for layer in layers},
        milliseconds={} if said is None else {name: each / labeled * 1e6 for name, each in said.layers.items()},
        engine="" if known is None or said is None else f"{known.engine} {known.precision}",
        prediction=said,
    )


def recall_calibration() -> Calibration | None:
    """What work costs on this machine in the fastest engine that was calibrated; None where none was."""
    engines: tuple[EngineName, ...] = ("openvino", "torch") if find_spec("openvino") else ("torch",)
    for engine in engines:
        with suppress(SpecError):  # no time is allowed, so that nothing is measured
            return calibrate(engine, seconds=0)
    return None
