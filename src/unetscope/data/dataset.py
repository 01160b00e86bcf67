"""A folder of annotated images and its division into roles; knows files and folders, not networks and not torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from unetscope.data import images as files
from unetscope.data.blocks import cut_blocks, make_blocks
from unetscope.data.intensities import check_finite
from unetscope.data.item import PARTS, Item, Part, files_of, labels_of, name_few, write_box
from unetscope.data.labelling import IGNORE, Labelling
from unetscope.data.layout import find_layout, group_items
from unetscope.data.objects import OBJECT_CLASSES, classify_objects, number_objects
from unetscope.data.opening import (
    find_channels,
    find_labelling,
    find_modality,
    for_each,
    read_declarations,
    read_header,
)
from unetscope.data.reading import check_place, check_sizes, find_ndim, find_steps, read_pixels, read_values
from unetscope.data.roles import Split, draw_folds, draw_split, give_roles
from unetscope.data.spacing import Spacing, resample_image, resample_labels, resampled_shape
from unetscope.errors import DataError
from unetscope.files import digest_all

__all__ = ["IGNORE", "Dataset", "Item", "Labelling", "Part", "Spacing", "Split"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Dataset:
    """Annotated images in a folder.

    Attributes:
        root: The folder.
        items: Its images, sorted by name.
        ndim: Number of spatial axes, 2 or 3.
        channels: Channels of every image; gray images among colored ones are repeated.
        labelling: What `read_labels` returns.
        roles: The roles that `with_roles` or `in_blocks` gave; otherwise they are drawn.
        axes: One letter an axis of the image files, where they do not say it themselves.
        modality: How the images were taken, such as "CT", where files or declarations say so.
        grid: The spacing that images and labels are brought to; none as they are stored.
        stored: What the label files mean, where that is not what `read_labels` returns.
    """

    root: Path
    items: tuple[Item, ...]
    ndim: int
    channels: int
    labelling: Labelling
    roles: Split | None = None
    axes: str | None = None
    modality: str = ""
    grid: Spacing | None = None
    stored: Labelling | None = None

    @classmethod
    def open(cls, path: str | Path, *, images: str = "images", labels: str = "labels", axes: str | None = None) -> Self:
        """Find the annotated images in a folder and what their labels mean.

        Image and label files have equal stems; an image may also be a folder of DICOM slices, and labels may be
        outlines. These layouts are read: `images` and `labels`; the same with the lists `train.txt`, `validation.txt`
        and `test.txt` of stems beside them; `train`, `validation` and `test`, each with `images` and `labels`; what
        nnU-Net reads (`imagesTr`, `labelsTr`, `dataset.json`).

        Args:
            path: The folder; `dataset.toml` in it declares what cannot be inferred.
            images: Name of the folders of images.
            labels: Name of the folders of label images.
            axes: One letter an axis of the image files, such as "ZYX", over what they and `dataset.toml` say.

        Returns:
            The dataset; pixels are read when they are asked for.

        Raises:
            DataError: The folder is not in one of these layouts, files do not match, or labels are not understood.
        """
        root = Path(path)
        found = find_layout(root, images, labels)
        declaration = read_declarations(root, images)
        axes = axes or declaration.axes
        items = group_items(found.checked(), declaration)
        ndim = find_ndim(items[0], axes)
        labelling = find_labelling(items, ndim, declaration)
        headers = for_each(lambda item: read_header(item, ndim, axes), items)
        modality = declaration.modality or find_modality(headers)
        return cls(root, items, ndim, find_channels(headers), labelling, axes=axes, modality=modality)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all images, in order."""
        return tuple(item.name for item in self.items)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes in the order of their indices; the first is usually the background."""
        return self.labelling.classes

    def item(self, name: str) -> Item:
        """The image of that name.

        Raises:
            DataError: There is none.
        """
        for item in self.items:
            if item.name == name:
                return item
        raise DataError(f"{self.root} has no image {name!r}; it has {name_few(self.names)}")

    def read_image(self, item: Item) -> Array:
        """Read an image.

        Args:
            item: One of `items`.

        Returns:
            (channels, [z,] y, x) as stored, possibly read-only and memory-mapped; float32 where it is resampled.

        Raises:
            DataError: The file cannot be read.
        """
        return self._image_on_grid(item, self._read_pixels(item))

    def read_labels(self, item: Item) -> Array:
        """Read a label image as class indices.

        Args:
            item: One of `items`.

        Returns:
            ([z,] y, x), see `Labelling.to_classes`; background, inside and border of objects after `as_objects`.

        Raises:
            DataError: The file cannot be read, or holds undeclared values.
        """
        return self._labels_on_grid(item, self._read_targets(item))

    def read_instances(self, item: Item) -> Array:
        """Read the objects of an image, numbered.

        Args:
            item: One of `items`.

        Returns:
            ([z,] y, x): 0 in the background, `IGNORE` where the file says so, otherwise the number of the object: as
            in the file for labels of kind "instances", by connected components of each class for others.

        Raises:
            DataError: The file cannot be read, or holds undeclared values.
        """
        return self._on_grid(item, self._read_numbers(item))

    def read_spacing(self, item: Item) -> Spacing | None:
        """The physical size of the pixels that `read` returns, up to rounding where they are resampled.

        Args:
            item: One of `items`.

        Returns:
            Steps along ([z,] y, x) with their unit; nothing where the file does not say.

        Raises:
            DataError: The file cannot be read.
        """
        if find_steps(item, self.ndim, self.axes, self.grid):
            return self.grid
        return files.read_spacing(item.image, self.ndim, self.axes)

    def read(self, item: Item) -> tuple[Array, Array]:
        """Read an image and its labels and check that they belong together.

        Args:
            item: One of `items`.

        Returns:
            What `read_image` and `read_labels` return.

        Raises:
            DataError: Their sizes differ, they say that they lie elsewhere, the image is not finite, or one of them
                cannot be read.
        """
        check_place(item, self.ndim)
        image, labels = self._read_pixels(item), self._read_targets(item)
        check_sizes(item, image.shape[1:], labels.shape)
        check_finite(image, str(item.image))
        return self._image_on_grid(item, image), self._labels_on_grid(item, labels)

    def split(self, seed: int = 0, validation: float = 0.15, test: float = 0.2) -> Split:
        """Divide the images into roles, group by group, in the same way for the same seed on every machine.

        Images that folders or lists give to validation or testing have that role. Where none are for testing, a share
        is drawn if there are at least 5 groups; where none are for validation, it is drawn from the rest.

        Args:
            seed: Of numpy's default generator.
            validation: Share of the groups that are not for testing; at least one group is taken.
            test: Share of all groups, unless testing is given; 0 for none, otherwise at least one group is taken.

        Returns:
            Roles that are disjoint and cover all images.

        Raises:
            DataError: A share is out of range, or fewer than two groups are left to train and to validate on.
        """
        if self.roles is not None:
            return self.roles
        return draw_split(self.items, seed, validation, test)

    def with_roles(self, split: Split) -> Self:
        """The dataset in which images have exactly these roles; images without one are left out.

        Args:
            split: Names by role; `split()` of the result returns it, whatever the seed.

        Returns:
            The items of the split, each with its role as its part.

        Raises:
            DataError: A name is unknown, or has two roles.
        """
        return replace(self, items=give_roles(self.items, split), roles=split)

    def fold_splits(self, count: int, seed: int = 0, validation: float = 0.15) -> tuple[Split, ...]:
        """Divide the images into folds, so that each image is tested exactly once; see `draw_folds`.

        Args:
            count: Folds, at least 2.
            seed: Of numpy's default generator.
            validation: Share of the groups that a fold does not test.

        Returns:
            One split a fold, for `with_roles`.

        Raises:
            DataError: There are fewer groups than folds, or the share is out of range.
        """
        return draw_folds(self.items, count, seed, validation)

    def in_blocks(self, gap: tuple[int, ...]) -> Self:
        """The dataset in which each image is cut into blocks for training, validation and testing; for 1 to 5 images.

        Where folders or lists give whole images to validation or testing, these stay as they are, and the others are
        cut for the roles that are left. What the gap guarantees: see `cut_blocks`.

        Args:
            gap: Pixels of the files between two blocks for each axis ([z,] y, x), at least the margin of the network.

        Returns:
            The blocks, with roles.

        Raises:
            DataError: An image is too small, or does not fit its labels.
        """
        given = {item.part for item in self.items} - {None, "train"}
        parts = [part for part in PARTS if part not in given]
        items: list[Item] = []
        for item in self.items:
            if item.part in given or len(parts) == 1:
                items.append(replace(item, part=item.part or "train"))
                continue
            image, _ = replace(self, grid=None).read(item)
            items += make_blocks(item, cut_blocks(image.shape[1:], gap, str(item.image), parts))
        roles = Split(*(tuple(item.name for item in items if item.part == part) for part in PARTS))
        return replace(self, items=tuple(items), roles=roles)

    def as_objects(self) -> Self:
        """The dataset in which labels tell objects apart, as background, inside and border.

        Returns:
            A dataset with the classes `OBJECT_CLASSES`, whose `read_instances` are still the numbered objects.

        Raises:
            DataError: The labels are classes, in which touching objects cannot be told apart.
        """
        if self.stored is not None:
            return self
        if len(self.classes) > 2:
            raise DataError(
                f"{self.root} has the classes {', '.join(self.classes)}, and objects need label images that number "
                'them; save one number an object and declare kind = "instances", or train on the classes'
            )
        reason = f"{self.labelling.reason} Learned as background, inside and border.".strip()
        labelling = Labelling("classes", OBJECT_CLASSES, tuple(range(len(OBJECT_CLASSES))), reason=reason)
        return replace(self, labelling=labelling, stored=self.labelling)

    def at_spacing(self, target: Spacing | Sequence[float]) -> Self:
        """The dataset in which images and labels are brought to one spacing.

        Args:
            target: The spacing, or its steps along ([z,] y, x) in the unit of the first image that has one.

        Returns:
            A dataset that reads images as float32, linearly resampled, and labels by their nearest pixel, where the
            spacing of the file is off by more than 1 % along an axis; other images as they are stored.

        Raises:
            DataError: There is not one step for each axis.
        """
        if not isinstance(target, Spacing):
            spacings = (files.read_spacing(item.image, self.ndim, self.axes) for item in self.items)
            unit = next((spacing.unit for spacing in spacings if spacing is not None), "pixel")
            target = Spacing(tuple(target), unit)
        if len(target.steps) != self.ndim:
            raise DataError(
                f"{self.root} holds {self.ndim}D images, and the spacing {target.steps} came; give one step an axis"
            )
        return replace(self, grid=target)

    def subset(self, names: Iterable[str]) -> Self:
        """The dataset with these images only, in this order.

        Raises:
            DataError: A name is unknown.
        """
        by_name = {item.name: item for item in self.items}
        items = tuple(by_name[name] if name in by_name else self.item(name) for name in names)
        return replace(self, items=items, roles=self.roles and self.roles.only({item.name for item in items}))

    def digest(self) -> str:
        """SHA-256 over the names and contents of all image and label files, wherever the folder lies."""

        def named_files() -> Iterator[tuple[str, Path]]:
            for item in sorted(self.items, key=lambda item: item.name):
                place = "" if item.box is None else write_box(item.box)
                for path in (*item.images, labels_of(item)):
                    for file in files_of(path):
                        yield file.relative_to(self.root).as_posix() + place, file

        return digest_all(named_files)

    def _read_pixels(self, item: Item) -> Array:
        """An image as it is stored, with as many channels as the others."""
        image = read_pixels(item, self.ndim, self.axes)
        return np.broadcast_to(image, (self.channels, *image.shape[1:])) if len(image) == 1 else image

    def _read_targets(self, item: Item) -> Array:
        """What `read_labels` makes its labels from: classes, or the numbered objects."""
        return self._read_classes(item, self.labelling) if self.stored is None else self._read_numbers(item)

    def _read_numbers(self, item: Item) -> Array:
        """The objects of an image, on the grid of the file."""
        labelling = self.stored or self.labelling
        classes = self._read_classes(item, labelling)
        numbers = self._read_values(item, labelling) if labelling.kind == "instances" else number_objects(classes)
        ignored = classes == IGNORE
        return np.where(ignored, IGNORE, numbers.astype(np.int64)) if ignored.any() else numbers

    def _read_classes(self, item: Item, labelling: Labelling) -> Array:
        """The class indices in a label file."""
        raw = self._read_values(item, labelling)
        is_color, needs_color = raw.ndim > self.ndim, labelling.kind == "colors"
        if is_color != needs_color:
            raise DataError(
                f"{item.labels} has {3 if is_color else 1} channels, and label images of kind {labelling.kind!r} have "
                f"{3 if needs_color else 1}; save it like the others"
            )
        return labelling.to_classes(raw, str(item.labels))

    def _read_values(self, item: Item, labelling: Labelling) -> Array:
        """The numbers in a label file, or the outlines in it as numbers."""
        return read_values(item, self.ndim, self.axes, labelling.classes if labelling.kind == "classes" else ())

    def _image_on_grid(self, item: Item, image: Array) -> Array:
        """An image as it is, or resampled."""
        shape = self._shape_on_grid(item, image.shape[1:])
        return image if shape is None else resample_image(image, shape)

    def _labels_on_grid(self, item: Item, targets: Array) -> Array:
        """Labels as they are, or resampled; objects are classified then, so that borders have the same width."""
        labels = self._on_grid(item, targets)
        return labels if self.stored is None else classify_objects(labels)

    def _on_grid(self, item: Item, numbers: Array) -> Array:
        """Classes or objects as they are, or resampled."""
        shape = self._shape_on_grid(item, numbers.shape)
        return numbers if shape is None else resample_labels(numbers, shape)

    def _shape_on_grid(self, item: Item, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """The size of an image on the grid; nothing where it is not resampled."""
        steps = find_steps(item, self.ndim, self.axes, self.grid)
        return resampled_shape(shape, steps, self.grid.steps) if self.grid and steps else None
