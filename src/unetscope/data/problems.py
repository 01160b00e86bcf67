"""Everything that is wrong with a dataset, found without stopping at the first; knows files, not networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from unetscope.data.dataset import Dataset
from unetscope.data.declaration import Declaration
from unetscope.data.intensities import check_finite
from unetscope.data.item import Item
from unetscope.data.layout import find_layout, group_items
from unetscope.data.opening import (
    Header,
    find_channels,
    find_labelling,
    find_modality,
    for_each,
    read_declarations,
    read_header,
)
from unetscope.data.pairing import Problem
from unetscope.data.reading import check_place, check_sizes, find_ndim, needs_image, read_pixels, read_values
from unetscope.errors import UnetscopeError

__all__ = ["Problem", "find_problems"]

Result = TypeVar("Result")


@dataclass(frozen=True)
class _Examined:
    """One image with its labels, read on its own."""

    item: Item
    problems: tuple[Problem, ...]
    header: Header | None
    has_labels: bool


def find_problems(
    path: str | Path, images: str = "images", labels: str = "labels", axes: str | None = None
) -> tuple[Problem, ...]:
    """Read all files of a dataset and name every problem that would stop `Dataset.open` or `Dataset.read`.

    Args:
        path: The folder.
        images: Name of the folders of images.
        labels: Name of the folders of label images.
        axes: One letter an axis of the image files, where they do not say it themselves.

    Returns:
        Files without a partner first, then what is wrong with single files, then what does not fit together; nothing
        for a dataset that can be read.
    """
    root, problems = Path(path), list[Problem]()
    found = _attempt(problems, root, lambda: find_layout(root, images, labels))
    declaration = _attempt(problems, root, lambda: read_declarations(root, images))
    if found is None or declaration is None:
        return tuple(problems)
    problems += found.problems
    if not found.problems:
        _attempt(problems, Path(declaration.place), lambda: group_items(found.items, declaration))
    return (*problems, *_read_all(root, found.items, declaration, axes or declaration.axes))


def _read_all(root: Path, items: Sequence[Item], declaration: Declaration, axes: str | None) -> list[Problem]:
    """What is wrong with the files of these images, one by one and together."""
    problems: list[Problem] = []
    sizes = [_attempt(problems, _label_file(item), partial(find_ndim, item, axes)) for item in items]
    ndim = next((ndim for ndim in sizes if ndim), None)
    if ndim is None:
        return problems
    examined = for_each(partial(_examine, ndim=ndim, axes=axes), items)
    problems = [problem for each in examined for problem in each.problems]
    headers = [each.header for each in examined if each.header]
    if headers:
        _attempt(problems, root, lambda: find_channels(headers))
        if not declaration.modality:
            _attempt(problems, root, lambda: find_modality(headers))
    readable = tuple(each.item for each in examined if each.has_labels)
    place = Path(declaration.place)
    labelling = _attempt(problems, place, lambda: find_labelling(readable, ndim, declaration)) if readable else None
    if labelling:
        dataset = Dataset(root, readable, ndim, 1, labelling, axes=axes)
        for item in readable:
            _attempt(problems, _label_file(item), partial(dataset.read_labels, item))
    return problems


def _examine(item: Item, ndim: int, axes: str | None) -> _Examined:
    """Read an image and its label file as they are."""
    problems: list[Problem] = []
    header = _attempt(problems, item.image, lambda: read_header(item, ndim, axes))
    image = _attempt(problems, item.image, lambda: read_pixels(item, ndim, axes)) if header else None
    labels = None
    if image is not None or not needs_image(item):
        labels = _attempt(problems, _label_file(item), lambda: read_values(item, ndim, axes))
    if image is not None:
        pixels: np.ndarray[Any, Any] = image
        _attempt(problems, item.image, lambda: check_finite(pixels, str(item.image)))
    if image is not None and labels is not None:
        shapes = image.shape[1:], labels.shape[-ndim:]
        _attempt(problems, _label_file(item), lambda: check_sizes(item, *shapes))
        _attempt(problems, _label_file(item), lambda: check_place(item, ndim))
    return _Examined(item, tuple(problems), header, labels is not None)


def _label_file(item: Item) -> Path:
    """The file to name in a problem with labels."""
    return item.labels or item.image


def _attempt(problems: list[Problem], file: Path, act: Callable[[], Result]) -> Result | None:
    """What an action returns; nothing where it fails, which becomes a problem with a file."""
    try:
        return act()
    except UnetscopeError as error:
        problems.append(Problem(file, str(error)))
        return None
