"""What the files of a dataset have in common, found out from all of them; knows files, not roles and not networks."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from unetscope.data import images as files
from unetscope.data.declaration import Declaration, read_declaration
from unetscope.data.formats.registry import suffix_of
from unetscope.data.item import Item, labels_of
from unetscope.data.labelling import Labelling
from unetscope.data.nnunet import is_nnunet, read_description
from unetscope.data.reading import is_outlined, open_header, read_values
from unetscope.data.survey import check_segments, infer, infer_outlines, infer_segments, is_single_pieces, survey
from unetscope.errors import DataError

Value = TypeVar("Value")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Header:
    """What the image files of one item promise.

    Attributes:
        item: The image.
        channels: Of all its files together.
        modality: Such as "CT", where the file says it.
    """

    item: Item
    channels: int
    modality: str


def read_declarations(root: Path, images: str) -> Declaration:
    """What `dataset.toml` declares, and nnU-Net's `dataset.json` where there is one.

    Args:
        root: The dataset's folder.
        images: Name of the folders of images.

    Returns:
        Both; about labels, `dataset.toml` counts where it speaks of them.

    Raises:
        DataError: One of the files is not understood.
    """
    declaration = read_declaration(root)
    return declaration.over(read_description(root)) if is_nnunet(root, images) else declaration


def find_labelling(items: Sequence[Item], ndim: int, declaration: Declaration) -> Labelling:
    """What the label files mean: as declared, or inferred from all of them.

    Args:
        items: Annotated images.
        ndim: Number of spatial axes, 2 or 3.
        declaration: What the user said.

    Returns:
        A labelling with its reason.

    Raises:
        DataError: A file cannot be read, or it cannot be inferred.
    """
    declared = declaration.labelling()
    segments = _find_segments(items) if declaration.kind not in ("mask", "instances") else {}
    check_segments(segments)
    if declared:
        return declared
    if len(segments) == len(items):
        return infer_segments(segments, declaration)
    if any(is_outlined(item) for item in items):
        return _infer_outlines(items, declaration)
    surveys = for_each(lambda item: survey(read_values(item, ndim), str(item.labels), ndim), items)

    def are_single_pieces() -> bool:
        return all(for_each(lambda item: is_single_pieces(read_values(item, ndim), declaration.ignore), items))

    return infer(surveys, declaration, are_single_pieces)


def _find_segments(items: Sequence[Item]) -> dict[str, tuple[str, ...]]:
    """The names of the segments in every DICOM segmentation."""
    paths = [path for item in items if suffix_of(path := labels_of(item)) == ".dcm"]
    if not paths:
        return {}
    from unetscope.data.formats.dicom_segmentation import segments

    return {str(path): segments(path) for path in paths}


def _infer_outlines(items: Sequence[Item], declaration: Declaration) -> Labelling:
    """What outlines mean, if all labels are outlines."""
    outlines = [labels_of(item) for item in items if is_outlined(item)]
    others = [labels_of(item) for item in items if not is_outlined(item)]
    if others:
        raise DataError(
            f'{outlines[0]} holds outlines and {others[0]} is a label image; add the line `kind = "instances"` to '
            f"{declaration.place} if both number objects, or keep one kind"
        )
    from unetscope.data.formats.outlines import outline_classes

    return infer_outlines({str(path): outline_classes(path) for path in outlines}, declaration)


def read_header(item: Item, ndim: int, axes: str | None) -> Header:
    """What the headers of an image's files say.

    Args:
        item: The image.
        ndim: Number of spatial axes, 2 or 3.
        axes: One letter an axis of the files, where they do not say it themselves.

    Returns:
        Its channels and modality.

    Raises:
        DataError: A file cannot be read, or is no image of `ndim` axes.
    """
    modalities = {open_header(path, ndim, axes).modality for path in item.images}
    channels = sum(files.count_channels(path, ndim, axes) for path in item.images)
    return Header(item, channels, modalities.pop() if len(modalities) == 1 else "")


def find_channels(headers: Sequence[Header]) -> int:
    """The channels of all images; gray ones may be among others.

    Raises:
        DataError: There are images of other numbers of channels.
    """
    first = {header.channels: header.item.image for header in reversed(headers) if header.channels != 1}
    if len(first) > 1:
        (one, path), (other, other_path) = sorted(first.items())[:2]
        raise DataError(
            f"{path} has {one} channels and {other_path} has {other}, and only gray images may be mixed with others; "
            "save all with the same channels"
        )
    return max(header.channels for header in headers)


def find_modality(headers: Sequence[Header]) -> str:
    """How the images were taken, where all of them say the same.

    Raises:
        DataError: CT is among others, whose values mean something else.
    """
    found = {header.modality: header.item.image for header in reversed(headers)}
    if "CT" in found and len(found) > 1:
        other = next(name for name in found if name != "CT")
        raise DataError(
            f"{found['CT']} is a CT image and {found[other]} is {other or 'of a format that does not say so'}, and "
            "values must mean the same in all images; keep one kind, or declare `modality` in dataset.toml"
        )
    return next(iter(found)) if len(found) == 1 else ""


def for_each(function: Callable[[Value], Result], values: Sequence[Value]) -> list[Result]:
    """Apply a function in threads (decoding releases Python's lock)."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, values))
