"""Segmentation of images of any size by tiles that leave no seam; knows networks and arrays, neither files nor labels.

The scores of a tile equal those that one tile over the whole image would give (see `model.geometry.read_box`), so the
tile size is a matter of memory and speed alone. The exception is instance norm, which looks at the whole tile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import prod
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unetscope.checkpoint import Checkpoint
from unetscope.data.objects import find_objects, number_objects
from unetscope.data.reading import is_spaced
from unetscope.data.spacing import Spacing, resample_image, resample_labels, resampled_shape
from unetscope.errors import DataError, SpecError
from unetscope.model.cost import count_cost
from unetscope.model.geometry import margin, read_box
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet, class_scores
from unetscope.tiles import Box, Tile, cover, plan_tiles, read_mirrored

Precision = Literal["auto", "bfloat16", "float32", "float64"]
Scores = NDArray[np.floating]

TILE_BYTES = 2**29
LARGEST_TILE = {2: 2048, 3: 256}
WORKSPACE = {torch.bfloat16: 2, torch.float32: 3, torch.float64: 3}  # memory used per byte of outputs alive, measured


@dataclass(frozen=True)
class Tiling:
    """How to segment; none of it changes the result beyond rounding, except `average`.

    Attributes:
        tile: Pixels per axis that a tile writes, rounded up to the network's stride; chosen by memory if None.
        whole: One tile over the whole image: the exact mode for instance norm.
        precision: "bfloat16", "float32" or "float64"; "auto" takes bfloat16 where the processor computes in it.
        average: Average the probabilities over all flips, and rotations of the last two axes; costs 8 times as much in
            2D and 16 times in 3D.
    """

    tile: int | None = None
    whole: bool = False
    precision: Precision = "auto"
    average: bool = False

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
        checkpoint: The trained network.
        tiling: How to segment.

    Example:
        >>> from unetscope.data.normalization import Normalization
        >>> spec = UNetSpec.by_level((4, 8))
        >>> blank = Checkpoint(spec, UNet(spec).state_dict(), Normalization.range(0, 255), ("background", "cell"))
        >>> Segmenter(blank).labels(np.zeros((1, 5, 7), np.uint8)).shape
        (5, 7)
    """

    def __init__(self, checkpoint: Checkpoint, tiling: Tiling = Tiling()) -> None:
        self.spec = checkpoint.spec
        self.normalization = checkpoint.normalization
        self.classes = checkpoint.classes
        self.spacing = checkpoint.spacing
        self.finds_objects, self.smallest = checkpoint.objects, checkpoint.smallest
        self.tiling = tiling
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = choose_dtype(tiling.precision)
        self.network = cast_network(checkpoint.network().to(self.device), self.dtype)
        self.views = tuple(_views(self.spec)) if tiling.average else (((), 0),)

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
        """The tiles for an image and the memory they take.

        Args:
            shape: ([z,] y, x), pixels, as the network sees it.

        Returns:
            The plan; its peak memory is an estimate.
        """
        size = self._tile_size(shape)
        reads = [partial(read_box, self.spec, axis, length=n) for axis, n in enumerate(shape)]
        tiles = tuple(plan_tiles(shape, size, reads, margin(self.spec)))
        largest = max((_read_shape(tile) for tile in tiles), key=prod)
        peak = self._tile_bytes(largest) + prod(shape) * _label_dtype(self.spec).itemsize
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
        check_image(self.spec, image, name)
        affine = self.normalization.affine(image, name)
        for tile in self.plan(image.shape[1:]).tiles:
            block = affine.apply(read_mirrored(image, tile.read))
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
        result = np.zeros(image.shape[1:], _label_dtype(self.spec))
        for box, scores in self.scores(image, name):
            result[box] = scores.argmax(axis=0)
            if on_tile:
                on_tile()
            if probabilities is not None:
                probabilities[(slice(None), *box)] = scores if self.tiling.average else _softmax(scores)
        return result

    @torch.inference_mode()
    def _score(self, block: NDArray[np.float32]) -> Scores:
        """Scores of one tile, or its probabilities averaged over the views."""
        batch = torch.from_numpy(block)[None].to(self.device)
        if not self.tiling.average:
            return self._run(batch)[0].cpu().numpy()
        total = sum(_undo(self._run(_turn(batch, view)).softmax(1), view) for view in self.views)
        assert isinstance(total, Tensor)
        return (total / len(self.views))[0].cpu().numpy()

    def _run(self, batch: Tensor) -> Tensor:
        scores = class_scores(self.network(batch.to(self.dtype, memory_format=memory_layout(self.spec))))
        return scores if self.dtype == torch.float64 else scores.float()

    def _tile_size(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        strides = self.spec.total_stride
        if self.tiling.whole:
            return tuple(-(-n // stride) * stride for n, stride in zip(shape, strides, strict=True))
        if self.tiling.tile is not None:
            return tuple(-(-self.tiling.tile // stride) * stride for stride in strides)
        most = LARGEST_TILE[self.spec.ndim]
        while True:
            size = tuple(cover(n, most, stride) for n, stride in zip(shape, strides, strict=True))
            first = tuple(
                read_box(self.spec, axis, 0, step, n) for axis, (step, n) in enumerate(zip(size, shape, strict=True))
            )
            if most <= max(strides) or self._tile_bytes(tuple(b - a for a, b in first)) <= TILE_BYTES:
                return size
            most //= 2

    def _tile_bytes(self, shape: tuple[int, ...]) -> int:
        """Memory that one tile of this input shape takes."""
        itemsize = torch.finfo(self.dtype).bits // 8
        outputs = count_cost(self.spec, shape).peak_activations * itemsize * WORKSPACE[self.dtype]
        return outputs + prod(shape) * 4 * (self.spec.image_channels + max(2, self.spec.classes))


def segment(
    checkpoint: Checkpoint,
    image: NDArray[np.generic],
    tiling: Tiling = Tiling(),
    spacing: Spacing | None = None,
) -> NDArray[np.unsignedinteger]:
    """Segment one image.

    Args:
        checkpoint: The trained network.
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
    if image.ndim == checkpoint.ndim and checkpoint.spec.image_channels == 1:
        image = image[None]
    segmenter = Segmenter(checkpoint, tiling)
    labels = segmenter.labels(image, spacing=spacing)
    return segmenter.objects(labels) if checkpoint.objects else labels


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


def choose_dtype(precision: Precision) -> torch.dtype:
    """The type to compute in: for "auto" bfloat16 where the hardware computes in it, otherwise float32."""
    if precision != "auto":
        return {"bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}[precision]
    return torch.bfloat16 if computes_bfloat16() else torch.float32


def computes_bfloat16() -> bool:
    """Whether this machine multiplies bfloat16 matrices in hardware."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def cast_network(network: UNet, dtype: torch.dtype) -> UNet:
    """The network in `dtype` with channels last; norms stay in float32 below it, their statistics would suffer."""
    for module in network.modules():
        if isinstance(module, nn.modules.conv._ConvNd) or dtype == torch.float64:
            module.to(dtype)
    return network.to(memory_format=memory_layout(network.spec))  # type: ignore[call-overload, no-any-return]


def memory_layout(spec: UNetSpec) -> torch.memory_format:
    """Channels last: what convolutions are fastest in."""
    return torch.channels_last if spec.ndim == 2 else torch.channels_last_3d


def _label_dtype(spec: UNetSpec) -> np.dtype[np.unsignedinteger]:
    return np.dtype(np.uint8 if spec.classes <= 256 else np.uint16)


def _read_shape(tile: Tile) -> tuple[int, ...]:
    return tuple(part.stop - part.start for part in tile.read)


def _softmax(scores: Scores) -> Scores:
    powers = np.exp(scores - scores.max(axis=0))
    return np.asarray(powers / powers.sum(axis=0))


View = tuple[tuple[int, ...], int]


def _views(spec: UNetSpec) -> Iterator[View]:
    """Flips of the axes and quarter turns of the last two, each orientation once; turns only on a square grid."""
    axes = range(2, 2 + spec.ndim)
    turns = (0, 1) if spec.total_stride[-1] == spec.total_stride[-2] else (0,)
    for flags, turn in product(product((False, True), repeat=spec.ndim), turns):
        yield tuple(axis for axis, flag in zip(axes, flags, strict=True) if flag), turn


def _turn(batch: Tensor, view: View) -> Tensor:
    flips, turn = view
    return torch.rot90(batch.flip(flips), turn, (-2, -1))


def _undo(batch: Tensor, view: View) -> Tensor:
    flips, turn = view
    return torch.rot90(batch, -turn, (-2, -1)).flip(flips)
