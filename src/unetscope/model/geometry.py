"""Sizes in closed form: what a U-Net returns for a size, and which pixels an output pixel depends on.

Knows a `UNetSpec` and integers; no torch, no images, no tiles.

Along one axis every layer is a chain of steps (window, repeat, interpolation, crop). A step knows the size it returns
and the interval of its input that an interval of its output reads. Positions count from the first pixel that the whole
network computes: in a padded network that is the image's first pixel; in a valid one the image's pixel x is read at
position x + margin, while the output's position x is again the image's pixel x.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from unetscope.errors import SizeError
from unetscope.model.spec import KERNEL, UNetSpec
from unetscope.wiring import HEAD, IMAGE

Interval = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """A convolution or pooling: each output reads `kernel` inputs, `stride` apart."""

    kernel: int
    stride: int = 1
    padding: int = 0

    def size(self, size: int) -> int:
        """Outputs for `size` inputs."""
        return (size + 2 * self.padding - self.kernel) // self.stride + 1

    def reads(self, start: int, stop: int) -> Interval:
        """The inputs that the outputs from `start` to `stop` read."""
        return start * self.stride - self.padding, (stop - 1) * self.stride - self.padding + self.kernel


@dataclass(frozen=True)
class Repeat:
    """Each input becomes `scale` outputs: nearest interpolation, transposed, sub-pixel convolution, unpooling."""

    scale: int

    def size(self, size: int) -> int:
        """Outputs for `size` inputs."""
        return size * self.scale

    def reads(self, start: int, stop: int) -> Interval:
        """The inputs that the outputs from `start` to `stop` read."""
        return start // self.scale, -(-stop // self.scale)


@dataclass(frozen=True)
class Interpolate:
    """Linear interpolation, corners not aligned: output i reads the inputs around (i + 1/2) / scale - 1/2.

    These are two, or the one that the output sits on where the scale is odd.
    """

    scale: int

    def size(self, size: int) -> int:
        """Outputs for `size` inputs."""
        return size * self.scale

    def reads(self, start: int, stop: int) -> Interval:
        """The inputs that the outputs from `start` to `stop` read."""
        one = 2 * self.scale  # an input, in halves of an output
        return (2 * start + 1 - self.scale) // one, -(-(2 * stop - 1 - self.scale) // one) + 1


@dataclass(frozen=True)
class Crop:
    """`count` pixels are cut off at both ends."""

    count: int

    def size(self, size: int) -> int:
        """Outputs for `size` inputs."""
        return size - 2 * self.count

    def reads(self, start: int, stop: int) -> Interval:
        """The inputs that the outputs from `start` to `stop` read."""
        return start + self.count, stop + self.count


Step = Window | Repeat | Interpolate | Crop


def steps(spec: UNetSpec, source: str, layer: str, axis: int) -> tuple[Step, ...]:
    """What happens between the output of `source` and the output of `layer` along one axis.

    Args:
        spec: The network.
        source: One of the layers that the layer reads.
        layer: A layer.
        axis: Spatial axis, 0 for z in 3D and y in 2D.

    Returns:
        The steps in order: first how the source is brought to the layer's input, then the layer itself.
    """
    before: tuple[Step, ...] = ()
    if source == spec.placed_by(layer):
        factor, lost = spec.level_strides[spec.level(source)][axis], skip_crop(spec, spec.level(source))[axis]
        before = (Window(factor, factor), Crop(lost // factor))
    elif pooled(spec, source, layer):
        factor = spec.level_strides[spec.level(source)][axis]
        before = (Window(factor, factor),)
    elif source.startswith("encoder") and layer.startswith("decoder"):
        before = (Crop(skip_crop(spec, spec.level(source))[axis]),)
    return before + own_steps(spec, layer, axis)


def pooled(spec: UNetSpec, source: str, layer: str) -> bool:
    """Whether max pooling stands between `source` and `layer`."""
    return spec.down == "max" and source != IMAGE and spec.level(layer) > spec.level(source)


def own_steps(spec: UNetSpec, layer: str, axis: int) -> tuple[Step, ...]:
    """What the layer itself does along one axis."""
    if layer == HEAD:
        return (Window(1),)
    convolution = Window(KERNEL, padding=int(spec.padded))
    if layer.endswith("down"):
        factor = spec.level_strides[spec.level(layer) - 1][axis]
        return (Window(factor, factor),)
    if not layer.endswith("up"):
        return (convolution,)
    factor = spec.level_strides[spec.level(layer)][axis]
    return {
        "transposed": (Repeat(factor),),
        "unpool": (Repeat(factor),),
        "subpixel": (convolution, Repeat(factor)),
        "nearest": (Repeat(factor), convolution),
        "linear": (Interpolate(factor), Crop(clamped(spec, factor)), convolution),
    }[spec.up]


def clamped(spec: UNetSpec, factor: int) -> int:
    """Pixels per side that linear interpolation by `factor` clamps to the border: a valid network drops them."""
    return 0 if spec.padded else factor // 2


def skip_crop(spec: UNetSpec, level: int) -> tuple[int, ...]:
    """Pixels per side that a skip loses to match the up path of its level, per axis.

    Where the up path is unpooled these are whole windows of the pooling, so that the places of the maxima stay aligned.

    Example:
        >>> spec = UNetSpec.preset("ronneberger2015")
        >>> [skip_crop(spec, level) for level in range(spec.depth)]
        [(88, 88), (40, 40), (16, 16), (4, 4)]
    """
    return tuple(_lost_below(spec, level, axis) // 2 for axis in range(spec.ndim))


def margin(spec: UNetSpec) -> tuple[int, ...]:
    """Pixels of context that a valid network loses per side and axis; 0 for a padded one.

    Example:
        >>> margin(UNetSpec.preset("ronneberger2015"))
        (92, 92)
    """
    return tuple(_lost(spec, 0, axis) // 2 for axis in range(spec.ndim))


def _lost(spec: UNetSpec, level: int, axis: int) -> int:
    """Pixels that a valid network loses in all from the encoder's entry at `level` to its return there."""
    convolved = 0 if spec.padded else spec.convolutions * (KERNEL - 1)
    return convolved if level == spec.depth else 2 * convolved + _lost_below(spec, level, axis)


def _lost_below(spec: UNetSpec, level: int, axis: int) -> int:
    """Pixels of `level` that are lost on the way down, through the deeper levels and up again."""
    factor = spec.level_strides[level][axis]
    return factor * _lost(spec, level + 1, axis) + _lost_going_up(spec, factor)


def _lost_going_up(spec: UNetSpec, factor: int) -> int:
    """Pixels that the upsampling itself loses in all in a valid network."""
    if spec.padded:
        return 0
    lost = KERNEL - 1
    return {
        "transposed": 0,
        "unpool": 0,
        "nearest": lost,
        "linear": lost + 2 * clamped(spec, factor),
        "subpixel": lost * factor,
    }[spec.up]


def smallest_size(spec: UNetSpec) -> tuple[int, ...]:
    """The smallest size per axis that the network accepts; the others are whole strides larger.

    Instance norm cannot standardize a single pixel, so with it every layer keeps two along each axis.

    Example:
        >>> smallest_size(UNetSpec.preset("ronneberger2015"))
        (188, 188)
    """
    return tuple(_smallest(spec, axis) for axis in range(spec.ndim))


def _smallest(spec: UNetSpec, axis: int) -> int:
    convolved = 0 if spec.padded else spec.convolutions * (KERNEL - 1)
    needed = least = _least(spec)  # pixels that must be left where the decoder leaves a level
    for level in range(spec.depth):
        factor = spec.level_strides[level][axis]
        needed = max(least, -(-(needed + convolved + _lost_going_up(spec, factor)) // factor))
    size = needed + convolved
    for level in reversed(range(spec.depth)):
        size = size * spec.level_strides[level][axis] + convolved
    return size


def _least(spec: UNetSpec) -> int:
    """Pixels that every layer must put out."""
    return 2 if spec.norm == "instance" else 1


def fitting_shape(spec: UNetSpec, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The smallest accepted shape that holds `shape`.

    Example:
        >>> fitting_shape(UNetSpec.preset("ronneberger2015"), (500, 572))
        (508, 572)
    """
    smallest, strides = smallest_size(spec), spec.total_stride
    return tuple(
        least + max(0, -(-(size - least) // stride)) * stride
        for size, least, stride in zip(shape, smallest, strides, strict=True)
    )


def output_shape(spec: UNetSpec, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the scores for an input of `shape`.

    Args:
        spec: The network.
        shape: Spatial shape of the input, pixels.

    Returns:
        Spatial shape of the output, pixels.

    Raises:
        SizeError: A pooling would see an odd or empty size; the message names the two nearest sizes that work.

    Example:
        >>> output_shape(UNetSpec.preset("ronneberger2015"), (572, 572))
        (388, 388)
        >>> output_shape(UNetSpec.preset("ronneberger2015"), (500, 572))
        Traceback (most recent call last):
        unetscope.errors.SizeError: input size 500 along y leaves 55 pixels before pooling 4 of 4, which must be a
        positive multiple of 2; use 492 or 508
    """
    if len(shape) != spec.ndim:
        raise SizeError(f"shape {shape} has {len(shape)} axes; this network needs {spec.ndim}, without channels")
    for axis, size in enumerate(shape):
        _check_size(spec, axis, size)
    return layer_shapes(spec, shape)[HEAD]


def _check_size(spec: UNetSpec, axis: int, size: int) -> None:
    smallest, stride = _smallest(spec, axis), spec.total_stride[axis]
    if size >= smallest and (size - smallest) % stride == 0:
        return
    below = max(smallest, smallest + (size - smallest) // stride * stride)
    nearest = f"{below}" if size < smallest else f"{below} or {below + stride}"
    name = "zyx"[-spec.ndim :][axis]
    raise SizeError(f"input size {size} along {name} {_complaint(spec, axis, size)}; use {nearest}")


def _complaint(spec: UNetSpec, axis: int, size: int) -> str:
    """Where the size fails first."""
    convolved = 0 if spec.padded else spec.convolutions * (KERNEL - 1)
    for level in range(spec.depth):
        size, factor = size - convolved, spec.level_strides[level][axis]
        if size <= 0 or size % factor:
            return (
                f"leaves {size} pixels before pooling {level + 1} of {spec.depth}, "
                f"which must be a positive multiple of {factor}"
            )
        size //= factor
    least = _least(spec)
    return f"leaves too little where a level ends, which must be at least {least} pixel{'s' * (least > 1)}"


def layer_shapes(spec: UNetSpec, shape: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
    """The spatial shape of every layer's output, and of the image, for an input of an accepted shape.

    Example:
        >>> layer_shapes(UNetSpec.preset("ronneberger2015"), (572, 572))["bottleneck.conv2"]
        (28, 28)
    """
    shapes = {IMAGE: tuple(shape)}
    for layer in spec.wiring.layers:
        source = spec.sources(layer)[0]
        shapes[layer] = tuple(_run(steps(spec, source, layer, axis), shapes[source][axis]) for axis in range(spec.ndim))
    return shapes


def _run(chain: tuple[Step, ...], size: int) -> int:
    for step in chain:
        size = step.size(size)
    return size


def read_interval(spec: UNetSpec, axis: int, start: int, stop: int) -> Interval:
    """The input positions that the outputs from `start` to `stop` depend on, walked backwards through `reads`.

    The places of an unpooling count: they depend on every pixel of the pooled windows.

    Args:
        spec: The network.
        axis: Spatial axis.
        start: First output pixel.
        stop: One past the last output pixel.

    Returns:
        First and one past the last input position; beyond the image's border a padded network reads its own zeros.

    Example:
        >>> spec = UNetSpec.by_level((8, 8, 8))
        >>> read_interval(spec, 0, 64, 128)
        (42, 150)
    """
    wanted: dict[str, Interval] = {HEAD: (start, stop)}
    for layer in reversed(spec.wiring.layers):
        for source in spec.reads(layer):
            interval = wanted[layer]
            for step in reversed(steps(spec, source, layer, axis)):
                interval = step.reads(*interval)
            known = wanted.get(source, interval)
            wanted[source] = min(known[0], interval[0]), max(known[1], interval[1])
    return wanted[IMAGE]


def read_box(spec: UNetSpec, axis: int, start: int, stop: int, length: int) -> Interval:
    """The input positions to feed so that the outputs from `start` to `stop` are those of the whole image.

    The interval starts on the network's grid and has an accepted size. A padded network's ends at the image's border
    (completed to the next accepted size), where it pads as always.

    Args:
        spec: The network.
        axis: Spatial axis.
        start: First output pixel, on the network's grid.
        stop: One past the last output pixel.
        length: Pixels of the image along the axis.

    Returns:
        First and one past the last input position (see the module on positions).
    """
    stride, smallest = spec.total_stride[axis], _smallest(spec, axis)
    first, last = read_interval(spec, axis, start, stop)
    first = first // stride * stride
    if not spec.padded:
        return first, first + smallest + max(0, -(-(last - first - smallest) // stride)) * stride
    whole = smallest + max(0, -(-(length - smallest) // stride)) * stride
    return max(0, first), min(whole, -(-last // stride) * stride)


def receptive_field(spec: UNetSpec) -> tuple[int, ...]:
    """Image pixels per axis that one output pixel can depend on, at the most demanding place of the grid.

    Example:
        >>> receptive_field(UNetSpec.preset("ronneberger2015"))
        (204, 204)
    """
    return tuple(
        max(b - a for a, b in (read_interval(spec, axis, at, at + 1) for at in range(stride)))
        for axis, stride in enumerate(spec.total_stride)
    )


def context(spec: UNetSpec) -> tuple[int, ...]:
    """Pixels per side and axis that a network looks at around what it labels: its margin, or that of its valid twin.

    Example:
        >>> context(UNetSpec.preset("ronneberger2015", padded=True))
        (92, 92)
    """
    return margin(replace(spec, padded=False))
