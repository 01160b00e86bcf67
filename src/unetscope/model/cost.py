"""What a U-Net costs, from its spec alone: parameters, multiply-adds and activation memory, layer by layer.

Knows a `UNetSpec` and integers; no torch, no machine, no seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from unetscope.model.geometry import layer_shapes
from unetscope.model.spec import KERNEL, UNetSpec
from unetscope.wiring import HEAD, IMAGE


@dataclass(frozen=True)
class LayerCost:
    """What one layer costs for one image.

    Attributes:
        layer: The layer's name.
        shape: Channels and spatial shape of its output.
        parameters: Weights, biases, scales and shifts.
        multiply_adds: Products summed by its convolution; norm and activation are not counted.
        activations: Numbers in its output.
    """

    layer: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    activations: int


@dataclass(frozen=True)
class Cost:
    """What a network costs for one image.

    Attributes:
        layers: The cost of every layer, in the order that data meets them.
        peak_activations: Numbers alive at once when each output is forgotten after its last reader.
    """

    layers: tuple[LayerCost, ...]
    peak_activations: int

    @property
    def parameters(self) -> int:
        """Parameters of the whole network."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the whole network for one image."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def activations(self) -> int:
        """Numbers in all outputs together: what training has to keep."""
        return sum(layer.activations for layer in self.layers)


def count_cost(spec: UNetSpec, shape: tuple[int, ...]) -> Cost:
    """The cost of a network for one image.

    Args:
        spec: The network.
        shape: Spatial shape of the input, pixels; one that the network accepts.

    Returns:
        The cost; one multiply-add is two floating point operations.

    Example:
        >>> cost = count_cost(UNetSpec.preset("ronneberger2015"), (572, 572))
        >>> cost.parameters, round(cost.multiply_adds / 1e9)
        (31030658, 150)
    """
    shapes = layer_shapes(spec, shape)
    return Cost(tuple(_layer_cost(spec, layer, shapes) for layer in spec.wiring.layers), _peak(spec, shapes))


def count_parameters(spec: UNetSpec) -> int:
    """Parameters of the whole network.

    Example:
        >>> count_parameters(UNetSpec.preset("lee2021"))
        1941105
    """
    return sum(_parameters(spec, layer) for layer in spec.wiring.layers)


def _layer_cost(spec: UNetSpec, layer: str, shapes: Mapping[str, tuple[int, ...]]) -> LayerCost:
    output = (spec.width(layer), *shapes[layer])
    return LayerCost(layer, output, _parameters(spec, layer), _multiply_adds(spec, layer, shapes), prod(output))


def _kernel(spec: UNetSpec, layer: str) -> int:
    """Weights of the layer's convolution per pair of channels."""
    if layer == HEAD or (layer.endswith("up") and spec.up == "unpool"):
        return 1
    if layer.endswith("down"):
        return prod(spec.level_strides[spec.level(layer) - 1])
    if layer.endswith("up") and spec.up == "transposed":
        return prod(spec.level_strides[spec.level(layer)])
    return prod((KERNEL,) * spec.ndim)


def _convolved_width(spec: UNetSpec, layer: str) -> int:
    """Channels that the layer's convolution puts out: sub-pixel convolution makes them before it rearranges them."""
    if layer.endswith("up") and spec.up == "subpixel":
        return spec.width(layer) * prod(spec.level_strides[spec.level(layer)])
    return spec.width(layer)


def _parameters(spec: UNetSpec, layer: str) -> int:
    width = _convolved_width(spec, layer)
    normed = spec.norm != "none" and layer.rpartition(".")[2].startswith("conv")
    return spec.in_width(layer) * width * _kernel(spec, layer) + width * (2 if normed else 1)


def _multiply_adds(spec: UNetSpec, layer: str, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Products: one per weight and pixel of the grid on which the convolution slides."""
    pixels = prod(shapes[layer])
    if layer.endswith("up") and spec.up in ("transposed", "subpixel", "unpool"):
        pixels //= prod(spec.level_strides[spec.level(layer)])
    return pixels * spec.in_width(layer) * _convolved_width(spec, layer) * _kernel(spec, layer)


def _peak(spec: UNetSpec, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """The most numbers alive at once: outputs still to be read, the joined input and the output being made."""
    last_reader = {read: layer for layer in spec.wiring.layers for read in spec.reads(layer)}
    alive: dict[str, int] = {IMAGE: spec.image_channels * prod(shapes[IMAGE])}
    peak = 0
    for layer in spec.wiring.layers:
        sources = spec.sources(layer)
        pixels = min(prod(shapes[source]) for source in sources)
        joined = spec.in_width(layer) * pixels if len(sources) > 1 else 0
        alive[layer] = spec.width(layer) * prod(shapes[layer])
        peak = max(peak, sum(alive.values()) + joined)
        for read in spec.reads(layer):
            if last_reader[read] == layer:
                del alive[read]
    return peak
