"""How annotated images become what a run learns from: blocks of few images, one spacing, one normalization.

Knows datasets and recipes, neither networks' weights nor steps.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from unetscope.data.blocks import are_few
from unetscope.data.dataset import Dataset, Split
from unetscope.data.intensities import measure
from unetscope.data.normalization import Normalization, choose, pool, span, window
from unetscope.data.spacing import Spacing, median_spacing
from unetscope.errors import DataError
from unetscope.model.geometry import context, fitting_shape, margin
from unetscope.model.spec import UNetSpec
from unetscope.tiles import read_mirrored
from unetscope.training.recipe import Recipe

CROP_SIDE = {2: 256, 3: 64}
CROPS = {2: 4, 3: 2}


def cut_few(dataset: Dataset, spec: UNetSpec) -> Dataset:
    """Cut each of a few images into blocks to train on, to validate and to test on, with a gap between them.

    Args:
        dataset: Annotated images.
        spec: The network; the gap is as wide as its margin.

    Returns:
        The dataset in blocks, or as it is: with more than 5 images, given roles, or images too small to be cut.

    Raises:
        DataError: There is one image, and it is too small.
    """
    if not are_few(dataset.items):
        return dataset
    try:
        return dataset.in_blocks(context(spec))
    except DataError:
        if len(dataset.items) == 1:
            raise
        return dataset


def find_gap(dataset: Dataset, spec: UNetSpec) -> tuple[int, ...]:
    """Pixels per axis between the blocks of a dataset, whichever network they were cut for; empty for whole images."""
    if not any(item.box for item in dataset.items):
        return ()
    gap = list(context(spec))
    blocks = sorted((str(item.image), item.box) for item in dataset.items if item.box)
    for (image, one), (other_image, other) in pairwise(blocks):
        for axis, ((_, stop), (start, _)) in enumerate(zip(one, other, strict=True)):
            if image == other_image and start >= stop:
                gap[axis] = start - stop
    return tuple(gap)


def choose_spacing(dataset: Dataset, split: Split, recipe: Recipe) -> Spacing | None:
    """The spacing that volumes are resampled to: the median of the training images.

    Args:
        dataset: Annotated images.
        split: Which of them train.
        recipe: Whether anything is resampled.

    Returns:
        None for images, for volumes as stored, and where a training image does not say its spacing.

    Raises:
        DataError: The images' units cannot be converted into each other.
    """
    if dataset.ndim == 2 or recipe.spacing == "stored":
        return None
    found = [dataset.read_spacing(dataset.item(name)) for name in split.train]
    known = [spacing for spacing in found if spacing is not None]
    return Spacing(median_spacing(known), known[0].unit) if known and len(known) == len(found) else None


def find_smallest(dataset: Dataset, split: Split) -> int:
    """The size below which a found object is none: half of what 99 % of the training objects exceed.

    Args:
        dataset: Annotated images whose labels tell objects apart.
        split: Which of them train.

    Returns:
        Pixels; 0 where there are no objects.
    """
    numbered = (dataset.read_instances(dataset.item(name)) for name in split.train)
    sizes = np.concatenate([np.unique(numbers[numbers > 0], return_counts=True)[1] for numbers in numbered])
    return int(np.percentile(sizes, 1) / 2) if sizes.size else 0


def cut_crops(dataset: Dataset, split: Split, spec: UNetSpec, normalization: Normalization) -> NDArray[np.float32]:
    """Cut a few crops around foreground, on which engines are compared when the network is used.

    Args:
        dataset: Annotated images, as the network learns them.
        split: Validation images come first, then those that train.
        spec: The network; a crop has a shape that it accepts.
        normalization: What the network shall see.

    Returns:
        (count, channels, [z,] y, x), normalized; crops look beyond the border of small images by mirroring.
    """
    lost, side = margin(spec), CROP_SIDE[spec.ndim]
    shape = fitting_shape(spec, tuple(side + 2 * m for m in lost))
    crops = []
    for name in (*split.validation, *split.train)[: CROPS[spec.ndim]]:
        item = dataset.item(name)
        image, labels = dataset.read(item)
        corner = (at - size // 2 for at, size in zip(_middle_foreground(labels), shape, strict=True))
        box = tuple(slice(start, start + size) for start, size in zip(corner, shape, strict=True))
        crops.append(normalization.affine(image, str(item.image)).apply(read_mirrored(image, box)))
    return np.stack(crops)


def _middle_foreground(labels: NDArray[np.generic]) -> tuple[int, ...]:
    """The middle one of the foreground pixels in their order, or the image's middle where there is none."""
    foreground = np.flatnonzero(np.greater(labels, 0))
    middle = foreground[len(foreground) // 2] if foreground.size else labels.size // 2
    return tuple(int(at) for at in np.unravel_index(middle, labels.shape))


def choose_normalization(dataset: Dataset, split: Split, recipe: Recipe) -> Normalization:
    """How the network shall see intensities, from the training images.

    Args:
        dataset: Annotated images.
        split: Which of them train.
        recipe: The scheme, or "auto".

    Returns:
        The scheme with its numbers.

    Raises:
        DataError: The scheme cannot be had from these images.
    """
    scheme = recipe.normalization
    if scheme == "auto" and dataset.modality == "CT":
        scheme = "window"
    if scheme == "image":
        return Normalization("image")
    items = [dataset.item(name) for name in split.train]
    if scheme == "window":
        return window((image, labels > 0) for image, labels in map(dataset.read, items))
    statistics = [measure(dataset.read_image(item), str(item.image)) for item in items]
    if scheme == "range":
        return span(statistics)
    return choose(statistics) if scheme == "auto" else pool(statistics)
