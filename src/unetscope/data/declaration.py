"""What a user declares about a dataset in its `dataset.toml`; knows that file, not images and not labels.

kind = "classes"                       # or "mask", "instances", "colors"
classes = ["background", "cell", "debris"]
values = [0, 2, 3]                     # in the files, in class order
ignore = 255                           # neither learned from nor scored
axes = "TYX"                           # of the image files, where they do not say it or say it wrongly
modality = "CT"                        # values are Hounsfield units, the same in every image
[colors]                               # instead of values: RGB by name, in class order
background = [0, 0, 0]
[groups]                               # images that are never divided between roles
slide1_left = "patient 1"

Where 0 is not the background but what nobody annotated: values = [1, 2] with ignore = 0. An axis is a letter: Z, Y and
X are space, C is channels, T is time.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from unetscope.data.labelling import Color, Kind, Labelling, name_classes
from unetscope.errors import DataError

FILE_NAME = "dataset.toml"

_KEYS = ("kind", "classes", "values", "ignore", "axes", "modality", "colors", "groups")


@dataclass(frozen=True)
class Declaration:
    """What the user says about label files; everything may be missing.

    Attributes:
        kind: See `Labelling`.
        classes: Names in class order.
        values: File values in class order.
        colors: File color of each class, by name.
        ignore: File value to ignore.
        groups: What belongs together, by the name or stem of an image (images of one patient, for example).
        axes: One letter an axis of the image files.
        modality: What the images measure, such as "CT".
        place: Where more can be declared, for messages.
    """

    kind: Kind | None = None
    classes: tuple[str, ...] = ()
    values: tuple[int, ...] = ()
    colors: tuple[tuple[str, Color], ...] = ()
    ignore: int | None = None
    groups: tuple[tuple[str, str], ...] = ()
    axes: str | None = None
    modality: str = ""
    place: str = FILE_NAME

    def labelling(self) -> Labelling | None:
        """The labelling if enough is declared for one, otherwise nothing (then the files must be looked at).

        Raises:
            DataError: What is declared contradicts itself.
        """
        reason = f"Declared in {self.place}."
        if self.colors:
            names = self.classes or tuple(name for name, _ in self.colors)
            table = tuple(color for _, color in self.colors)
            return Labelling(self.kind or "colors", names, self.values, table, self.ignore, reason)
        names = self.classes or name_classes(max(2, len(self.values)))
        if self.kind in ("mask", "instances") or self.values:
            return Labelling(self.kind or "classes", names, self.values, (), self.ignore, reason)
        if len(self.classes) > 2 or (self.kind == "classes" and self.classes):
            return Labelling("classes", names, tuple(range(len(names))), (), self.ignore, reason)
        return None

    def over(self, other: Declaration) -> Declaration:
        """Both declarations; where both speak of labels, this one counts.

        Args:
            other: What another file says.

        Returns:
            This declaration, with what it lacks taken from the other.

        Example:
            >>> Declaration(modality="MR").over(Declaration(classes=("a", "b"), modality="CT"))
            Declaration(kind=None, classes=('a', 'b'), ... modality='MR', place='dataset.toml')
        """
        speaks = bool(self.kind or self.classes or self.values or self.colors)
        labels = self if speaks else other
        return replace(
            labels,
            ignore=labels.ignore if self.ignore is None else self.ignore,
            groups=self.groups or other.groups,
            axes=self.axes or other.axes,
            modality=self.modality or other.modality,
            place=labels.place,
        )


def read_declaration(folder: Path) -> Declaration:
    """Read `dataset.toml` in a folder.

    Args:
        folder: The dataset's folder.

    Returns:
        What is declared; nothing if there is no such file.

    Raises:
        DataError: The file is not TOML, or holds unknown keys or values of another type.
    """
    place = folder / FILE_NAME
    if not place.is_file():
        return Declaration(place=str(place))
    try:
        content = tomllib.loads(place.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{place} cannot be read as TOML ({error}); mend that place") from error
    _check(content, str(place))
    return Declaration(
        kind=content.get("kind"),
        classes=tuple(content.get("classes", ())),
        values=tuple(content.get("values", ())),
        colors=tuple((name, tuple(color)) for name, color in content.get("colors", {}).items()),
        ignore=content.get("ignore"),
        groups=tuple(content.get("groups", {}).items()),
        axes=content.get("axes"),
        modality=content.get("modality", ""),
        place=str(place),
    )


def _check(content: dict[str, Any], place: str) -> None:
    """Refuse unknown keys and values of another form."""
    unknown = sorted(content.keys() - set(_KEYS))
    if unknown:
        raise DataError(f"{place} holds the unknown keys {', '.join(unknown)}; the known ones are {', '.join(_KEYS)}")
    kind = content.get("kind", "mask")
    needed = {
        "kind": (kind in get_args(Kind), "one of " + ", ".join(f'"{name}"' for name in get_args(Kind))),
        "classes": (_all(content.get("classes", []), list, str), 'a list of names such as ["background", "cell"]'),
        "values": (_all(content.get("values", []), list, int), "a list of whole numbers such as [0, 255]"),
        "ignore": (_is(content.get("ignore", 0), int), "a whole number such as 255"),
        "axes": (_are_axes(content.get("axes", "YX")), 'letters, Y and X among them, each once, such as "ZYX"'),
        "modality": (_is(content.get("modality", ""), str), 'a name such as "CT"'),
        "colors": (_are_colors(content.get("colors", {})), "a table of lines such as cell = [255, 0, 0]"),
        "groups": (_all(content.get("groups", {}), dict, str), 'a table of lines such as image1 = "patient1"'),
    }
    for key, (is_right, form) in needed.items():
        if not is_right:
            raise DataError(f"{place} declares {key} = {content[key]!r}; {form} is needed")


def _is(value: object, kind: type) -> bool:
    """Whether a value is of a type; true and false are no numbers."""
    return isinstance(value, kind) and not isinstance(value, bool)


def _all(values: Any, container: type, kind: type) -> bool:
    """Whether a list or table holds one type only."""
    members = values.values() if isinstance(values, dict) else values
    return isinstance(values, container) and all(_is(value, kind) for value in members)


def _are_axes(axes: object) -> bool:
    """Whether a text names axes, those of a plane among them."""
    return isinstance(axes, str) and axes.isalpha() and {"Y", "X"} <= set(axes.upper()) and len(set(axes)) == len(axes)


def _are_colors(table: object) -> bool:
    """Whether a table gives three whole numbers a name."""
    return isinstance(table, dict) and all(_all(color, list, int) and len(color) == 3 for color in table.values())
