"""What an engine has to do for one image, step by step, from the spec alone; knows no engine and no machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

from unetscope.model.geometry import layer_shapes, output_shape, pooled
from unetscope.model.spec import KERNEL, Norm, UNetSpec
from unetscope.wiring import HEAD, IMAGE

Convolution = Literal["conv", "pointwise", "strided", "transposed"]
Pass = Literal[
    "enter", "pool", "join", "nearest", "linear", "shuffle", "unpool", "batch", "instance", "relu", "leaky", "leave"
]  # fmt: skip
CONVOLUTIONS: tuple[Convolution, ...] = ("conv", "pointwise", "strided", "transposed")


@dataclass(frozen=True)
class Work:
    """One thing to do: a convolution, or a pass over a map of numbers.

    Attributes:
        layer: The layer for which it is done.
        kind: Which convolution, or which pass: "enter" and "leave" bring the image in and the scores out.
        ndim: Spatial axes.
        norm: The norm of the network, which may decide in which layout maps are handed on.
        pixels: Places at which a convolution is computed; those of a pass's output.
        reads: Numbers read.
        writes: Numbers written.
        in_width: Channels that a convolution reads; 0 for a pass.
        out_width: Channels that it computes.
        taps: Weights of its kernel per pair of channels.
    """

    layer: str
    kind: Convolution | Pass
    ndim: int
    norm: Norm
    pixels: int
    reads: int
    writes: int
    in_width: int = 0
    out_width: int = 0
    taps: int = 0

    @property
    def multiply_adds(self) -> int:
        """Products that a convolution sums."""
        return self.pixels * self.taps * self.in_width * self.out_width


def list_work(spec: UNetSpec, shape: tuple[int, ...]) -> tuple[Work, ...]:
    """All that is to do for one image, in order.

    Args:
        spec: The network.
        shape: Spatial shape of the input, pixels; one that the network accepts.

    Raises:
        SizeError: The network cannot take this shape.

    Example:
        >>> [work.kind for work in list_work(UNetSpec.by_level((4, 8), convolutions=1), (4, 4))]
        ['enter', 'conv', 'relu', 'pool', 'conv', 'relu', 'transposed', 'join', 'conv', 'relu', 'pointwise', 'leave']
    """
    output_shape(spec, shape)
    pixels = {layer: prod(size) for layer, size in layer_shapes(spec, shape).items()}
    image, scores = pixels[IMAGE] * spec.image_channels, pixels[HEAD] * spec.classes
    return (
        Work(IMAGE, "enter", spec.ndim, spec.norm, pixels[IMAGE], image, image),
        *(work for layer in spec.wiring.layers for work in _layer_work(spec, layer, pixels)),
        Work(HEAD, "leave", spec.ndim, spec.norm, pixels[HEAD], scores, pixels[HEAD] * max(2, spec.classes)),
    )


def _layer_work(spec: UNetSpec, layer: str, pixels: Mapping[str, int]) -> Iterator[Work]:
    """From the outputs of a layer's sources to its own."""
    yield from _gathering(spec, layer, pixels)
    role = layer.rpartition(".")[2]
    if role == "up":
        yield from _going_up(spec, layer, pixels)
    elif role == "down":
        yield _convolution(spec, layer, "strided", pixels[layer], prod(spec.level_strides[spec.level(layer) - 1]))
    elif layer == HEAD:
        yield _convolution(spec, layer, "pointwise", pixels[layer], 1)
    else:
        yield _convolution(spec, layer, "conv", pixels[layer], KERNEL**spec.ndim)
        yield from _tail(spec, layer, pixels[layer])


def _gathering(spec: UNetSpec, layer: str, pixels: Mapping[str, int]) -> Iterator[Work]:
    """Pooling the source, or joining several."""
    sources = spec.sources(layer)
    if pooled(spec, sources[0], layer):
        source = sources[0]
        many = spec.width(source) * pixels[source]
        few = pixels[source] // prod(spec.level_strides[spec.level(source)])
        yield Work(layer, "pool", spec.ndim, spec.norm, few, many, few * spec.width(source))
    if len(sources) > 1:
        joined = min(pixels[source] for source in sources)
        numbers = joined * spec.in_width(layer)
        yield Work(layer, "join", spec.ndim, spec.norm, joined, numbers, numbers)


def _going_up(spec: UNetSpec, layer: str, pixels: Mapping[str, int]) -> Iterator[Work]:
    """The convolution of an up path, and what enlarges the map before or after it."""
    factor = prod(spec.level_strides[spec.level(layer)])
    fine, coarse = pixels[layer], pixels[layer] // factor
    read, written = spec.in_width(layer) * pixels[spec.sources(layer)[0]], spec.width(layer) * fine
    if spec.up == "transposed":
        yield _convolution(spec, layer, "transposed", coarse, factor)
    elif spec.up == "subpixel":
        yield _convolution(spec, layer, "conv", coarse, KERNEL**spec.ndim, copies=factor)
        yield Work(layer, "shuffle", spec.ndim, spec.norm, fine, written, written)
    elif spec.up == "unpool":
        yield _convolution(spec, layer, "pointwise", coarse, 1)
        # The whole map of the encoder is searched for its maxima once more.
        placing = spec.placed_by(layer)
        assert placing is not None
        yield Work(layer, "unpool", spec.ndim, spec.norm, fine, pixels[placing] * spec.width(placing), written)
    else:
        yield Work(layer, spec.up, spec.ndim, spec.norm, fine, read, read * factor)
        yield _convolution(spec, layer, "conv", fine, KERNEL**spec.ndim)


def _convolution(spec: UNetSpec, layer: str, kind: Convolution, pixels: int, taps: int, copies: int = 1) -> Work:
    """A convolution at so many places; one with a stride reads, a transposed one writes, a pixel per tap."""
    in_width, out_width = spec.in_width(layer), spec.width(layer) * copies
    reads = pixels * in_width * (taps if kind == "strided" else 1)
    writes = pixels * out_width * (taps if kind == "transposed" else 1)
    return Work(layer, kind, spec.ndim, spec.norm, pixels, reads, writes, in_width, out_width, taps)


def _tail(spec: UNetSpec, layer: str, pixels: int) -> Iterator[Work]:
    """Norm and activation."""
    numbers = pixels * spec.width(layer)
    if spec.norm != "none":
        yield Work(layer, spec.norm, spec.ndim, spec.norm, pixels, numbers, numbers)
    yield Work(layer, spec.activation, spec.ndim, spec.norm, pixels, numbers, numbers)
