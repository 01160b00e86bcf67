"""Segmentation of images of any size by tiles that leave no seam; knows engines and arrays, neither files nor labels.

The scores of a tile equal those that one tile over the whole image would give (see `model.geometry.read_box`), so the
tile size is a matter of memory and speed alone. The exception is instance norm, which looks at the whole tile. The next
tile is read and normalized while the present one is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from unetscope import __version__
from unetscope.ahead import work_ahead
from unetscope.checkpoint import Checkpoint
from unetscope.data.normalization import Affine
from unetscope.data.objects import find_objects, number_objects
from unetscope.data.reading import is_spaced
from unetscope.data.spacing import Spacing, resample_image, resample_labels, resampled_shape
from unetscope.engines.bundle import Bundle
from unetscope.engines.choice import Wanted, choose_engine
from unetscope.engines.engine import Precision, label_dtype
from unetscope.errors import DataError, SpecError
from unetscope.machine import available_memory
from unetscope.model.geometry import margin, read_box
from unetscope.model.spec import UNetSpec
from unetscope.tiles import Box, Reads, Tile, choose_size, plan_tiles, read_mirrored

Scores = NDArray[np.floating]
Source = Checkpoint | Bundle

LEAST_BYTES, MOST_BYTES = 2**27, 2**31  # that a tile may take; beyond, the margins that it saves are few ...
WASTE = 2  # ... unless tiles read so many times what they write, as deep networks of volumes do


@dataclass(frozen=True)
class Tiling:
    """How to segment; none of it changes the result beyond rounding, except `average`.

    Attributes:
        tile: Pixels per axis that a tile writes, rounded up to the network's stride; chosen by memory if None.
        whole: One tile over the whole image: the exact mode for instance norm.
        precision: "bfloat16", "float32" or "float64"; "auto" takes bfloat16 where the processor computes in it.
        engine: "torch" or "openvino"; "auto" takes the fastest that labels as float32 torch does (`engines.choice`).
        average: Average the probabilities over all flips, and rotations of the last two axes; costs 8 times as much in
            2D and 16 times in 3D.
    """

    tile: int | None = None
    whole: bool = False
    precision: Precision = "auto"
    average: bool = False
    engine: Wanted = "auto"

    def __post_init__(self) -> None:
        """Refuse a tile that holds nothing."""
        if self.tile is not None and self.tile < 1:
            raise SpecError(f"tile is {self.tile}; a tile holds at least one pixel: give a size such as 512")


@dataclass(frozen=True)
class Plan:
    """What segmenting one image will take.

    Attributes:
        size: Pixels per axis that a tile writes.
        tiles: The tiles, each written once.
        peak_bytes: Estimated memory at the most, beyond the program itself and its weights.
        views: Times that every tile is computed.
        seamless: Whether the tile size does not matter; False for instance norm in more than one tile.
    """

    size: tuple[int, ...]
    tiles: tuple[Tile, ...]
    peak_bytes: int
    views: int
    seamless: bool


class Segmenter:
    """A trained network ready to segment images.

    Args:
        source: The trained network, or its export.
        tiling: How to segment.

    Raises:
        SpecError: The engine or the precision that was asked for cannot be had.

    Example:
        >>> from unetscope.data.normalization import Normalization
        >>> from unetscope.model.unet import UNet
        >>> spec = UNetSpec.by_level((4, 8))
        >>> blank = Checkpoint(spec, UNet(spec).state_dict(), Normalization.range(0, 255), ("background", "cell"))
        >>> Segmenter(blank).labels(np.zeros((1, 5, 7), np.uint8)).shape
        (5, 7)
    """

    def __init__(self, source: Source, tiling: Tiling = Tiling()) -> None:
        self.source, self.tiling = source, tiling
        self.spec = source.spec
        self.normalization = source.normalization
        self.classes = source.classes
        self.spacing = source.spacing
        self.finds_objects, self.smallest = source.objects, source.smallest
        self.engine = choose_engine(source, tiling.engine, tiling.precision)
        self.views = tuple(_views(self.spec)) if tiling.average else (((), 0),)
        self._plans: dict[tuple[int, ...], Plan] = {}

    @cached_property
    def made_by(self) -> dict[str, str]:
        """What a label image records of how it was made: plain words."""
        return {"software": f"unetscope {__version__}", **self.engine.describe(), "network": self.source.digest()}

    def grid(self, shape: tuple[int, ...], spacing: Spacing | None) -> tuple[int, ...]:
        """The shape that an image is brought to before the network sees it.

        Args:
            shape: ([z,] y, x), pixels.
            spacing: Distance between its pixels, if it is known.

        Returns:
            `shape` itself unless the network was trained at another spacing.
        """
        if self.spacing is None or spacing is None or is_spaced(spacing, self.spacing):
            return shape
        return resampled_shape(shape, spacing.in_unit(self.spacing.unit).steps, self.spacing.steps)

    def plan(self, shape: tuple[int, ...]) -> Plan:
        """The tiles for an image and the memory they take; the same for every image of one shape.

        Args:
            shape: ([z,] y, x), pixels, as the network sees it.

        Returns:
            The plan; its peak memory is an estimate.
        """
        if shape not in self._plans:
            self._plans[shape] = self._plan(shape)
        return self._plans[shape]

    def _plan(self, shape: tuple[int, ...]) -> Plan:
        reads: list[Reads] = [partial(read_box, self.spec, axis, length=n) for axis, n in enumerate(shape)]
        size = self._tile_size(shape, reads)
        tiles = tuple(plan_tiles(shape, size, reads, margin(self.spec)))
        largest = max((_read_shape(tile) for tile in tiles), key=prod)
        peak = self._tile_bytes(largest) + prod(shape) * label_dtype(self.spec).itemsize
        seamless = self.spec.norm != "instance" or len(tiles) == 1
        return Plan(size, tiles, peak, len(self.views), seamless)

    def scores(self, image: NDArray[np.generic], name: str = "the image") -> Iterator[tuple[Box, Scores]]:
        """Scores of an image, tile by tile.

        Args:
            image: (channels, [z,] y, x) of any size from one pixel up, on the network's grid; may be memory-mapped.
            name: What messages call the image.

        Yields:
            The box of the image, and (classes, *box) scores before soft-max (probabilities when averaging); a network
            with one foreground score gets its background's, 0.

        Raises:
            DataError: Channels or axes are not the network's.
            ImageError: A value is not finite.
        """
        for tile, block in self._blocks(image, name):
            yield tile.write, self._score(block)[(slice(None), *tile.keep)]

    def labels(
        self, image: NDArray[np.generic], name: str = "the image", spacing: Spacing | None = None
    ) -> NDArray[np.unsignedinteger]:
        """Class indices of an image; ties take the lowest class.

        Args:
            image: (channels, [z,] y, x) of any size from one pixel up; may be memory-mapped.
            name: What messages call the image.
            spacing: Distance between its pixels, if it is known.

        Returns:
            ([z,] y, x), 0 = background. Only this is held for the whole image, never its scores.

        Raises:
            DataError: Channels or axes are not the network's.
            ImageError: A value is not finite.
        """
        return self.fill(image, name, spacing)

    def objects(self, labels: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
        """Number the objects of a whole segmented image; tiles cut none of them.

        Args:
            labels: Class indices of the whole image, as `labels` returns them.

        Returns:
            ([z,] y, x), 1 to the number of objects, 0 = background: put together from inside and border where the
            network was trained to tell them apart (what is far smaller than the objects it learned is left out),
            otherwise the connected components of each foreground class.
        """
        return find_objects(labels, self.smallest) if self.finds_objects else number_objects(labels)

    def fill(
        self,
        image: NDArray[np.generic],
        name: str = "the image",
        spacing: Spacing | None = None,
        probabilities: NDArray[np.floating] | None = None,
        on_tile: Callable[[], None] | None = None,
    ) -> NDArray[np.unsignedinteger]:
        """As `labels`, and fills `probabilities` (classes, [z,] y, x) where given (a memory-mapped file, say).

        An image of another spacing than the network's is resampled, its arg-max is taken there, and each of its own
        pixels gets the class of the network's pixel under its center.
        """
        shape, wanted = image.shape[1:], self.grid(image.shape[1:], spacing)
        if wanted == shape:
            return self._fill(image, name, probabilities, on_tile)
        check_image(self.spec, image, name)
        coarse = None if probabilities is None else np.empty((len(probabilities), *wanted), np.float32)
        labels = resample_labels(self._fill(resample_image(image, wanted), name, coarse, on_tile), shape)
        if probabilities is not None and coarse is not None:
            probabilities[...] = resample_image(coarse, shape)
        return labels

    def _fill(
        self,
        image: NDArray[np.generic],
        name: str,
        probabilities: NDArray[np.floating] | None,
        on_tile: Callable[[], None] | None,
    ) -> NDArray[np.unsignedinteger]:
        """The labels of an image on the network's grid."""
        result = np.zeros(image.shape[1:], label_dtype(self.spec))
        for tile, block in self._blocks(image, name):
            if probabilities is None and not self.tiling.average:
                result[tile.write] = self.engine.labels(block[None])[0][tile.keep]
            else:
                scores = self._score(block)[(slice(None), *tile.keep)]
                result[tile.write] = scores.argmax(axis=0)
                if probabilities is not None:
                    probabilities[(slice(None), *tile.write)] = scores if self.tiling.average else _softmax(scores)
            if on_tile:
                on_tile()
        return result

    def _blocks(self, image: NDArray[np.generic], name: str) -> Iterator[tuple[Tile, NDArray[np.float32]]]:
        """The tiles of an image with what the network reads for each; the next is made while one is used."""
        check_image(self.spec, image, name)
        affine = self.normalization.affine(image, name)
        tiles = self.plan(image.shape[1:]).tiles
        return work_ahead(partial(_read, image, tile, affine) for tile in tiles)

    def _score(self, block: NDArray[np.float32]) -> Scores:
        """Scores of one tile, or its probabilities averaged over the views."""
        if not self.tiling.average:
            return np.asarray(self.engine.scores(block[None])[0])
        turned = (self.engine.scores(np.ascontiguousarray(_turn(block, view))[None])[0] for view in self.views)
        chances = (_undo(_softmax(scores), view) for scores, view in zip(turned, self.views, strict=True))
        return np.asarray(reduce(np.add, chances) / np.float32(len(self.views)))

    def _tile_size(self, shape: tuple[int, ...], reads: list[Reads]) -> tuple[int, ...]:
        strides = self.spec.total_stride
        if self.tiling.whole:
            return tuple(-(-n // stride) * stride for n, stride in zip(shape, strides, strict=True))
        if self.tiling.tile is not None:
            return tuple(-(-self.tiling.tile // stride) * stride for stride in strides)
        available = available_memory()
        most = max(LEAST_BYTES, min(MOST_BYTES, available // 4))
        while True:
            size, read = choose_size(shape, strides, reads, lambda block: self._tile_bytes(block) <= most)  # noqa: B023
            if read <= WASTE * prod(shape) or 2 * most > available // 2:
                return size
            most *= 2

    def _tile_bytes(self, shape: tuple[int, ...]) -> int:
        """Memory that one tile of this input shape takes, with the one that is read meanwhile."""
        return self.engine.memory(shape) + 2 * prod(shape) * self.spec.image_channels * np.dtype(np.float32).itemsize


def segment(
    source: Source,
    image: NDArray[np.generic],
    tiling: Tiling = Tiling(),
    spacing: Spacing | None = None,
) -> NDArray[np.unsignedinteger]:
    """Segment one image.

    Args:
        source: The trained network, or its export.
        image: (channels, [z,] y, x), or without channels if the network reads one; any size from one pixel up.
        tiling: How to segment.
        spacing: Distance between its pixels; a network that was trained at another spacing needs it.

    Returns:
        ([z,] y, x), 0 = background: class indices, or object numbers of a network that was trained on objects.

    Raises:
        DataError: Channels or axes are not the network's, or a value is not finite.

    Source:
        Ronneberger, Fischer, Brox 2015, figure 2 (overlap-tile strategy).
    """
    if image.ndim == source.ndim and source.spec.image_channels == 1:
        image = image[None]
    segmenter = Segmenter(source, tiling)
    labels = segmenter.labels(image, spacing=spacing)
    return segmenter.objects(labels) if source.objects else labels


def check_image(spec: UNetSpec, image: NDArray[np.generic], name: str) -> None:
    """Refuse an image that the network cannot read.

    Raises:
        DataError: Axes or channels are not the network's, or there are no pixels.
    """
    if image.ndim != spec.ndim + 1:
        axes = "(channels, y, x)" if spec.ndim == 2 else "(channels, z, y, x)"
        raise DataError(f"{name} has {image.ndim} axes {image.shape}; this network reads {axes}: give one such image")
    if image.shape[0] != spec.image_channels:
        raise DataError(
            f"{name} has {image.shape[0]} channels; this network reads {spec.image_channels}: convert the image, or "
            "train on images like it"
        )
    if not all(image.shape):
        raise DataError(f"{name} is empty, of shape {image.shape}; at least one pixel is needed")


def _read(image: NDArray[np.generic], tile: Tile, affine: Affine) -> tuple[Tile, NDArray[np.float32]]:
    return tile, affine.apply(read_mirrored(image, tile.read))


def _read_shape(tile: Tile) -> tuple[int, ...]:
    return tuple(part.stop - part.start for part in tile.read)


def _softmax(scores: Scores) -> Scores:
    powers = np.exp(scores - scores.max(axis=0))
    return np.asarray(powers / powers.sum(axis=0))


View = tuple[tuple[int, ...], int]


def _views(spec: UNetSpec) -> Iterator[View]:
    """Flips of the axes and quarter turns of the last two, each orientation once; turns only on a square grid."""
    axes = range(1, 1 + spec.ndim)
    turns = (0, 1) if spec.total_stride[-1] == spec.total_stride[-2] else (0,)
    for flags, turn in product(product((False, True), repeat=spec.ndim), turns):
        yield tuple(axis for axis, flag in zip(axes, flags, strict=True) if flag), turn


def _turn(block: NDArray[np.float32], view: View) -> NDArray[np.float32]:
    flips, turn = view
    return np.rot90(np.flip(block, flips), turn, (-2, -1))


def _undo(block: Scores, view: View) -> Scores:
    flips, turn = view
    return np.flip(np.rot90(block, -turn, (-2, -1)), flips)
