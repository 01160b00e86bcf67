"""Which files of two folders belong together; knows names, not what is in the files."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unetscope.data.formats.registry import LABEL_SUFFIXES, SUFFIXES, is_series, stem_of, suffix_of
from unetscope.data.item import Item, Part, is_visible
from unetscope.errors import DataError

_BLURRING = (".jpg", ".jpeg")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a dataset.

    Attributes:
        file: The file or folder to mend.
        sentence: What came, what is needed and what to do; it names the file.
    """

    file: Path
    sentence: str


@dataclass(frozen=True)
class Layout:
    """What was found in a folder.

    Attributes:
        items: The images that have all their files.
        problems: Everything that does not fit, file by file.
    """

    items: tuple[Item, ...]
    problems: tuple[Problem, ...] = ()

    def checked(self) -> tuple[Item, ...]:
        """The items, if nothing is wrong.

        Raises:
            DataError: Something is; the first problem and the number of the others.
        """
        if not self.problems:
            return self.items
        more = len(self.problems) - 1
        others = f" ({more} more {'file has' if more == 1 else 'files have'} problems)" if more else ""
        raise DataError(self.problems[0].sentence + others)


def pair_folders(images: Path, labels: Path, prefix: str = "", part: Part | None = None) -> Layout:
    """Find the image files of one folder and the label files of the same stems in another.

    Args:
        images: Folder of image files and DICOM series.
        labels: Folder of label files.
        prefix: Put before the stems as names.
        part: The role of these images.

    Returns:
        Items sorted by name, each its own group, and files without a partner.

    Raises:
        DataError: A folder is missing, or holds nothing that is read.
    """
    if not labels.is_dir():
        raise DataError(
            f"{labels} does not exist, and training needs a label image for each image; put them there, or name their "
            "folder with --labels"
        )
    image_files, label_files = by_stem(list_files(images, SUFFIXES)), by_stem(list_files(labels, LABEL_SUFFIXES))
    problems = [*_find_twice(image_files), *_find_twice(label_files)]
    problems += find_lonely(image_files, label_files, "an image", labels)
    problems += find_lonely(label_files, image_files, "a label image", images)
    items = (
        Item(prefix + stem, image_files[stem][0], label_files[stem][0], part, prefix + stem)
        for stem in sorted(image_files.keys() & label_files.keys())
    )
    return Layout(tuple(items), tuple(problems))


def list_files(folder: Path, suffixes: Sequence[str]) -> tuple[Path, ...]:
    """The files of a folder that can be read, and the DICOM series in it.

    Args:
        folder: A folder; what a system leaves behind in it and what has other suffixes is passed over.
        suffixes: Of files that can be read, in lower case.

    Returns:
        At least one path, sorted by name.

    Raises:
        DataError: There is none, or a link leads nowhere.
    """
    visible = sorted(path for path in folder.iterdir() if is_visible(path))
    for path in visible:
        if path.is_symlink() and not path.exists():
            raise DataError(f"{path} is a link that leads nowhere; bring back what it leads to, or remove it")
    readable = tuple(path for path in visible if is_series(path) or (path.is_file() and suffix_of(path) in suffixes))
    blurred = [path for path in visible if suffix_of(path) in _BLURRING]
    if blurred and not set(_BLURRING) & set(suffixes):
        raise DataError(
            f"{blurred[0]} is one of {len(blurred)} JPEG files in a folder of label images, and JPEG changes the "
            "values of pixels; export the labels as .png or .tif"
        )
    if not readable:
        kinds = Counter(suffix_of(path) or path.name for path in visible)
        came = ", ".join(f"{count} {suffix}" for suffix, count in kinds.most_common(5)) or "no files"
        raise DataError(f"{folder} holds {came}, and {', '.join(suffixes)} are read; put images there or convert them")
    return readable


def by_stem(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Files by their stems; macOS may store an umlaut as two characters, and other systems as one."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        found[unicodedata.normalize("NFC", stem_of(path))].append(path)
    return dict(found)


def find_lonely(here: Mapping[str, list[Path]], there: Collection[str], what: str, other: Path) -> list[Problem]:
    """Name the files without a partner.

    Args:
        here: Files by the stem of the partner that they need.
        there: Stems that there are.
        what: What the files are, with an article.
        other: The folder of the partners.

    Returns:
        One problem a file.
    """
    near = _find_near(other, here)
    return [
        Problem(
            paths[0],
            f"{paths[0]} is {what} without a file of the same stem ({stem}) in {other}; "
            + _suggest(stem, other, near.get(stem)),
        )
        for stem, paths in sorted(here.items())
        if stem not in there
    ]


def _find_near(folder: Path, taken: Collection[str]) -> dict[str, Path]:
    """Files by the stems that they may have been meant for: their own, or part of it if their own is not taken."""
    files = [path for path in sorted(folder.iterdir()) if is_visible(path) and path.is_file()]
    near: dict[str, Path] = {}
    for path in files:
        stem = stem_of(path)
        for gap in () if stem in taken else re.finditer("[-_. ]+", stem):
            near.setdefault(stem[: gap.start()], path)
            near.setdefault(stem[gap.end() :], path)
    return near | {stem_of(path): path for path in files}


def _suggest(stem: str, folder: Path, near: Path | None) -> str:
    """What to do about a missing file, where there is one like it or none."""
    if near is None:
        return f"add {folder / stem}.* or move it away"
    if stem_of(near) == stem:
        return f"{near} ends in '{near.suffix}', which is not read there, so convert it"
    return f"rename {near} to {stem}{suffix_of(near)} if it belongs to it"


def _find_twice(files: Mapping[str, list[Path]]) -> list[Problem]:
    """Name the files that share a stem."""
    return [
        Problem(
            paths[1],
            f"{paths[1].parent} holds {' and '.join(path.name for path in paths)}, which have the same stem; keep one "
            "of them",
        )
        for paths in files.values()
        if len(paths) > 1
    ]
