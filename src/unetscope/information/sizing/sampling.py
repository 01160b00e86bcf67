"""Pixels of annotated images with what lies around them, as training would see it; knows datasets, not probes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetscope.data.dataset import IGNORE, Dataset, Item
from unetscope.data.formats.registry import SUFFIXES, is_series, suffix_of
from unetscope.data.intensities import measure
from unetscope.data.item import is_visible
from unetscope.data.normalization import Normalization, choose, window
from unetscope.data.spacing import Spacing, median_spacing
from unetscope.errors import DataError
from unetscope.information.reading import Reading
from unetscope.information.sizing.fovea import describe_windows, find_columns, window_sizes
from unetscope.tiles import read_mirrored

Array = NDArray[Any]
Indices = NDArray[np.int64]
OnImage = Callable[[int, int], None]

FEWEST = 3  # groups: to fit, to tune and to test on
AT_ONCE = 2**22  # values of windows that are held together
MOST_VALUES = 2**26  # numbers of all pixels together; images of many channels are sampled less


@dataclass(frozen=True, eq=False)
class Samples:
    """Labelled pixels of all images, as many of each.

    Attributes:
        features: (P, numbers) float32, what lies around each pixel.
        columns: (numbers,) smallest window that each number can be had from, pixels per axis.
        places: (P, ndim) relative coordinates, from -1 to 1 across the image.
        labels: (P,) class of each.
        units: (P,) number of its image, or of its group where images belong together.
        names: Of the images or groups.
        classes: Names of the classes.
        occurrence: (images or groups, classes) labelled pixels, of which these are a sample.
    """

    features: NDArray[np.float32]
    columns: Indices
    places: NDArray[np.float32]
    labels: Indices
    units: Indices
    names: tuple[str, ...]
    classes: tuple[str, ...]
    occurrence: Indices

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the windows that can be told apart."""
        return tuple(int(size) for size in np.unique(self.columns))

    def window(self, size: int) -> Reading:
        """What can be seen in the window of a size."""
        return Reading.of(self.features[:, self.columns <= size])


@dataclass(frozen=True)
class Eye:
    """How the surroundings of a pixel become numbers, the same for annotated and other images.

    Attributes:
        dataset: The annotated images that are learned from, on one grid.
        normalization: What training would choose for them.
    """

    dataset: Dataset
    normalization: Normalization

    @classmethod
    def on(cls, dataset: Dataset) -> Eye:
        """An eye for the training and validation images of a dataset.

        Raises:
            DataError: There are too few, or they cannot be read.
        """
        kept = dataset.subset(item.name for item in dataset.items if item.part != "test")
        _check_count(len({item.group for item in kept.items}))
        spacing = _choose_spacing(kept)
        kept = kept if spacing is None else kept.at_spacing(spacing)
        return cls(kept, _choose_normalization(kept))

    def read_image(self, item: Item) -> Array:
        """An image without labels, as the annotated ones are read.

        Raises:
            DataError: It cannot be read, or has other channels.
        """
        image = self.dataset.read_image(item)
        if len(image) != self.dataset.channels:
            raise DataError(
                f"{item.image} has {len(image)} channels, and the annotated images have {self.dataset.channels}; give "
                "images that are like them"
            )
        return image

    @cached_property
    def columns(self) -> Indices:
        """Window of each number that `see` returns."""
        return find_columns(self.dataset.ndim, self.dataset.channels)

    def see(self, image: Array, places: Indices, name: str) -> NDArray[np.float32]:
        """What lies around some pixels.

        Args:
            image: (channels, [z,] y, x) as stored; mirrored at its border.
            places: (P, ndim) pixels.
            name: What to call it in a message.

        Returns:
            (P, numbers).
        """
        normalized, size = self.normalization.affine(image, name), window_sizes(self.dataset.ndim)[-1]
        parts = ceil(len(places) * image.shape[0] * size**self.dataset.ndim / AT_ONCE)

        def describe(part: Indices) -> NDArray[np.float32]:
            boxes = [tuple(slice(at - size // 2, at + size // 2 + 1) for at in place) for place in part.tolist()]
            windows = np.stack([read_mirrored(image, box) for box in boxes], axis=1)
            return describe_windows(np.moveaxis(normalized.apply(windows), 1, 0))

        return np.concatenate([describe(part) for part in np.array_split(places, parts)])


def draw_samples(eye: Eye, count: int, seed: int, on_image: OnImage) -> Samples:
    """Draw labelled pixels evenly over all images.

    Args:
        eye: The images, and how they are seen.
        count: Pixels in all, about; fewer where the images have more than 9 channels (15 in 3D).
        seed: Start of the draw.
        on_image: Called with the images done and all.

    Returns:
        As many pixels of each image, or all that are labelled.

    Raises:
        DataError: An image cannot be read, or too few have labelled pixels.
    """
    dataset, items = eye.dataset, eye.dataset.items
    groups = tuple(dict.fromkeys(item.group for item in items))
    occurrence = np.zeros((len(groups), len(dataset.classes)), np.int64)
    share = ceil(min(count, MOST_VALUES // len(eye.columns)) / len(items))
    drawn = []
    for number, item in enumerate(items):
        image, labels = dataset.read(item)
        unit = groups.index(item.group)
        occurrence[unit] += np.bincount(labels[labels != IGNORE].ravel(), minlength=len(dataset.classes))
        pixels = draw_pixels(labels != IGNORE, share, [seed, number])
        places = np.stack(np.unravel_index(pixels, labels.shape), axis=1)
        seen = eye.see(image, places, str(item.image)) if len(pixels) else np.empty((0, len(eye.columns)), np.float32)
        drawn.append((seen, relative(places, labels.shape), labels.ravel()[pixels], np.full(len(pixels), unit)))
        on_image(number + 1, len(items))
    parts: list[Array] = [np.concatenate(part) for part in zip(*drawn, strict=True)]
    _check_count(int(occurrence.any(axis=1).sum()))
    labels, units = (part.astype(np.int64) for part in parts[2:])
    return Samples(parts[0], eye.columns, parts[1], labels, units, groups, dataset.classes, occurrence)


def draw_pixels(allowed: NDArray[np.bool_], count: int, seed: int | Sequence[int]) -> Indices:
    """Draw pixels, one from each of as many equal runs of the allowed ones, so that they are spread.

    Args:
        allowed: ([z,] y, x), which pixels may be drawn.
        count: How many to draw at most.
        seed: Start of the draw.

    Returns:
        Their flat numbers, ascending, none twice.

    Example:
        >>> draw_pixels(np.ones((2, 4), bool), 8, 0).tolist()
        [0, 1, 2, 3, 4, 5, 6, 7]
    """
    pixels = np.flatnonzero(allowed)
    count = min(count, len(pixels))
    bounds = np.arange(count + 1) * len(pixels) // max(1, count)
    return pixels[np.random.default_rng(seed).integers(bounds[:-1], bounds[1:])]


def relative(places: Indices, shape: Sequence[int]) -> NDArray[np.float32]:
    """Pixels as coordinates from -1 to 1 across the image.

    Example:
        >>> relative(np.array([[0, 2], [4, 1]]), (5, 3)).tolist()
        [[-1.0, 1.0], [1.0, 0.0]]
    """
    return np.asarray(2 * places / np.maximum(np.array(shape) - 1, 1) - 1, np.float32)


def find_unlabelled(dataset: Dataset, folder: Path) -> tuple[Item, ...]:
    """The images in a folder, but for those of the dataset.

    Args:
        dataset: Annotated images, which are left out.
        folder: Image files and folders of DICOM series.

    Returns:
        Items without labels, named after their files.

    Raises:
        DataError: There is none, or an annotated image has its channels in several files.
    """
    if any(item.channels for item in dataset.items):
        raise DataError(
            f"the images of {dataset.root} have their channels in several files, and only images in one file can be "
            "ranked; join the channels, or leave out --unlabelled"
        )
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; give one that holds images without labels")
    known = {item.image.resolve() for item in dataset.items}
    visible = [path for path in sorted(folder.iterdir()) if is_visible(path) and path.resolve() not in known]
    found = [path for path in visible if suffix_of(path) in SUFFIXES or is_series(path)]
    if not found:
        raise DataError(f"{folder} holds no images but annotated ones; files ending in {', '.join(SUFFIXES)} are read")
    return tuple(Item(path.name, path, None, None, path.name) for path in found)


def _check_count(groups: int) -> None:
    """Refuse images that cannot be divided into those to fit, to tune and to test on."""
    if groups < FEWEST:
        raise DataError(
            f"{groups} annotated image{'s' * (groups != 1)} or groups for training came, and at least {FEWEST} are "
            "needed to learn from some and to test on others; annotate more, or cut large ones into several files"
        )


def _choose_spacing(dataset: Dataset) -> Spacing | None:
    """The spacing that training resamples volumes to: the median, where all of them say theirs."""
    if dataset.ndim == 2:
        return None
    found = [dataset.read_spacing(item) for item in dataset.items]
    known = [spacing for spacing in found if spacing is not None]
    return Spacing(median_spacing(known), known[0].unit) if known and len(known) == len(found) else None


def _choose_normalization(dataset: Dataset) -> Normalization:
    """What training chooses unless it is told otherwise."""
    if dataset.modality == "CT":
        return window((image, labels > 0) for image, labels in map(dataset.read, dataset.items))
    return choose([measure(dataset.read_image(item), str(item.image)) for item in dataset.items])
