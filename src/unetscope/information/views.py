"""Annotated images as a network is fed them, each at its own size; knows datasets, neither layers nor bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import IGNORE, Dataset, Item
from unetscope.data.labelling import name_classes
from unetscope.errors import DataError
from unetscope.evaluation import check_fit, see
from unetscope.model.geometry import fitting_shape, layer_shapes, margin, smallest_size
from unetscope.model.spec import UNetSpec
from unetscope.segmentation import check_image
from unetscope.tiles import Box, read_mirrored

Role = Literal["profile", "train", "test", "all"]

FEWEST_IMAGES = 2
MOST_PIXELS: Mapping[int, int] = {2: 1024**2, 3: 96**3}
"""Pixels of an image that are read, per number of axes; of larger images a box."""

SLACK = 1e-6  # of a root, which rounding may leave just below a whole number


@dataclass(frozen=True, eq=False)
class View:
    """One image as the network is fed it.

    Attributes:
        name: The image.
        group: What belongs together, such as a patient, has the same group.
        image: (channels, [z,] y, x), normalized, of a size that the network accepts, float32.
        labels: ([z,] y, x) classes at the same places; -1 outside the image, and where no label is known.
    """

    name: str
    group: str
    image: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Views:
    """The images of a profile; each is read anew when it is asked for, so that memory holds one of them.

    Attributes:
        names: The images.
        groups: What each belongs to.
        classes: Names of the classes, the background first.
        origin: A place in fed coordinates where a pixel of the network's coarsest grid begins, ([z,] y, x).
        read: What gives the image of a number.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    origin: tuple[int, ...]
    read: Callable[[int], View]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> View:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.read(index % len(self))

    def __iter__(self) -> Iterator[View]:
        return (self.read(index) for index in range(len(self)))

    @property
    def ndim(self) -> int:
        """2 for images, 3 for volumes."""
        return len(self.origin)


def view_arrays(
    images: Sequence[NDArray[Any]],
    labels: Sequence[NDArray[Any]],
    classes: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
) -> Views:
    """Arrays as a network wants them, with their labels.

    Args:
        images: (channels, [z,] y, x) each, already normalized and of sizes that the network accepts.
        labels: ([z,] y, x) each, whole numbers: classes from 0, -1 where the label is unknown.
        classes: Names of the classes; by default as many as there are in the labels.
        names: Names of the images; numbers by default.
        groups: What each image belongs to; by default each to itself.

    Returns:
        The images, not copied unless their type must change.

    Raises:
        DataError: Lengths, shapes or values do not fit, fewer than two images came, or their labels are all the same.

    Example:
        >>> image, labels = np.zeros((1, 4, 4)), np.eye(4, dtype=int)
        >>> view_arrays([image, image], [labels, labels]).classes
        ('background', 'foreground')
    """
    count = len(images)
    named = tuple(map(str, names)) if names is not None else tuple(map(str, range(count)))
    grouped = tuple(map(str, groups)) if groups is not None else named
    _check_lengths(count, labels=len(labels), names=len(named), groups=len(grouped))
    for name, image, known in zip(named, images, labels, strict=True):
        _check_arrays(name, np.asarray(image), np.asarray(known))
    highest = max(int(np.max(known)) for known in labels)
    called = tuple(classes) if classes is not None else name_classes(max(2, highest + 1))
    if highest >= len(called):
        raise DataError(
            f"the labels hold class {highest}, and {len(called)} classes are named; name one class for each number "
            "from 0 up"
        )

    def read(index: int) -> View:
        image, known = np.asarray(images[index], np.float32), np.asarray(labels[index], np.int64)
        return View(named[index], grouped[index], image, known)

    return _with_contrast(Views(named, grouped, called, (0,) * np.ndim(labels[0]), read))


def _check_lengths(count: int, **lengths: int) -> None:
    if count < FEWEST_IMAGES:
        raise DataError(f"{count} images came, and at least {FEWEST_IMAGES} are needed to measure on others; give more")
    for what, length in lengths.items():
        if length != count:
            raise DataError(f"{count} images and {length} {what} came; give one of each for every image")


def _check_arrays(name: str, image: NDArray[Any], labels: NDArray[Any]) -> None:
    if image.ndim not in (3, 4) or image.shape[1:] != labels.shape or not image.size:
        raise DataError(
            f"image {name} has shape {image.shape} and its labels {labels.shape}; give (channels, [z,] y, x) and "
            "labels ([z,] y, x) of the same size"
        )
    if labels.dtype.kind not in "biu" or labels.min() < IGNORE:
        raise DataError(
            f"the labels of image {name} are {labels.dtype} down to {labels.min()}; give whole numbers, classes from 0 "
            "and -1 where the label is unknown"
        )
    if not np.isfinite(image).all():
        raise DataError(f"image {name} holds NaN or infinite values; a network needs finite ones, so mend the image")


def view_dataset(
    checkpoint: Checkpoint, dataset: Dataset, role: Role = "profile", most_pixels: int | None = None
) -> Views:
    """The images of a role as a network is fed them: normalized, with its margin, mirrored to a size it accepts.

    Images keep their own size; volumes come at the network's spacing. Of an image with more than `most_pixels` a box
    is read, around a labelled pixel drawn by the image's name and on the network's grid.

    Args:
        checkpoint: The network; its split says which images have the role.
        dataset: Images with labels.
        role: "profile" for the validation images, "train", "test", or "all" of the dataset.
        most_pixels: Pixels of an image that are read at most; by default 1024 x 1024, or 96 x 96 x 96 of a volume.

    Returns:
        At least two images.

    Raises:
        DataError: Too few images, images that the dataset lacks or that are not the network's, or labels that are all
            the same.
    """
    seen = see(checkpoint, dataset)
    check_fit(checkpoint, seen)
    learned = seen.at_spacing(checkpoint.spacing) if checkpoint.spacing else seen
    items = choose_items(checkpoint, learned, role)
    most = MOST_PIXELS[checkpoint.ndim] if most_pixels is None else most_pixels

    def read(index: int) -> View:
        return _read_view(checkpoint, learned, items[index], most)

    names, groups = tuple(item.name for item in items), tuple(item.group for item in items)
    return _with_contrast(Views(names, groups, checkpoint.classes, _grid_origin(checkpoint.spec), read))


def choose_items(checkpoint: Checkpoint, dataset: Dataset, role: Role, fewest: int = FEWEST_IMAGES) -> tuple[Item, ...]:
    """The images of a role in a network's split, or all of a dataset.

    Raises:
        DataError: There are fewer than `fewest`, or images of the split that the dataset does not hold.
    """
    names = dataset.names if role == "all" else checkpoint.split.get(role, ())
    known = set(dataset.names)
    if missing := [name for name in names if name not in known]:
        raise DataError(
            f"the dataset lacks {len(missing)} of the {len(names)} {role} images of this run, "
            f"{missing[0]} for one; give the dataset that it was trained on, or profile all images (--role all)"
        )
    if len(names) < fewest:
        raise DataError(
            f"a profile needs at least {fewest} images and {len(names)} came with the role {role!r}; annotate "
            "more, or choose another role (train, test, or all)"
        )
    return dataset.subset(names).items


def _grid_origin(spec: UNetSpec) -> tuple[int, ...]:
    """Where a pixel of the bottleneck begins; the same for every accepted size, as these differ by whole strides."""
    fed = smallest_size(spec)
    coarsest = layer_shapes(spec, fed)[f"bottleneck.conv{spec.convolutions}"]
    starts = zip(fed, spec.total_stride, coarsest, strict=True)
    return tuple((size - stride * count) // 2 % stride for size, stride, count in starts)


def _with_contrast(views: Views) -> Views:
    """The same images, if a label can be told from another in them."""
    found: set[int] = set()
    for view in views:
        found |= set(np.unique(view.labels).tolist()) - {IGNORE}
        if len(found) > 1:
            return views
    what = ", ".join(views.classes[index] for index in found) or "no known label"
    raise DataError(
        f"the {len(views)} images are labelled {what} throughout, and at least two classes are needed to tell apart; "
        "annotate what the network segments, or choose other images"
    )


def _read_view(checkpoint: Checkpoint, dataset: Dataset, item: Item, most: int) -> View:
    """One image of a dataset as its network is fed it."""
    image, stored = dataset.read(item)
    check_image(checkpoint.spec, image, item.name)
    kept = _choose_box(stored != IGNORE, most, checkpoint.spec.total_stride, item.name)
    fed = _feeding_box(checkpoint.spec, kept)
    normalized = checkpoint.normalization.affine(image, item.name).apply(read_mirrored(image, fed))
    labels = np.full(normalized.shape[1:], IGNORE, np.int64)
    inside = tuple(slice(own.start - read.start, own.stop - read.start) for own, read in zip(kept, fed, strict=True))
    labels[inside] = stored[kept]
    return View(item.name, item.group, np.asarray(normalized, np.float32), labels)


def _feeding_box(spec: UNetSpec, kept: Box) -> Box:
    """What the network is fed for a box: the box, its margin, and what completes an accepted size."""
    lost = margin(spec)
    needed = tuple(part.stop - part.start + 2 * side for part, side in zip(kept, lost, strict=True))
    starts = (part.start - side for part, side in zip(kept, lost, strict=True))
    return tuple(slice(start, start + size) for start, size in zip(starts, fitting_shape(spec, needed), strict=True))


def _choose_box(known: NDArray[np.bool_], most: int, strides: tuple[int, ...], name: str) -> Box:
    """The whole image, or a box of at most `most` pixels around one that is labelled, on the network's grid."""
    sides, starts = known.shape, [0] * known.ndim
    if known.size > most:
        sides = _cut_sides(known.shape, most, strides)
        place = _draw_place(known, np.random.default_rng(list(name.encode())))
        ends = zip(place, sides, known.shape, strides, strict=True)
        starts = [min(max(0, at - side // 2), length - side) // stride * stride for at, side, length, stride in ends]
    return tuple(slice(start, start + side) for start, side in zip(starts, sides, strict=True))


def _cut_sides(shape: tuple[int, ...], most: int, strides: tuple[int, ...]) -> tuple[int, ...]:
    """Sides of about `most` pixels in all, as equal as the image allows; whole strides where they are cut.

    Example:
        >>> _cut_sides((20, 3000, 2000), 96**3, (4, 16, 16))
        (20, 208, 208)
    """
    sides, left = list(shape), float(most)
    for rank, axis in enumerate(np.argsort(shape, kind="stable").tolist()):
        fair = int(left ** (1 / (len(shape) - rank)) + SLACK)
        if fair < shape[axis]:
            sides[axis] = min(shape[axis], max(1, fair // strides[axis]) * strides[axis])
        left = max(1.0, left / sides[axis])
    return tuple(sides)


def _draw_place(known: NDArray[np.bool_], chance: np.random.Generator) -> list[int]:
    """A labelled pixel, axis after axis, so that no list of all of them is made; any pixel if none is labelled."""
    place: list[int] = []
    while known.ndim:
        filled = np.flatnonzero(known.any(axis=tuple(range(1, known.ndim))))
        place.append(int(chance.choice(filled if len(filled) else len(known))))
        known = known[place[-1]]
    return place
