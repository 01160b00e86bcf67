"""What values label files hold, and what they therefore mean; knows label arrays, not files and folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unetscope.data.declaration import Declaration
from unetscope.data.labelling import Labelling, name_classes, pack_colors, unpack_color
from unetscope.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]

MOST_INFERRED_CLASSES = 20
"""Label files with more different values than this number objects, unless they are declared to be classes."""

_MOST_COLORS_SHOWN = 12
_FEWEST_SOFT_VALUES = 4  # 0, 1 and two in between
_LEAST_WHOLE = 0.5  # measured: 0.9 and more in numbered objects, 0.2 and less in photographs


@dataclass(frozen=True)
class Survey:
    """The values of one label file.

    Attributes:
        name: The file.
        counts: Pixels of each value (of colors, packed).
        is_color: Whether the file is in colors.
        wholeness: Of the pixels beside those of a value, background aside, the share that has it too; the median over
            the values above 0. About 1 in label images, about 0 in photographs and along soft edges; 1 where the
            file is in colors or has fewer than 4 values.
    """

    name: str
    counts: dict[int, int]
    is_color: bool
    wholeness: float = 1.0


def survey(raw: Array, name: str, ndim: int) -> Survey:
    """Count the values of a label image.

    Args:
        raw: Integers as in the file, ([z,] y, x), or (3, [z,] y, x) for colors.
        name: The file.
        ndim: Number of spatial axes, 2 or 3.

    Returns:
        Its values.

    Example:
        >>> survey(np.array([[0, 0, 4]]), "a.png", 2).counts
        {0: 2, 4: 1}
    """
    is_color = raw.ndim > ndim
    flat = (pack_colors(raw) if is_color else raw).ravel()
    if flat.max() < 2**16:
        counts = np.bincount(flat.astype(np.intp, copy=False))
        values = np.flatnonzero(counts)
        counts = counts[values]
    else:
        values, counts = np.unique(flat, return_counts=True)
    is_simple = is_color or len(values) < _FEWEST_SOFT_VALUES
    wholeness = 1.0 if is_simple else _measure_wholeness(raw, values)
    return Survey(name, dict(zip(values.tolist(), counts.tolist(), strict=True)), is_color, wholeness)


def infer(surveys: Sequence[Survey], declaration: Declaration, are_single_pieces: Callable[[], bool]) -> Labelling:
    """Find out what the values of label files mean.

    0 and one other value in all files together: a mask. More than 20 values: instances. In every file the values
    1 to n, with another n here and there and every value one connected piece: instances. Otherwise: classes.

    Args:
        surveys: The values of every file.
        declaration: What the user said, not enough by itself.
        are_single_pieces: Whether every value but 0 is one connected piece in each file (asked only when it matters).

    Returns:
        A labelling with its reason.

    Raises:
        DataError: The files are in colors that are not declared, hold background alone, or class values have gaps; or
            they seem to be photographs or soft masks.
    """
    if declaration.kind == "colors" or any(one.is_color for one in surveys):
        raise _undeclared_colors(surveys, declaration)
    union = sorted(set().union(*(one.counts for one in surveys)) - {declaration.ignore})
    if len(union) < 2:
        raise DataError(
            f"all {len(surveys)} label files hold only {union[0] if union else 'values to ignore'}, and at least two "
            f"classes are needed to learn from; annotate some pixels of each class, in {surveys[0].name} for one"
        )
    names = declaration.classes or name_classes(2)
    ignore, held = declaration.ignore, f"The {len(surveys)} label files hold"
    if declaration.kind is None and ignore != 0:
        if len(union) == 2 and union[0] == 0:
            return Labelling("mask", names, (0, union[1]), (), ignore, f"{held} only 0 and {union[1]}: a mask.")
        if len(union) > MOST_INFERRED_CLASSES:
            _check_whole(surveys, declaration)
            reason = f"{held} {len(union)} different values, more than {MOST_INFERRED_CLASSES}: numbered objects."
            return Labelling("instances", names, (), (), ignore, reason)
        if _are_numbered(surveys, declaration.ignore) and are_single_pieces():
            return Labelling("instances", names, (), (), ignore, f"{held} 1 to n, each one piece: numbered objects.")
    return _infer_classes(surveys, union, declaration, held)


def infer_outlines(kinds: Mapping[str, Sequence[str]], declaration: Declaration) -> Labelling:
    """Find out what drawn outlines mean.

    Outlines of two or more named classes: classes. Otherwise: instances, each outline one object.

    Args:
        kinds: For every file, the class of each outline; empty for those without one.
        declaration: What the user said, not enough by itself.

    Returns:
        A labelling with its reason.

    Raises:
        DataError: Some outlines have a class and others have none.

    Example:
        >>> infer_outlines({"a.zip": ["cell", "debris"], "b.zip": ["cell"]}, Declaration()).classes
        ('background', 'cell', 'debris')
    """
    names = sorted({kind for file in kinds.values() for kind in file} - {""})
    held = "The label files hold outlines"
    if len(names) < 2 and declaration.kind is None:
        classes = declaration.classes or (("background", *names) if names else name_classes(2))
        return Labelling("instances", classes, ignore=declaration.ignore, reason=f"{held}, each one object.")
    for file, own in kinds.items():
        if "" in own:
            raise DataError(
                f"{file} holds outlines without a class (number {list(own).index('') + 1} for one), and others have "
                f'the classes {_quoted(names)}; name all, or add the line `kind = "instances"` to {declaration.place}'
            )
    found = declaration.classes or ("background", *names)
    reason = f"{held} of the classes {_quoted(names)}: classes."
    return Labelling("classes", found, tuple(range(len(found))), (), declaration.ignore, reason)


def infer_segments(segments: Mapping[str, Sequence[str]], declaration: Declaration) -> Labelling:
    """Classes from the segments of DICOM segmentations.

    Args:
        segments: For every file, the names of its segments 1, 2, ...
        declaration: What the user said, not enough by itself.

    Returns:
        The background, and one class a segment.

    Example:
        >>> infer_segments({"a.dcm": ["liver"], "b.dcm": ["liver", "tumor"]}, Declaration()).classes
        ('background', 'liver', 'tumor')
    """
    names = max(segments.values(), key=len)
    unique = [name if names.count(name) == 1 else f"{name} {number}" for number, name in enumerate(names, start=1)]
    classes = declaration.classes or ("background", *unique)
    reason = f"The segmentations have the segments {_quoted(names)}: classes."
    return Labelling("classes", classes, tuple(range(len(names) + 1)), (), declaration.ignore, reason)


def check_segments(segments: Mapping[str, Sequence[str]]) -> None:
    """Refuse segmentations in which one number means two things.

    Args:
        segments: For every file, the names of its segments 1, 2, ...

    Raises:
        DataError: A file has other names, or the same ones in another order.
    """
    longest = max(segments, key=lambda file: len(segments[file]), default="")
    for file, names in segments.items():
        if list(names) != list(segments[longest][: len(names)]):
            raise DataError(
                f"{file} has the segments {_quoted(names)} and {longest} has {_quoted(segments[longest])}, and a "
                "number must mean the same in all files; export them with the same segments in the same order"
            )


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)


def is_single_pieces(raw: Array, ignore: int | None = None) -> bool:
    """Whether every value but 0 and `ignore` is one connected piece (corners connect).

    Args:
        raw: Small integers, ([z,] y, x).
        ignore: A value to pass over.

    Returns:
        True also if there is no other value.

    Example:
        >>> is_single_pieces(np.array([[1, 0, 2], [0, 1, 0]])), is_single_pieces(np.array([[1, 0, 1]]))
        (True, False)
    """
    from scipy import ndimage  # here, because it takes a third of a second to import

    touching = np.ones((3,) * raw.ndim)
    boxes = enumerate(ndimage.find_objects(raw.astype(np.int32)), start=1)
    return all(
        box is None or value == ignore or ndimage.label(raw[box] == value, touching)[1] == 1 for value, box in boxes
    )


def _measure_wholeness(raw: Array, values: Array) -> float:
    """See `Survey`; a value that touches background alone is whole."""
    numbers = raw if raw.max() < 2**16 else np.searchsorted(np.union1d([0], values), raw)
    beside, alike = np.zeros((2, int(numbers.max()) + 1), np.int64)
    for axis in range(raw.ndim):
        lines = np.moveaxis(numbers, axis, 0)
        are_touching = (lines[:-1] > 0) & (lines[1:] > 0)
        one, other = lines[:-1][are_touching], lines[1:][are_touching]
        beside += np.bincount(one, minlength=len(beside)) + np.bincount(other, minlength=len(beside))
        alike += 2 * np.bincount(one[one == other], minlength=len(beside))
    present = np.unique(numbers)
    present = present[present > 0]
    shares = np.where(beside[present] > 0, alike[present] / np.maximum(beside[present], 1), 1.0)
    return float(np.median(shares))


def _check_whole(surveys: Sequence[Survey], declaration: Declaration) -> None:
    """Refuse photographs and soft masks, whose values are no areas."""
    for one in surveys:
        if one.wholeness < _LEAST_WHOLE:
            raise DataError(
                f"{one.name} holds {len(one.counts)} values that its neighboring pixels rarely share, as a photograph "
                "or a mask with soft edges does, and labels are areas of one value; threshold it if it is a mask, "
                "exchange the folders if images are among the labels, or declare what the values mean in "
                f"{declaration.place}"
            )


def _infer_classes(surveys: Sequence[Survey], union: list[int], declaration: Declaration, held: str) -> Labelling:
    """The classes 0 to the largest value, none of them missing; from 1 on where 0 is ignored."""
    first = 1 if declaration.ignore == 0 else 0
    if union != list(range(first, first + len(union))):
        _check_whole(surveys, declaration)
        raise DataError(
            f"the label files hold the values {_listed(union)}, and classes are numbered {first}, {first + 1}, "
            f"{first + 2}, ... without gaps; "
            f"add the line `values = {union}` to {declaration.place}, or {_suggest(surveys, union)}"
        )
    names = declaration.classes or name_classes(len(union))
    return Labelling(
        "classes", names, tuple(union), (), declaration.ignore, f"{held} the values {first} to {union[-1]}: classes."
    )


def _suggest(surveys: Sequence[Survey], union: list[int]) -> str:
    """What else values with a gap may be: masks with different values, pixels that nobody knows, or objects."""
    *others, last = union
    if len(others) == 2 and not any({others[1], last} <= one.counts.keys() for one in surveys):
        return "save all masks with the same two values if both mean the same"
    if others == list(range(len(others))) and len(others) > 1:
        return f"`ignore = {last}` if that is where nobody knows"
    return '`kind = "instances"` if they number objects'


def _are_numbered(surveys: Sequence[Survey], ignore: int | None) -> bool:
    """Whether each file holds 1 to n (and 0), with more than one n."""
    objects = [sorted(one.counts.keys() - {0, ignore}) for one in surveys]
    return len({len(ids) for ids in objects}) > 1 and all(ids == [*range(1, len(ids) + 1)] for ids in objects)


def _undeclared_colors(surveys: Sequence[Survey], declaration: Declaration) -> DataError:
    """The colors that came, as the lines that declare them."""
    colored = [one for one in surveys if one.is_color]
    if not colored:
        return DataError(
            f"{declaration.place} declares kind = 'colors' without a [colors] table, and the label files are gray; "
            "leave the line out"
        )
    total: Counter[int] = sum((Counter(one.counts) for one in colored), Counter())
    lines = [
        f"class_{index} = {[*unpack_color(code)]}  # {100 * count / total.total():.2g} %"
        for index, (code, count) in enumerate(total.most_common(_MOST_COLORS_SHOWN))
    ]
    more = f" (and {len(total) - len(lines)} rarer colors)" if len(total) > len(lines) else ""
    return DataError(
        f"{colored[0].name} has 3 channels, and a label image has one number a pixel or declared colors; add these "
        f"lines to {declaration.place}, background first and with your names{more}:\n" + "\n".join(["[colors]", *lines])
    )


def _listed(values: Sequence[int], most: int = 24) -> str:
    """Values for a message, not too many of them."""
    return ", ".join(map(str, values[:most])) + (", ..." if len(values) > most else "")
