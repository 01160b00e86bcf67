"""What a network costs on this machine: `cost`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unetscope import console
from unetscope.errors import SpecError
from unetscope.options import Network, NetworkOptions, parse_numbers
from unetscope.wording import format_bytes

if TYPE_CHECKING:
    from unetscope.engines.engine import EngineName, Precision
    from unetscope.model.cost import Cost
    from unetscope.model.spec import UNetSpec
    from unetscope.timing.prediction import Calibration, Prediction

SIDES = {2: (1024, 1024), 3: (128, 128, 128)}
MOST_LAYERS = 8  # shown


@dataclass(frozen=True)
class Estimate:
    """A network in one engine."""

    calibration: Calibration
    prediction: Prediction

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        said = self.prediction
        return {
            "engine": self.calibration.engine,
            "precision": self.calibration.precision,
            "error": self.calibration.error,
            "milliseconds": said.milliseconds,
            "low": said.low,
            "high": said.high,
            "milliseconds_per_megapixel": said.milliseconds_per_megapixel,
            "peak_bytes": said.peak_bytes,
            "layers": dict(said.layers),
        }


def cost(
    run: Path | None = None,
    /,
    *,
    shape: str | None = None,
    ndim: Literal[2, 3] = 2,
    channels: int = 1,
    classes: int = 2,
    engine: Literal["auto", "torch", "openvino"] = "auto",
    precision: Literal["auto", "bfloat16", "float32", "float64"] = "auto",
    json: bool = False,
    network: NetworkOptions = Network(),
) -> None:
    """Say what a network will cost on this machine, without training it.

    The first call for an engine measures small networks for up to a minute; later ones remember.

    Args:
        run: Run folder that `train` wrote, or what `export` made of it; without one, the network that the options say.
        shape: Pixels of a block, such as 1024,1024; completed to the next shape that the network takes.
        ndim: 2 for images, 3 for volumes, if --shape does not say it.
        channels: Channels of the images.
        classes: Classes, the background among them.
        engine: What computes: torch, openvino, or "auto" for each that is installed.
        precision: Type to compute in; "auto" is bfloat16 where the processor computes in it.
        json: Print the result as JSON on standard output.
        network: The network.
    """
    from unetscope.model.cost import count_cost
    from unetscope.model.geometry import fitting_shape

    asked = None if shape is None else parse_numbers(shape, "--shape")
    if classes < 1:
        raise SpecError(f"--classes is {classes}; give at least 2, the background among them")
    spec = _find_spec(run, network, (len(asked) if asked else ndim, channels, classes))
    block = fitting_shape(spec, _check_shape(spec, asked or SIDES[spec.ndim]))
    counted = count_cost(spec, block)
    estimates = _estimate_all(spec, block, _choose_engines(engine), precision)
    _show(spec, block, counted, estimates)
    if json:
        found = [each.to_json() for each in estimates]
        sums = {"parameters": counted.parameters, "multiply_adds": counted.multiply_adds}
        console.print_json({"spec": spec.to_json(), "shape": list(block), **sums, "engines": found})


def _find_spec(run: Path | None, network: Network, images: tuple[int, int, int]) -> UNetSpec:
    """The network of the run, or that of the options for images of such axes, channels and classes."""
    if run is None:
        return network.spec_for(*images)
    if network != Network():
        raise SpecError(f"{run} says what the network is, and options for a network came too; leave out one of them")
    from unetscope.engines.bundle import load_source

    return load_source(run).spec


def _check_shape(spec: UNetSpec, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Refuse a shape that is none."""
    if len(shape) != spec.ndim or min(shape) < 1:
        example = ",".join(map(str, SIDES[spec.ndim]))
        raise SpecError(f"--shape is {','.join(map(str, shape))}; give {spec.ndim} sizes above 0, such as {example}")
    return shape


def _choose_engines(engine: Literal["auto", "torch", "openvino"]) -> tuple[EngineName, ...]:
    if engine != "auto":
        return (engine,)
    return ("torch", "openvino") if find_spec("openvino") else ("torch",)


def _estimate_all(
    spec: UNetSpec, block: tuple[int, ...], engines: tuple[EngineName, ...], precision: Precision
) -> list[Estimate]:
    """The network in every engine that can tell; of several, one may fail.

    Raises:
        SpecError: None can.
    """
    from unetscope.timing.calibration import calibrate

    found: list[Estimate] = []
    for name in engines:
        try:
            with console.show_progress(f"calibrating {name}") as bar:
                calibration = calibrate(name, precision, on_probe=bar.update)
            found.append(Estimate(calibration, calibration.predict(spec, block)))
        except SpecError as error:
            if name == engines[-1] and not found:
                raise
            console.warn(str(error))
    return found


def _show(spec: UNetSpec, block: tuple[int, ...], counted: Cost, estimates: list[Estimate]) -> None:
    """Tables for people."""
    pixels = estimates[0].prediction.pixels
    unit, short = ("pixel", "Mpx") if spec.ndim == 2 else ("voxel", "Mvx")
    console.say(
        f"network: widths {'-'.join(map(str, spec.level_widths))}, {counted.parameters:,} parameters, "
        f"{counted.multiply_adds / pixels:,.0f} multiply-adds per {unit}, in blocks of {'x'.join(map(str, block))}"
    )
    rows = [
        (
            f"{each.calibration.engine} {each.calibration.precision}",
            f"{each.prediction.milliseconds_per_megapixel:.0f}",
            f"{_per_mega(each.prediction.low, pixels)} to {_per_mega(each.prediction.high, pixels)}",
            f"{100 * each.calibration.error:.0f} %",
            format_bytes(each.prediction.peak_bytes),
        )
        for each in estimates
    ]
    console.print_table(("engine", f"ms per {short}", "8 in 10", "median error", "peak memory"), rows)
    for each in estimates:
        if each.calibration.disturbed:
            console.warn(
                f"predictions for {each.calibration.engine} are uncertain, as if something else had computed during "
                "the calibration; call again while nothing else does"
            )
    _show_layers(counted, estimates)


def _show_layers(counted: Cost, estimates: list[Estimate]) -> None:
    """The layers that take longest in one of the engines."""
    shares = [
        {layer: each / said.prediction.milliseconds for layer, each in said.prediction.layers.items()}
        for said in estimates
    ]
    own = {layer.layer: layer for layer in counted.layers}
    most = sorted(own, key=lambda layer: -max(share[layer] for share in shares))[:MOST_LAYERS]
    rows = [
        (
            layer,
            f"{own[layer].parameters:,}",
            f"{100 * own[layer].multiply_adds / counted.multiply_adds:.0f} %",
            *(f"{100 * share[layer]:.0f} %" for share in shares),
        )
        for layer in most
    ]
    titles = (each.calibration.engine for each in estimates)
    console.print_table(("layer", "parameters", "multiply-adds", *titles), rows)


def _per_mega(milliseconds: float, pixels: int) -> str:
    return f"{milliseconds / pixels * 1e6:.0f}"
