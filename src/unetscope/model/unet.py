"""The U-Net in torch, carried out from its spec; knows layers and what feeds them, neither images nor training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from unetscope.model.geometry import clamped, output_shape, pooled
from unetscope.model.spec import KERNEL, UNetSpec
from unetscope.wiring import HEAD, IMAGE

Factory = Mapping[int, Callable[..., nn.Module]]
CONVOLUTION: Factory = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: Factory = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
BATCH_NORM: Factory = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
INSTANCE_NORM: Factory = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
DROPOUT: Factory = {2: nn.Dropout2d, 3: nn.Dropout3d}
LINEAR = {2: "bilinear", 3: "trilinear"}


class UNet(nn.Module):
    """The U-Net that a spec describes, He-initialized.

    Every layer is the submodule of its name, so a layer's name is also its prefix in the state dict.

    Args:
        spec: The description.

    Example:
        >>> network = UNet(UNetSpec.preset("ronneberger2015", width=4))
        >>> network(torch.zeros(1, 1, 188, 188)).shape
        torch.Size([1, 2, 4, 4])

    Source:
        Ronneberger, Fischer, Brox 2015, figure 1; initialization: He et al. 2015 (standard deviation sqrt(2 / inputs)).
    """

    def __init__(self, spec: UNetSpec) -> None:
        super().__init__()
        self.spec = spec
        self._order = spec.wiring.layers
        self._last_reader = {read: layer for layer in self._order for read in spec.reads(layer)}
        for layer in self._order:
            _place(self, layer, Layer(spec, layer))

    def forward(self, image: Tensor) -> Tensor:
        """Scores of an image.

        Args:
            image: (batch, channels, [z,] y, x) of a size the network accepts.

        Returns:
            Scores before soft-max, (batch, classes, [z,] y, x), smaller by the margin in a valid network.

        Raises:
            SizeError: The network cannot take this size; the message names the nearest that work.
        """
        output_shape(self.spec, tuple(image.shape[2:]))
        outputs = {IMAGE: image}
        for layer in self._order:
            outputs[layer] = self.compute(layer, outputs)
            for read in self.spec.reads(layer):
                if self._last_reader[read] == layer:
                    del outputs[read]
        return outputs[HEAD]

    def compute(self, layer: str, outputs: Mapping[str, Tensor]) -> Tensor:
        """The output of one layer.

        Args:
            layer: Its name.
            outputs: Those of the layers that it reads, (batch, channels, [z,] y, x) each.
        """
        joined = _join([self._bring(outputs[source], source, layer) for source in self.spec.sources(layer)])
        placing = self.spec.placed_by(layer)
        output: Tensor = self.get_submodule(layer)(joined, *((outputs[placing],) if placing else ()))
        return output

    def _bring(self, output: Tensor, source: str, layer: str) -> Tensor:
        """The output of `source` on the grid of `layer`."""
        if not pooled(self.spec, source, layer):
            return output
        pool = functional.max_pool2d if self.spec.ndim == 2 else functional.max_pool3d
        return pool(output, self.spec.level_strides[self.spec.level(source)])


class Layer(nn.Module):
    """One convolution with its norm, activation and dropout, and the upsampling where the layer is an up path.

    Args:
        spec: The network.
        name: The layer's name.
    """

    def __init__(self, spec: UNetSpec, name: str) -> None:
        super().__init__()
        last = name.rpartition(".")[2]
        factors = spec.level_strides[spec.level(name) - (last == "down")] if last in ("up", "down") else ()
        in_width, width = spec.in_width(name), spec.width(name)
        normed = last.startswith("conv") and spec.norm != "none"
        unpools = last == "up" and spec.up == "unpool"
        self.factors = factors
        self.before: Callable[[Tensor], Tensor] | None = None
        self.after: Callable[[Tensor], Tensor] | None = None
        if last == "up" and spec.up == "transposed":
            self.conv = TRANSPOSED[spec.ndim](in_width, width, factors, stride=factors)
        elif last == "down":
            self.conv = CONVOLUTION[spec.ndim](in_width, width, factors, stride=factors)
        else:
            copies = prod(factors) if spec.up == "subpixel" else 1
            kernel, padding = (1, 0) if name == HEAD or unpools else (KERNEL, int(spec.padded))
            self.conv = CONVOLUTION[spec.ndim](in_width, width * copies, kernel, padding=padding, bias=not normed)
        if last == "up" and spec.up in ("nearest", "linear"):
            self.before = Interpolation(spec, factors)
        if last == "up" and spec.up == "subpixel":
            self.after = Shuffle(factors)
        if last.startswith("conv"):
            self.after = _tail(spec, name, width)
        _initialize(self.conv, self.after is not None and last.startswith("conv"))

    def forward(self, x: Tensor, pooled_map: Tensor | None = None) -> Tensor:
        """The layer's output for its joined sources, placed by the maxima of `pooled_map` where it unpools."""
        if self.before is not None:
            x = self.before(x)
        upward = isinstance(self.conv, nn.ConvTranspose2d | nn.ConvTranspose3d)
        x = _enlarge(self.conv, x) if self.training and upward else self.conv(x)
        if pooled_map is not None:
            x = unpool(x, pooled_map, self.factors)
        return x if self.after is None else self.after(x)


class Interpolation(nn.Module):
    """Nearest or linear interpolation by whole factors; a valid network drops the pixels clamped to the border."""

    def __init__(self, spec: UNetSpec, factors: tuple[int, ...]) -> None:
        super().__init__()
        self.factors = [float(factor) for factor in factors]
        self.mode = LINEAR[spec.ndim] if spec.up == "linear" else "nearest"
        self.crop = [clamped(spec, factor) if spec.up == "linear" else 0 for factor in factors]

    def forward(self, x: Tensor) -> Tensor:
        """The enlarged `x`."""
        aligned = None if self.mode == "nearest" else False
        x = functional.interpolate(x, scale_factor=self.factors, mode=self.mode, align_corners=aligned)
        return _cropped(x, self.crop)


class Shuffle(nn.Module):
    """Channels to space: groups of prod(factors) channels become one channel on a finer grid (Shi et al. 2016)."""

    def __init__(self, factors: tuple[int, ...]) -> None:
        super().__init__()
        self.factors = factors

    def forward(self, x: Tensor) -> Tensor:
        """The rearranged `x`."""
        ndim, size = len(self.factors), x.shape[2:]
        x = x.reshape(x.shape[0], -1, *self.factors, *size)
        axes = chain.from_iterable((2 + ndim + axis, 2 + axis) for axis in range(ndim))
        enlarged = (n * factor for n, factor in zip(size, self.factors, strict=True))
        return x.permute(0, 1, *axes).reshape(x.shape[0], x.shape[1], *enlarged)


def unpool(x: Tensor, pooled_map: Tensor, factors: tuple[int, ...]) -> Tensor:
    """Every value where max pooling found the maximum of its window, zeros elsewhere.

    Args:
        x: (batch, channels, [z,] y, x), as large as the pooled map or smaller by as much at both ends: what a valid
            network lost on the way.
        pooled_map: (batch, channels, [z,] y, x), the map before its pooling; of equal maxima the first counts.
        factors: The pooling's kernel and stride.

    Returns:
        (batch, channels, [z,] y, x): `x` enlarged by `factors`, aligned with the center of `pooled_map`. Its gradient
        reaches the values; the places have none.

    Source:
        Noh, Hong, Han 2015, figure 3; Badrinarayanan, Kendall, Cipolla 2017 (SegNet), section 3.

    Example:
        >>> pooled_map = torch.tensor([[[[1.0, 9.0], [3.0, 4.0]]]])
        >>> unpool(torch.tensor([[[[5.0]]]]), pooled_map, (2, 2)).tolist()
        [[[[0.0, 5.0], [0.0, 0.0]]]]
    """
    flat = len(factors) == 2
    with torch.no_grad():
        places = (functional.max_pool2d if flat else functional.max_pool3d)(pooled_map, factors, return_indices=True)[1]
    lost = [(n - m) // 2 for n, m in zip(places.shape[2:], x.shape[2:], strict=True)]
    # Places are counted on the whole grid, so a smaller map is set into the middle of zeros and cut out of it again.
    framed = functional.pad(x, [count for count in reversed(lost) for _ in range(2)]) if any(lost) else x
    enlarged = (functional.max_unpool2d if flat else functional.max_unpool3d)(framed, places, factors)
    return _cropped(enlarged, [count * factor for count, factor in zip(lost, factors, strict=True)])


def _tail(spec: UNetSpec, name: str, width: int) -> nn.Sequential:
    """Norm, activation, and dropout at the end of the contracting path."""
    parts: dict[str, nn.Module] = {}
    if spec.norm == "batch":
        parts["norm"] = BATCH_NORM[spec.ndim](width)
    elif spec.norm == "instance":
        parts["norm"] = INSTANCE_NORM[spec.ndim](width, affine=True)
    parts["activation"] = nn.ReLU(inplace=True) if spec.activation == "relu" else nn.LeakyReLU(spec.slope, inplace=True)
    if spec.dropout and name == f"bottleneck.conv{spec.convolutions}":
        parts["dropout"] = DROPOUT[spec.ndim](spec.dropout)
    tail = nn.Sequential()
    for key, part in parts.items():
        tail.add_module(key, part)
    return tail


def _initialize(convolution: nn.Module, activated: bool) -> None:
    """He initialization: weights that keep the variance through a ReLU (or through nothing), biases zero."""
    assert isinstance(convolution, nn.modules.conv._ConvNd)
    upward = isinstance(convolution, nn.ConvTranspose2d | nn.ConvTranspose3d)
    inputs = convolution.in_channels * (1 if upward else prod(convolution.kernel_size))
    nn.init.normal_(convolution.weight, std=((2 if activated else 1) / inputs) ** 0.5)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)


def _join(tensors: list[Tensor]) -> Tensor:
    """Tensors cropped at their centers to the smallest and concatenated."""
    if len(tensors) == 1:
        return tensors[0]
    shape = [min(sizes) for sizes in zip(*(tensor.shape[2:] for tensor in tensors), strict=True)]
    cropped = [_cropped(t, [(n - m) // 2 for n, m in zip(t.shape[2:], shape, strict=True)]) for t in tensors]
    return _Join.apply(*cropped) if torch.is_grad_enabled() else torch.cat(cropped, 1)  # type: ignore[no-untyped-call]


class _Join(torch.autograd.Function):
    """Concatenation whose gradients are arrays of their own: slices of the joint one take six times as long to add."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Tensor:
        ctx.widths = [tensor.shape[1] for tensor in tensors]
        return torch.cat(tensors, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        return tuple(part.clone() for part in gradient.split(ctx.widths, 1))


def _enlarge(conv: nn.Module, x: Tensor) -> Tensor:
    """A transposed convolution in training: its bias is added by itself.

    Within the convolution, oneDNN takes four times as long for the gradient of the bias as for all others together.
    """
    assert isinstance(conv, nn.ConvTranspose2d | nn.ConvTranspose3d)
    function = functional.conv_transpose2d if x.ndim == 4 else functional.conv_transpose3d
    x = function(x, conv.weight, None, conv.stride)
    return x if conv.bias is None else x + conv.bias.to(x.dtype).reshape(-1, *[1] * (x.ndim - 2))


def _cropped(x: Tensor, counts: list[int]) -> Tensor:
    """`x` without `counts` pixels per spatial axis at both ends."""
    if not any(counts):
        return x
    kept = (slice(count, n - count) for n, count in zip(x.shape[2:], counts, strict=True))
    return x[(slice(None), slice(None), *kept)]


def _place(parent: nn.Module, name: str, module: nn.Module) -> None:
    """Make `module` the submodule of `parent` at a dotted path."""
    *path, last = name.split(".")
    for part in path:
        if not hasattr(parent, part):
            parent.add_module(part, nn.Module())
        parent = getattr(parent, part)
    parent.add_module(last, module)


def class_scores(scores: Tensor) -> Tensor:
    """One score per class: a single foreground score gets its background, whose score is 0.

    Args:
        scores: (batch, classes, ...) as a network returns them.

    Returns:
        (batch, classes, ...) with at least two classes; soft-max over them gives the probabilities.

    Example:
        >>> class_scores(torch.tensor([[[3.0]]])).tolist()
        [[[0.0], [3.0]]]
    """
    return scores if scores.shape[1] > 1 else torch.cat([torch.zeros_like(scores), scores], dim=1)


def load_weights(network: UNet, weights: Mapping[str, NDArray[np.generic] | Tensor]) -> UNet:
    """`network` with the given weights, exactly one for each of its own."""
    network.load_state_dict({name: torch.as_tensor(array) for name, array in weights.items()}, strict=True)
    return network
