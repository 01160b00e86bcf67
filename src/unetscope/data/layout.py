"""Which files of a folder belong together, and in which role; knows names, not what is in the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from unetscope.data.declaration import Declaration
from unetscope.data.formats import SUFFIXES
from unetscope.errors import DataError

Part = Literal["train", "test"]

_PARTS: tuple[Part, Part] = ("train", "test")


@dataclass(frozen=True)
class Item:
    """One annotated image.

    Attributes:
        name: The file's stem, after "train/" or "test/" where there are such folders.
        image: The image file.
        labels: The label file.
        part: The role that the folder or the lists give it, if any.
        group: What belongs together has the same group; otherwise the name.
    """

    name: str
    image: Path
    labels: Path | None
    part: Part | None
    group: str


def find_items(root: Path, images: str, labels: str) -> tuple[Item, ...]:
    """Find the images and label images in whichever layout a folder has.

    Args:
        root: The folder.
        images: Name of the folders of images.
        labels: Name of the folders of label images.

    Returns:
        Items sorted by name within their parts, none of them in a declared group yet.

    Raises:
        DataError: The folder has another layout, or files do not match.
    """
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise DataError(f"{root} {what}, and a folder of annotated images was needed; check the name")
    parts: list[Part] = [part for part in _PARTS if (root / part / images).is_dir()]
    if (root / images).is_dir() and parts:
        raise DataError(f"{root} has both {images} and {parts[0]}/{images}; move one of them away")
    if "train" in parts:
        return tuple(item for part in parts for item in _pair(root / part, images, labels, part))
    if not (root / images).is_dir():
        raise DataError(
            f"{root} has neither {images} nor train/{images}; put images into {root / images} and label images of the "
            f"same names into {root / labels}"
        )
    return _listed(root, _pair(root, images, labels, None))


def _pair(folder: Path, images: str, labels: str, part: Part | None) -> tuple[Item, ...]:
    """Images with the label images of the same stems."""
    if not (folder / labels).is_dir():
        raise DataError(
            f"{folder / labels} does not exist, and training needs a label image for each image; put them there"
        )
    image_files, label_files = _files_by_stem(folder / images), _files_by_stem(folder / labels)
    _check_pairs(image_files.keys() - label_files.keys(), "image", folder / images, folder / labels)
    _check_pairs(label_files.keys() - image_files.keys(), "label image", folder / labels, folder / images)
    prefix = f"{part}/" if part else ""
    names = {stem: prefix + stem for stem in sorted(image_files)}
    return tuple(Item(name, image_files[stem], label_files[stem], part, name) for stem, name in names.items())


def _check_pairs(alone: set[str], what: str, here: Path, there: Path) -> None:
    """Refuse files without a partner."""
    if alone:
        count = f"1 {what}" if len(alone) == 1 else f"{len(alone)} {what}s"
        raise DataError(
            f"{count} in {here} without a file of the same stem in {there} ({name_few(sorted(alone))}); add the "
            "missing files or move these away"
        )


def _files_by_stem(folder: Path) -> dict[str, Path]:
    """The files in a folder that can be read."""
    visible = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    readable = [path for path in visible if path.suffix.lower() in SUFFIXES]
    if not readable:
        kinds = Counter("".join(path.suffixes[-2:]) or path.name for path in visible)
        came = ", ".join(f"{count} {suffix}" for suffix, count in kinds.most_common(5)) or "no files"
        raise DataError(f"{folder} holds {came}, and {', '.join(SUFFIXES)} are read; put images there or convert them")
    twice = [stem for stem, count in Counter(path.stem for path in readable).items() if count > 1]
    if twice:
        same = [path.name for path in readable if path.stem == twice[0]]
        raise DataError(f"{folder} holds {' and '.join(same)}, which have the same stem; keep one of them")
    return {path.stem: path for path in readable}


def _listed(root: Path, items: tuple[Item, ...]) -> tuple[Item, ...]:
    """The items with the parts that `train.txt` and `test.txt` give them; one list alone gives the rest the other."""
    lists = {part: _read_list(root / f"{part}.txt", items) for part in _PARTS if (root / f"{part}.txt").is_file()}
    if not lists:
        return items
    train, test = lists.get("train", set()), lists.get("test", set())
    if train & test:
        raise DataError(f"{root} lists {name_few(sorted(train & test))} in both train.txt and test.txt; keep one")
    rest = {item.name for item in items} - train - test
    if rest and len(lists) == 2:
        raise DataError(
            f"{len(rest)} images of {root} are neither in train.txt nor in test.txt ({name_few(sorted(rest))}); list "
            "them or move them away"
        )
    train = train or rest
    return tuple(replace(item, part="train" if item.name in train else "test") for item in items)


def _read_list(path: Path, items: tuple[Item, ...]) -> set[str]:
    """The stems in a list, one a line."""
    stems = {line.strip() for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines()} - {""}
    unknown = sorted(stems - {item.name for item in items})
    if unknown:
        raise DataError(f"{path} lists {name_few(unknown)}, and there is no such image; give stems, one a line")
    return stems


def group_items(items: tuple[Item, ...], declaration: Declaration) -> tuple[Item, ...]:
    """Put the items into their declared groups.

    Args:
        items: All images.
        declaration: With groups by name or stem.

    Returns:
        The items in the same order.

    Raises:
        DataError: A declared image is missing, or a group is divided between training and testing.
    """
    groups = dict(declaration.groups)
    grouped = tuple(
        replace(item, group=groups.get(item.name, groups.get(item.image.stem, item.name))) for item in items
    )
    unknown = groups.keys() - {item.name for item in items} - {item.image.stem for item in items}
    if unknown:
        raise DataError(
            f"{declaration.place} puts {name_few(sorted(unknown))} into a group, and there is no such image; use the "
            "stems of image files"
        )
    divided = {item.group for item in grouped if item.part == "test"} & {
        item.group for item in grouped if item.part != "test"
    }
    if divided:
        raise DataError(
            f"{declaration.place} puts images for training and for testing into one group "
            f"({name_few(sorted(divided))}), so the test would not be independent; move them to the same side"
        )
    return grouped


def labels_of(item: Item) -> Path:
    """The label file of an annotated image.

    Raises:
        DataError: It has none.
    """
    if item.labels is None:
        raise DataError(f"{item.image} has no label image, and one is needed to learn or score; annotate it")
    return item.labels


def name_few(names: Sequence[str], most: int = 3) -> str:
    """Up to three names for a message."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
