"""The layers of a U-Net as ONNX nodes; knows the spec and arrays of weights, not what is fed or made of the scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from unetscope.engines.operators import INTERPOLATIONS, Sketch
from unetscope.errors import CheckpointError
from unetscope.model.geometry import clamped, pooled, skip_crop
from unetscope.model.spec import KERNEL, UNetSpec
from unetscope.wiring import HEAD, IMAGE

Array = NDArray[np.float64]
Weights = Mapping[str, NDArray[np.generic]]

EPSILON = 1e-5  # added to variances, as torch's norms do


def add_layers(sketch: Sketch, spec: UNetSpec, weights: Weights, entry: str) -> None:
    """Add a whole network to a sketch: what `UNet.forward` computes, each output under its layer's name.

    A batch norm becomes part of its convolution, and dropout, which does nothing in a trained network, is left out.

    Args:
        sketch: Where the layers go.
        spec: The network.
        weights: One array for each of the network's, by its name in the state dict.
        entry: Name of the tensor that the network sees as its image.

    Raises:
        CheckpointError: The weights are not those of the described network.
    """
    translation = _Translation(sketch, spec, weights, entry)
    for layer in spec.wiring.layers:
        translation.add(layer)
    if translation.unread:
        raise _misfit(f"{translation.unread[0]} has no place in it")


def _misfit(what: str) -> CheckpointError:
    return CheckpointError(
        f"the weights do not fit the described network ({what}); the run folder mixes two runs, train again or restore "
        "both files from one run"
    )


class _Translation:
    """The layers of a network, on their way into a sketch."""

    def __init__(self, sketch: Sketch, spec: UNetSpec, weights: Weights, entry: str) -> None:
        self.sketch, self.spec, self.weights, self.entry = sketch, spec, weights, entry
        self.unread = [name for name in weights if not name.endswith("num_batches_tracked")]

    def add(self, layer: str) -> None:
        """Add one layer; its output has its name."""
        x, last = self._join(layer), layer.rpartition(".")[2]
        if last == "up":
            self._add_up(layer, x)
        elif last.startswith("conv"):
            self._add_convolution(layer, x)
        else:  # the head, or the strided convolution of a contracting path
            self._convolve(layer, x, layer)

    def _join(self, layer: str) -> str:
        """The sources of a layer, each on its grid, concatenated."""
        brought = [self._bring(source, layer) for source in self.spec.sources(layer)]
        return brought[0] if len(brought) == 1 else self.sketch.add("Concat", brought, f"{layer}.joined", axis=1)

    def _bring(self, source: str, layer: str) -> str:
        """The output of `source` on the grid of `layer`: pooled on the way down, cropped where it skips."""
        if source == IMAGE:
            return self.entry
        level = self.spec.level(source)
        if pooled(self.spec, source, layer):
            factors = self.spec.level_strides[level]
            name = f"{source.rpartition('.')[0]}.pool"
            return self.sketch.add("MaxPool", [source], name, kernel_shape=factors, strides=factors)
        if source.startswith("encoder") and layer.startswith("decoder"):
            return self.sketch.crop(source, skip_crop(self.spec, level), f"{source.rpartition('.')[0]}.crop")
        return source

    def _add_convolution(self, layer: str, x: str) -> None:
        """A 3-wide convolution with its norm and activation; dropout does nothing in a trained network."""
        x = self._convolve(layer, x, f"{layer}.conv")
        if self.spec.norm == "instance":
            tensors = [self._keep(f"{layer}.after.norm.{key}", self._vector(layer, key)) for key in ("weight", "bias")]
            x = self.sketch.add("InstanceNormalization", [x, *tensors], f"{layer}.norm", epsilon=EPSILON)
        if self.spec.activation == "relu":
            self.sketch.add("Relu", [x], layer)
        else:
            self.sketch.add("LeakyRelu", [x], layer, alpha=float(self.spec.slope))

    def _add_up(self, layer: str, x: str) -> None:
        """Any way up: an interpolation before the convolution, or what rearranges its values after it."""
        spec, sketch, level = self.spec, self.sketch, self.spec.level(layer)
        width, factors = spec.width(layer), spec.level_strides[level]
        if spec.up in INTERPOLATIONS:
            x = sketch.enlarge(x, factors, spec.up, f"{layer}.enlarged")
        if spec.up == "linear":
            x = sketch.crop(x, [clamped(spec, factor) for factor in factors], f"{layer}.cropped")
        x = self._convolve(layer, x, f"{layer}.conv" if spec.up in ("subpixel", "unpool") else layer)
        if spec.up == "subpixel":
            sketch.shuffle(x, width, factors, layer)
        if placing := spec.placed_by(layer):
            pooled_map = sketch.crop(placing, skip_crop(spec, level), f"{layer}.placing")
            sketch.unpool(x, pooled_map, width, factors, layer)

    def _convolve(self, layer: str, x: str, name: str) -> str:
        """The convolution of a layer, a batch norm folded into it."""
        form = _form(self.spec, layer)
        weight, bias = self._fold(layer, form)
        inputs = [x, self._keep(f"{layer}.conv.weight", weight)]
        if bias is not None:
            inputs.append(self._keep(f"{layer}.conv.bias", bias))
        pads = (form.padding,) * (2 * self.spec.ndim)
        return self.sketch.add(form.operator, inputs, name, kernel_shape=form.kernel, strides=form.strides, pads=pads)

    def _fold(self, layer: str, form: _Form) -> tuple[Array, Array | None]:
        """Weight and bias of a convolution, in float64; none where an instance norm would subtract it again."""
        weight = self._read(f"{layer}.conv.weight", form.shape)
        if self.spec.norm == "none" or not layer.rpartition(".")[2].startswith("conv"):
            return weight, self._read(f"{layer}.conv.bias", (form.width,))
        if self.spec.norm == "instance":
            return weight, None
        scale = self._vector(layer, "weight") / np.sqrt(self._vector(layer, "running_var") + EPSILON)
        bias = self._vector(layer, "bias") - self._vector(layer, "running_mean") * scale
        return weight * scale.reshape(-1, *(1,) * (1 + self.spec.ndim)), bias

    def _vector(self, layer: str, key: str) -> Array:
        """One number of a layer's norm for each of its channels."""
        return self._read(f"{layer}.after.norm.{key}", (self.spec.width(layer),))

    def _read(self, name: str, shape: tuple[int, ...]) -> Array:
        """A tensor of the network, of the shape that the spec asks for."""
        if name not in self.weights or self.weights[name].shape != shape:
            found = f"has shape {self.weights[name].shape}" if name in self.weights else "is missing"
            raise _misfit(f"{name} {found}, and {shape} was needed")
        self.unread.remove(name)
        return np.asarray(self.weights[name], np.float64)

    def _keep(self, name: str, values: Array) -> str:
        return self.sketch.keep(name, values, np.float32)


@dataclass(frozen=True)
class _Form:
    """A convolution without its values.

    Attributes:
        operator: What ONNX calls it.
        kernel: Pixels per axis.
        strides: Likewise.
        padding: Zeros at both ends of every axis.
        shape: Of its weights.
        width: Channels that it puts out.
    """

    operator: str
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: int
    shape: tuple[int, ...]
    width: int


def _form(spec: UNetSpec, layer: str) -> _Form:
    """What kind of convolution a layer is."""
    one, last = (1,) * spec.ndim, layer.rpartition(".")[2]
    in_width, width = spec.in_width(layer), spec.width(layer)
    if last == "down":
        factors = spec.level_strides[spec.level(layer) - 1]
        return _Form("Conv", factors, factors, 0, (width, in_width, *factors), width)
    if last == "up" and spec.up == "transposed":
        factors = spec.level_strides[spec.level(layer)]
        return _Form("ConvTranspose", factors, factors, 0, (in_width, width, *factors), width)
    if layer == HEAD or (last == "up" and spec.up == "unpool"):
        return _Form("Conv", one, one, 0, (width, in_width, *one), width)
    if last == "up" and spec.up == "subpixel":
        width *= prod(spec.level_strides[spec.level(layer)])
    kernel = (KERNEL,) * spec.ndim
    return _Form("Conv", kernel, one, int(spec.padded), (width, in_width, *kernel), width)
