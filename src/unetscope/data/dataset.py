"""A folder of annotated images and its division into roles; knows files and folders, not networks and not torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from unetscope.data import images as files
from unetscope.data.declaration import Declaration, read_declaration
from unetscope.data.labelling import IGNORE, Labelling
from unetscope.data.layout import Item, Part, find_items, group_items, labels_of, name_few
from unetscope.data.normalization import check_finite
from unetscope.data.survey import infer, is_single_pieces, survey
from unetscope.errors import DataError
from unetscope.files import digest_all

__all__ = ["IGNORE", "Dataset", "Item", "Labelling", "Part", "Split"]

Array = np.ndarray[Any, np.dtype[Any]]
Result = TypeVar("Result")

_FEWEST_FOR_TEST = 5


@dataclass(frozen=True)
class Split:
    """Names of images by role; no name has two roles.

    Attributes:
        train: To learn from.
        validation: To choose and to profile with.
        test: To score in the end; may be empty.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...] = ()

    @property
    def profile(self) -> tuple[str, ...]:
        """The images that information is measured on: those of validation."""
        return self.validation

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Read what `to_json` gave.

        Args:
            content: The mapping.

        Returns:
            An equal split.

        Raises:
            DataError: The mapping does not describe a split.
        """
        try:
            return cls(*(tuple(str(name) for name in content[role]) for role in ("train", "validation", "test")))
        except (KeyError, TypeError) as error:
            raise DataError(f"{content!r} is not a split ({error}); train, validation and test are needed") from error

    def to_json(self) -> dict[str, Any]:
        """A mapping of plain values that `from_json` reads; all four roles are in it."""
        return {role: list(getattr(self, role)) for role in ("train", "validation", "profile", "test")}


@dataclass(frozen=True)
class Dataset:
    """Annotated images in a folder.

    Attributes:
        root: The folder.
        items: Its images, sorted by name.
        ndim: Number of spatial axes, 2 or 3.
        channels: Channels of every image; gray images among colored ones are repeated.
        labelling: What the label files mean.
    """

    root: Path
    items: tuple[Item, ...]
    ndim: int
    channels: int
    labelling: Labelling

    @classmethod
    def open(cls, path: str | Path, *, images: str = "images", labels: str = "labels") -> Self:
        """Find the annotated images in a folder and what their labels mean.

        Image and label files have equal stems. Three layouts are read: `images` and `labels`; the same with the
        lists `train.txt` and `test.txt` of stems beside them; `train` and `test`, each with `images` and `labels`.

        Args:
            path: The folder; `dataset.toml` in it declares what cannot be inferred.
            images: Name of the folders of images.
            labels: Name of the folders of label images.

        Returns:
            The dataset; pixels are read when they are asked for.

        Raises:
            DataError: The folder is not in one of these layouts, files do not match, or labels are not understood.
        """
        root = Path(path)
        declaration = read_declaration(root)
        items = group_items(find_items(root, images, labels), declaration)
        ndim = files.label_ndim(labels_of(items[0]))
        labelling = declaration.labelling() or _infer_labelling(items, ndim, declaration)
        return cls(root, items, ndim, _common_channels(items, ndim), labelling)

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
            (channels, [z,] y, x) as stored, possibly read-only and memory-mapped.

        Raises:
            ImageError: The file cannot be read.
        """
        image = files.read_image(item.image, self.ndim)
        return np.broadcast_to(image, (self.channels, *image.shape[1:])) if len(image) == 1 else image

    def read_labels(self, item: Item) -> Array:
        """Read a label image as class indices.

        Args:
            item: One of `items`.

        Returns:
            ([z,] y, x), see `Labelling.to_classes`.

        Raises:
            DataError: The file cannot be read, or holds undeclared values.
        """
        path = labels_of(item)
        raw = files.read_labels(path, self.ndim)
        is_color, needs_color = raw.ndim > self.ndim, self.labelling.kind == "colors"
        if is_color != needs_color:
            raise DataError(
                f"{path} has {3 if is_color else 1} channels, and label images of kind {self.labelling.kind!r} have "
                f"{3 if needs_color else 1}; save it like the others"
            )
        return self.labelling.to_classes(raw, str(path))

    def read(self, item: Item) -> tuple[Array, Array]:
        """Read an image and its labels and check that they belong together.

        Args:
            item: One of `items`.

        Returns:
            What `read_image` and `read_labels` return.

        Raises:
            DataError: Their sizes differ, the image is not finite, or one of them cannot be read.
        """
        image, labels = self.read_image(item), self.read_labels(item)
        if image.shape[1:] != labels.shape:
            raise DataError(
                f"{item.image} has {_size(image.shape[1:])} pixels and {item.labels} has {_size(labels.shape)}; "
                "label images must be as large as their images, so export them again"
            )
        check_finite(image, str(item.image))
        return image, labels

    def split(self, seed: int = 0, validation: float = 0.15, test: float = 0.2) -> Split:
        """Divide the images into roles, group by group, in the same way for the same seed on every machine.

        Images that a folder or list gives to testing are the test role; where there are none, a share is drawn if
        there are at least 5 groups. Validation is drawn from the rest.

        Args:
            seed: Of numpy's default generator.
            validation: Share of the groups that are not for testing; at least one group is taken.
            test: Share of all groups, unless testing is given; 0 for none, otherwise at least one group is taken.

        Returns:
            Roles that are disjoint and cover all images.

        Raises:
            DataError: A share is out of range, or fewer than two groups are left to train and to validate on.
        """
        if not 0 < validation < 1 or not 0 <= test < 1:
            raise DataError(
                f"shares of {validation} for validation and {test} for testing came; between 0 and 1 is needed"
            )
        given = {item.group for item in self.items if item.part == "test"}
        groups = sorted({item.group for item in self.items} - given)
        drawn = [groups[index] for index in np.random.default_rng(seed).permutation(len(groups))]
        count = 0 if given or len(groups) < _FEWEST_FOR_TEST else _share(test, len(groups), left=2)
        tested, rest = given | set(drawn[:count]), drawn[count:]
        self._check_enough(rest)
        validated = set(rest[: _share(validation, len(rest), left=1)])
        return Split(
            train=self._names_in(set(rest) - validated),
            validation=self._names_in(validated),
            test=self._names_in(tested),
        )

    def subset(self, names: Iterable[str]) -> Self:
        """The dataset with these images only, in this order.

        Raises:
            DataError: A name is unknown.
        """
        by_name = {item.name: item for item in self.items}
        return replace(self, items=tuple(by_name[name] if name in by_name else self.item(name) for name in names))

    def digest(self) -> str:
        """SHA-256 over the names and contents of all image and label files, wherever the folder lies."""

        def named_files() -> Iterator[tuple[str, Path]]:
            for item in sorted(self.items, key=lambda item: item.name):
                for path in (item.image, labels_of(item)):
                    yield path.relative_to(self.root).as_posix(), path

        return digest_all(named_files)

    def _names_in(self, groups: set[str]) -> tuple[str, ...]:
        """The images of some groups."""
        return tuple(item.name for item in self.items if item.group in groups)

    def _check_enough(self, groups: Sequence[str]) -> None:
        """Refuse what cannot be trained and validated on."""
        if len(groups) >= 2:
            return
        count = len(self._names_in(set(groups)))
        came = "1 annotated image" if count == 1 else f"{count} annotated images in {len(groups)} group"
        raise DataError(
            f"{came} came; at least 2{' groups' * (count > 1)} are needed, one to train on and one to validate on; "
            "annotate another image, or cut a large one into two files"
        )


def _share(share: float, count: int, left: int) -> int:
    """A share of `count` as a number: at least 1 unless the share is 0, and at most what leaves `left`."""
    return min(max(1, round(share * count)), count - left) if share else 0


def _infer_labelling(items: Sequence[Item], ndim: int, declaration: Declaration) -> Labelling:
    """Read all label files to find out what they mean."""
    paths = [labels_of(item) for item in items]
    surveys = _for_each(lambda path: survey(files.read_labels(path, ndim), str(path), ndim), paths)

    def are_single_pieces() -> bool:
        return all(_for_each(lambda path: is_single_pieces(files.read_labels(path, ndim), declaration.ignore), paths))

    return infer(surveys, declaration, are_single_pieces)


def _common_channels(items: Sequence[Item], ndim: int) -> int:
    """The channels of all images; gray ones may be among others."""
    counts = _for_each(lambda item: files.count_channels(item.image, ndim), items)
    first = {count: item.image for count, item in zip(reversed(counts), reversed(items), strict=True) if count != 1}
    if len(first) > 1:
        (one, path), (other, other_path) = sorted(first.items())[:2]
        raise DataError(
            f"{path} has {one} channels and {other_path} has {other}, and only gray images may be mixed with others; "
            "save all with the same channels"
        )
    return max(counts)


def _for_each(function: Callable[[Any], Result], values: Sequence[Any]) -> list[Result]:
    """Apply a function in threads (decoding releases Python's lock)."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, values))


def _size(shape: tuple[int, ...]) -> str:
    """A size for a message: rows by columns, planes first."""
    return " x ".join(map(str, shape))
