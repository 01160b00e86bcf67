"""In which folders and lists annotated images lie, and in which role; knows names, not what is in the files."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from unetscope.data.declaration import Declaration
from unetscope.data.formats.registry import stem_of
from unetscope.data.item import PARTS, Item, Part, name_few
from unetscope.data.nnunet import find_cases, is_nnunet
from unetscope.data.pairing import Layout, Problem, pair_folders
from unetscope.data.roles import check_groups
from unetscope.errors import DataError

_SPELLINGS: dict[Part, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("validation", "val"),
    "test": ("test",),
}


def find_layout(root: Path, images: str, labels: str) -> Layout:
    """Find the images and label images in whichever layout a folder has.

    Args:
        root: The folder.
        images: Name of the folders of images.
        labels: Name of the folders of label images.

    Returns:
        Items sorted by name within their parts, none of them in a declared group yet, and what does not fit.

    Raises:
        DataError: The folder has no known layout, or two.
    """
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise DataError(f"{root} {what}, and a folder of annotated images was needed; check the name")
    if is_nnunet(root, images):
        return find_cases(root)
    parts = _find_spelled(root, f"/{images}")
    if (root / images).is_dir() and parts:
        first = next(iter(parts.values()))
        raise DataError(f"{root} has both {images} and {first.relative_to(root)}; move one of them away")
    if "train" in parts:
        return _join(
            [
                pair_folders(folder, folder.parent / labels, f"{folder.parent.name}/", part)
                for part, folder in parts.items()
            ]
        )
    if not (root / images).is_dir():
        raise DataError(
            f"{root} has neither {images} nor train/{images}; put images into {root / images} and label images of the "
            f"same names into {root / labels}"
        )
    found = pair_folders(root / images, root / labels)
    return found if found.problems else _apply_lists(root, found.items)


def group_items(items: tuple[Item, ...], declaration: Declaration) -> tuple[Item, ...]:
    """Put the items into their declared groups.

    Args:
        items: All images.
        declaration: With groups by name or stem.

    Returns:
        The items in the same order.

    Raises:
        DataError: A declared image is missing, or a group is divided between parts.
    """
    groups = dict(declaration.groups)
    grouped = tuple(
        replace(item, group=groups.get(item.name, groups.get(stem_of(item.image), item.name))) for item in items
    )
    unknown = groups.keys() - {item.name for item in items} - {stem_of(item.image) for item in items}
    if unknown:
        raise DataError(
            f"{declaration.place} puts {name_few(sorted(unknown))} into a group, and there is no such image; use the "
            "stems of image files"
        )
    check_groups(grouped, declaration.place)
    return grouped


def _find_spelled(root: Path, ending: str) -> dict[Part, Path]:
    """The folder or file of each part that has one, however it is spelled."""
    found: dict[Part, Path] = {}
    for part in PARTS:
        there = [path for name in _SPELLINGS[part] if (path := root / f"{name}{ending}").exists()]
        if len(there) > 1:
            first, second = (path.relative_to(root) for path in there)
            raise DataError(f"{root} has both {first} and {second}; keep one of them")
        if there:
            found[part] = there[0]
    return found


def _join(layouts: list[Layout]) -> Layout:
    """Several layouts as one."""
    return Layout(
        tuple(item for layout in layouts for item in layout.items),
        tuple(problem for layout in layouts for problem in layout.problems),
    )


def _apply_lists(root: Path, items: tuple[Item, ...]) -> Layout:
    """The items with the parts that lists give them; who is in no list gets the part that no list is for.

    Without `train.txt` that is training; with it, testing.
    """
    lists = _find_spelled(root, ".txt")
    if not lists:
        return Layout(items)
    stems = {part: _read_list(path) for part, path in lists.items()}
    names = {item.name for item in items}
    problems = [
        Problem(
            lists[part], f"{lists[part]} lists {name_few(unknown)}, and there is no such image; give stems, one a line"
        )
        for part, listed in stems.items()
        if (unknown := sorted(listed - names))
    ]
    problems += [problem for one, other in combinations(lists, 2) if (problem := _find_twice(stems, lists, one, other))]
    rest_part: Part = "test" if "train" in lists else "train"
    rest = sorted(names.difference(*stems.values()))
    if rest and rest_part in lists:
        given = " nor ".join(f"in {path.name}" for path in lists.values())
        problems.append(
            Problem(
                lists[rest_part],
                f"{len(rest)} images of {root} are neither {given} ({name_few(rest)}); list them or move them away",
            )
        )
    part_of = {name: part for part, listed in stems.items() for name in listed}
    return Layout(tuple(replace(item, part=part_of.get(item.name, rest_part)) for item in items), tuple(problems))


def _find_twice(stems: dict[Part, set[str]], lists: dict[Part, Path], one: Part, other: Part) -> Problem | None:
    """Stems in two lists, which would leak from one role into the other."""
    shared = sorted(stems[one] & stems[other])
    if not shared:
        return None
    names = f"{lists[one].name} and {lists[other].name}"
    return Problem(lists[one], f"{lists[one].parent} lists {name_few(shared)} in both {names}; keep one")


def _read_list(path: Path) -> set[str]:
    """The stems in a list, one a line, spelled as `by_stem` spells them."""
    text = unicodedata.normalize("NFC", path.read_text(encoding="utf-8-sig", errors="replace"))
    return {line.strip() for line in text.splitlines()} - {""}
