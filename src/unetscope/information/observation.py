"""What every layer of a network says at the sampled pixels, gathered while the images pass; knows modules, no measures.

Nothing but the sampled positions is kept of an activation, and its moments. A layer whose output has n positions along
an axis of N fed pixels, at stride s, begins at pixel (N - s n) / 2: valid networks lose as much on either side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from unetscope.errors import DataError, SpecError
from unetscope.information.capture import MEMORY_BYTES, check_joined, group_layers, listen, split_sources
from unetscope.information.pixels import Pixels
from unetscope.information.reading import Features, Indices, Reading
from unetscope.information.subject import Subject, make_batch
from unetscope.information.views import Views
from unetscope.model.unet import class_scores
from unetscope.wiring import Wiring

OnView = Callable[[int, int], None]
Stride = tuple[int, ...]

NUMBER_BYTES = 4
CACHED = 2**18  # numbers that a core's own cache holds


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and variance of every channel over all positions of all images.

    Attributes:
        mean: (C,).
        variance: (C,), of the population; exactly 0 where nothing varies.
    """

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Observations:
    """What a network says at the sampled pixels.

    Attributes:
        layers: Every layer's output there; the last one's are scores, one for each class.
        joins: For every layer that reads several sources, what each of them brings it.
        moments: Of every layer's whole output.
        join_moments: Of everything that each source brings to a join.
        strides: Image pixels per position of every layer, per axis.
    """

    layers: Mapping[str, Reading]
    joins: Mapping[str, Mapping[str, Reading]]
    moments: Mapping[str, Moments]
    join_moments: Mapping[str, Mapping[str, Moments]]
    strides: Mapping[str, Stride]


def observe(
    module: nn.Module,
    wiring: Wiring,
    views: Views,
    pixels: Pixels,
    memory_bytes: int = MEMORY_BYTES,
    on_view: OnView | None = None,
) -> Observations:
    """Let the images pass through a network once and keep what every layer says at the sampled pixels.

    Args:
        module: The network, in its eval mode.
        wiring: What feeds each of its layers.
        views: The images.
        pixels: Where it is read.
        memory_bytes: Readings in all, at most; activations of one image come on top.
        on_view: Called with images done and images in all.

    Returns:
        All layers, read at the very same pixels.

    Raises:
        DataError: The readings take more memory; `observe_in_passes` then gives them one after another.
        SpecError: The wiring is not that of the network.
    """
    sizes = estimate_sizes(wiring, views, pixels)
    if sum(sizes.values()) > memory_bytes:
        raise DataError(
            f"readings of all layers take {sum(sizes.values()) / 2**20:.0f} MiB and may take "
            f"{memory_bytes / 2**20:.0f} MiB; allow more memory, draw fewer pixels, or observe in several passes"
        )
    return _observe(module, _Crew(wiring, wiring.layers), views, pixels, on_view)


def observe_in_passes(
    module: nn.Module,
    wiring: Wiring,
    views: Views,
    pixels: Pixels,
    memory_bytes: int = MEMORY_BYTES,
    on_view: OnView | None = None,
) -> Iterator[Observations]:
    """As `observe`, a few layers at a time: each pass holds those whose readings fit into memory together.

    Args:
        module: The network, in its eval mode.
        wiring: What feeds each of its layers.
        views: The images.
        pixels: Where it is read.
        memory_bytes: Readings of a pass, at most, unless one layer alone takes more.
        on_view: Called with images done and images in all, over all passes.

    Yields:
        Some layers, with the joins among them; every layer once, in order.

    Raises:
        SpecError: The wiring is not that of the network.
    """
    groups = group_layers(estimate_sizes(wiring, views, pixels), memory_bytes)
    total = len(groups) * len(views)
    for number, layers in enumerate(groups):

        def report(done: int, _count: int, before: int = number * len(views)) -> None:
            if on_view:
                on_view(before + done, total)

        yield _observe(module, _Crew(wiring, layers), views, pixels, report)


def observe_windows(
    subject: Subject, views: Views, pixels: Pixels, join: str, size: int, on_view: OnView | None = None
) -> Mapping[str, Reading]:
    """What a decoder's convolutions see at a join: windows of what each source brings, zeros beyond its border.

    Args:
        subject: The network.
        views: The images.
        pixels: Where it is read.
        join: A layer that reads several sources.
        size: Side of the windows, positions, odd; 5 for two 3-wide convolutions.
        on_view: Called with images done and images in all.

    Returns:
        For every source a reading of (channels x size^ndim) features: the channels in turn, each in the order of its
        positions. It takes size^ndim times the memory of a reading without windows.

    Raises:
        SpecError: The wiring is not that of the network, or the layer is no join.
    """
    if join not in subject.wiring.joins():
        joins = ", ".join(subject.wiring.joins()) or "there is none"
        raise SpecError(f"layer {join!r} reads no more than one source; use a join: {joins}")
    return _observe(subject.module, _Crew(subject.wiring, [join], size // 2), views, pixels, on_view).joins[join]


def estimate_sizes(wiring: Wiring, views: Views, pixels: Pixels) -> dict[str, int]:
    """Bytes that the readings of every layer take, with those of its sources where it joins several.

    Args:
        wiring: The network.
        views: The images.
        pixels: Where it is read.

    Returns:
        For every layer bytes, at most.
    """
    rows: dict[Stride, int] = {}
    for stride in {tuple(wiring.strides.get(layer, (1,) * views.ndim)) for layer in wiring.layers}:
        place = (pixels.place - np.array(views.origin) % stride) // stride
        rows[stride] = len(np.unique(np.column_stack([pixels.view, place]), axis=0))
    sizes = {}
    for layer, sources in wiring.sources.items():
        read = sum(wiring.widths[source] for source in sources) if len(sources) > 1 else 0
        sizes[layer] = (
            (wiring.widths.get(layer, 1) + read)
            * NUMBER_BYTES
            * rows[tuple(wiring.strides.get(layer, (1,) * views.ndim))]
        )
    return sizes


def _observe(module: nn.Module, crew: _Crew, views: Views, pixels: Pixels, on_view: OnView | None) -> Observations:
    """One pass over the images, heard by a crew."""
    with listen(module, *crew.listeners()), torch.no_grad():
        for index, view in enumerate(views):
            place = pixels.place[pixels.of(index)]
            crew.moment = _Moment(place, view.image.shape[1:])
            module(make_batch(module, view.image))
            crew.check_heard(index + 1)
            if on_view:
                on_view(index + 1, len(views))
    return crew.tell()


class _Moment:
    """The image that is passing: which of its pixels are read, and where a map of some size holds them."""

    def __init__(self, place: Indices, fed: tuple[int, ...]) -> None:
        self.place, self.fed = place, fed
        self._found: dict[tuple[tuple[int, ...], Stride], tuple[Indices, Indices, Indices]] = {}

    def locate(self, shape: tuple[int, ...], stride: Stride) -> tuple[Indices, Indices, Indices]:
        """Positions of a map that are read (flat, each once), which of them each pixel reads, and its offset."""
        if (shape, stride) not in self._found:
            start = first_pixel(self.fed, shape, stride)
            position, offset = np.divmod(self.place - start, stride)
            position = np.clip(position, 0, np.array(shape) - 1)
            flat = np.ravel_multi_index(tuple(position.T), shape)
            rows, row = np.unique(flat, return_inverse=True)
            self._found[shape, stride] = rows, row, np.ravel_multi_index(tuple(offset.T), stride)
        return self._found[shape, stride]


def first_pixel(fed: Sequence[int], shape: Sequence[int], stride: Stride) -> Indices:
    """Where a map begins in fed coordinates, per axis.

    Args:
        fed: What the network was fed, pixels.
        shape: The map, positions.
        stride: Pixels per position.

    Returns:
        Half of what the map does not cover, rounded down; 0 for a map that reaches beyond the end.

    Example:
        >>> first_pixel((572,), (28,), (16,)).tolist()
        [62]
    """
    lost: Indices = np.array(fed) - np.array(stride) * np.array(shape)
    return np.asarray(np.maximum(lost // 2, 0))


class _Crew:
    """A gatherer for every layer, and one for each source of every join."""

    def __init__(self, wiring: Wiring, layers: Sequence[str], reach: int = 0) -> None:
        self.wiring = wiring
        self.moment = _Moment(np.zeros((0, 1), np.int64), (1,))
        strides = {layer: wiring.strides.get(layer) for layer in layers}
        self.layers = {layer: _Gatherer(stride) for layer, stride in strides.items()}
        self.joins = {
            join: {source: _Gatherer(strides[join], reach) for source in wiring.sources[join]}
            for join in wiring.joins()
            if join in self.layers
        }

    def listeners(self) -> tuple[dict[str, Callable[[object], None]], dict[str, Callable[[object], None]]]:
        """Who hears the outputs, and who hears the inputs."""
        outputs = {layer: self._hearer(layer) for layer in self.layers}
        return outputs, {join: self._splitter(join) for join in self.joins}

    def _hearer(self, layer: str) -> Callable[[object], None]:
        def hear(output: object) -> None:
            if not isinstance(output, Tensor):
                raise SpecError(f"layer {layer!r} put out {type(output).__name__}; name layers that put out one tensor")
            self.layers[layer].add(class_scores(output) if layer == self.wiring.layers[-1] else output, self.moment)

        return hear

    def _splitter(self, join: str) -> Callable[[object], None]:
        parts = split_sources(self.wiring, join)

        def hear(joined: object) -> None:
            tensor = check_joined(self.wiring, join, joined)
            for source, part in parts.items():
                self.joins[join][source].add(tensor[:, part], self.moment)

        return hear

    def check_heard(self, images: int) -> None:
        """Refuse layers that did not speak once an image."""
        for layer, gatherer in self.layers.items():
            if gatherer.heard != images:
                raise SpecError(
                    f"layer {layer!r} put out {gatherer.heard} tensors for {images} images; name layers that are used "
                    "once in a pass"
                )

    def tell(self) -> Observations:
        """Everything gathered."""
        moments = {layer: gatherer.running.moments for layer, gatherer in self.layers.items()}
        strides = {layer: gatherer.stride or () for layer, gatherer in self.layers.items()}
        readings = {layer: gatherer.finish() for layer, gatherer in self.layers.items()}
        join_moments = {
            join: {source: gatherer.running.moments for source, gatherer in parts.items()}
            for join, parts in self.joins.items()
        }
        joins = {
            join: {source: _share(gatherer.finish(), readings.get(source)) for source, gatherer in parts.items()}
            for join, parts in self.joins.items()
        }
        return Observations(readings, joins, moments, join_moments, strides)


def _share(brought: Reading, source: Reading | None) -> Reading:
    """What a source brings to a join, held once where it is just what the source put out."""
    if source is None or brought.features.shape != source.features.shape:
        return brought
    pairs = ((getattr(brought, name), getattr(source, name)) for name in ("row", "offset", "features"))
    return source if all(np.array_equal(one, other) for one, other in pairs) else brought


class _Gatherer:
    """Keeps what one map says at the pixels, or in windows that reach so far around them, image after image."""

    def __init__(self, stride: Stride | None, reach: int = 0) -> None:
        self.reach = reach
        self.stride = None if stride is None else tuple(stride)
        self.heard = 0
        self.running = _Running()
        self._known = 0
        self._features: list[Features] = []
        self._rows: list[Indices] = []
        self._offsets: list[Indices] = []

    def add(self, output: Tensor, moment: _Moment) -> None:
        """Hear the map of an image: (1, channels, [z,] y, x)."""
        shape = tuple(output.shape[2:])
        if self.stride is None:
            self.stride = tuple(max(1, round(n / m)) for n, m in zip(moment.fed, shape, strict=True))
        positions, row, offset = moment.locate(shape, self.stride)
        self._rows.append(row + self._known)
        self._known += len(positions)
        self._features.append(_read_windows(output[0], positions, self.reach))
        self._offsets.append(offset)
        self.running.add(output[0].flatten(1))
        self.heard += 1

    def finish(self) -> Reading:
        """The reading; what was gathered is given away, so that it is not held twice."""
        features = np.concatenate(self._features)
        self._features = []
        # Offsets that no pixel has would be outputs that no probe can learn.
        offset = np.unique(np.concatenate(self._offsets), return_inverse=True)[1]
        return Reading(features, np.concatenate(self._rows), offset.astype(np.int64))


def _read_windows(output: Tensor, positions: Indices, reach: int) -> Features:
    """(positions, channels x window) of a map (channels, [z,] y, x), which is continued by zeros."""
    shape, ndim = output.shape[1:], output.ndim - 1
    framed = functional.pad(output, [reach] * 2 * ndim) if reach else output
    corner = np.stack(np.unravel_index(positions, shape), 1)
    steps = np.indices((2 * reach + 1,) * ndim).reshape(ndim, -1)
    places = np.ravel_multi_index(tuple((corner.T[:, :, None] + steps[:, None]).reshape(ndim, -1)), framed.shape[1:])
    chosen = framed.flatten(1)[:, torch.from_numpy(places).to(output.device)]
    windows = chosen.reshape(len(output), len(positions), -1).transpose(0, 1).flatten(1)
    return np.asarray(windows.float().contiguous().cpu().numpy(), np.float32)


@dataclass
class _Running:
    """Moments of what has been heard so far, merged image by image (Chan, Golub, LeVeque 1983)."""

    count: int = 0
    mean: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))
    spread: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))

    def add(self, flat: Tensor) -> None:
        """Merge (channels, positions)."""
        step = max(1, CACHED // flat.shape[1])
        parts = [_describe(part) for part in torch.split(flat, step)]
        mean, spread = (np.concatenate(values) for values in zip(*parts, strict=True))
        total = self.count + flat.shape[1]
        gap = mean - self.mean
        self.spread = self.spread + spread + gap**2 * (self.count * flat.shape[1] / total)
        self.mean = self.mean + gap * (flat.shape[1] / total)
        self.count = total

    @property
    def moments(self) -> Moments:
        """As they are now."""
        return Moments(self.mean, self.spread / max(self.count, 1))


def _describe(flat: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of every channel and sum of squares about it."""
    first = flat[:, :1].float()
    center = first + (flat - first).mean(1, keepdim=True)  # from the first value on: exact where nothing varies
    apart = flat - center
    rest = apart.sum(1).double()
    mean = center[:, 0].double() + rest / flat.shape[1]
    spread = torch.linalg.vecdot(apart, apart).double() - rest.square() / flat.shape[1]
    return mean.cpu().numpy(), spread.clamp(min=0).cpu().numpy()
