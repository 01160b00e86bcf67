"""What the numbers or colors of label images mean; knows label arrays and their values, not files and folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

import numpy as np

from unetscope.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]
Color = tuple[int, int, int]
Kind = Literal["mask", "classes", "instances", "colors"]

IGNORE = -1
"""Class index of pixels that are neither learned from nor scored."""

_FOREGROUND = ("background", "foreground")
_LARGEST_VALUE = 2**24 - 1
_MOST_CLASSES = 2**15 - 1
_UNKNOWN = -2


@dataclass(frozen=True)
class Labelling:
    """How the values in label files become class indices.

    Attributes:
        kind: "mask" (0 and one other value), "classes" (one value a class), "instances" (one value an object, all of
            them foreground) or "colors" (one RGB color a class).
        classes: Names in class order; index 0 is usually the background.
        values: File values in class order; empty for colors and where all but 0 is foreground.
        colors: File colors in class order; empty unless `kind` is "colors".
        ignore: File value that becomes `IGNORE`.
        reason: How the kind was found, as a sentence.

    Example:
        >>> labelling = Labelling("classes", ("background", "cell"), values=(0, 7))
        >>> labelling.to_classes(np.array([[0, 7]], np.uint8), "a.png")
        array([[0, 1]], dtype=uint8)
    """

    kind: Kind
    classes: tuple[str, ...] = _FOREGROUND
    values: tuple[int, ...] = ()
    colors: tuple[Color, ...] = ()
    ignore: int | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        problem = _contradiction(self)
        if problem:
            origin = f" ({self.reason[0].lower()}{self.reason[1:].rstrip('.')})" if self.reason else ""
            raise DataError(f"labels of kind {self.kind!r} {problem}{origin}")

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Read what `to_json` gave.

        Args:
            content: The mapping.

        Returns:
            An equal labelling.

        Raises:
            DataError: The mapping does not describe a labelling.
        """
        try:
            colors = tuple((int(r), int(g), int(b)) for r, g, b in content["colors"])
            values = tuple(int(value) for value in content["values"])
            classes = tuple(str(name) for name in content["classes"])
            return cls(content["kind"], classes, values, colors, content["ignore"], content["reason"])
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{content!r} is not a labelling ({error}); use one that was written by a run") from error

    def to_json(self) -> dict[str, Any]:
        """A mapping of plain values that `from_json` reads."""
        plain = asdict(self)
        return plain | {key: list(plain[key]) for key in ("classes", "values")} | {"colors": [*map(list, self.colors)]}

    def to_classes(self, raw: Array, name: str) -> Array:
        """Class indices of a label image.

        Args:
            raw: Integers as in the file, ([z,] y, x), or (3, [z,] y, x) for colors.
            name: What to call the file in a message.

        Returns:
            ([z,] y, x), 0 to the number of classes less 1 in the smallest unsigned type, or int16 with `IGNORE`
            where a value to ignore is declared.

        Raises:
            DataError: A value or color is not declared.
        """
        if self.colors:
            return self._look_up(pack_colors(raw), [*map(pack_color, self.colors)], name)
        if self.values:
            return self._look_up(raw, self.values, name)
        ignored = np.zeros((), bool) if self.ignore is None else raw == self.ignore
        foreground = (raw != 0) & ~ignored
        if self.kind == "mask":
            _check_one_value(raw[foreground], name)
        indices: Array = foreground.astype(np.uint8)
        return indices if self.ignore is None else np.where(ignored, np.int16(IGNORE), indices)

    def _look_up(self, raw: Array, values: Sequence[int], name: str) -> Array:
        """The position in `values` of every pixel."""
        ignored = [] if self.ignore is None else [self.ignore]
        # One entry more than the largest known value stands for everything above it.
        table = np.full(max([*values, *ignored]) + 2, _UNKNOWN, np.int16)
        table[list(values)] = np.arange(len(values))
        table[ignored] = IGNORE
        indices = table[np.minimum(raw, min(len(table) - 1, int(np.iinfo(raw.dtype).max)))]
        if (indices == _UNKNOWN).any():
            raise DataError(
                f"{name} holds the {self._shown(int(raw[indices == _UNKNOWN][0]))}, and the known ones are "
                f"{', '.join(map(str, self.colors or self.values))}; declare it or mend the file"
            )
        return indices if ignored else indices.astype(np.min_scalar_type(len(values) - 1))

    def _shown(self, value: int) -> str:
        """A file value for a message."""
        return f"color {unpack_color(value)}" if self.colors else f"value {value}"


def _contradiction(labelling: Labelling) -> str:
    """What is wrong with a labelling, or nothing."""
    classes, values, colors = labelling.classes, labelling.values, labelling.colors
    if labelling.kind not in get_args(Kind):
        return f"came; use one of {', '.join(get_args(Kind))}"
    if not 2 <= len(classes) <= _MOST_CLASSES or len(set(classes)) < len(classes):
        return f"have the classes {', '.join(classes)}; give at least 2 names, each once"
    if bool(colors) != (labelling.kind == "colors") or (colors and (values or labelling.ignore is not None)):
        return "mix colors with values; give either [colors] or classes, values and ignore"
    if labelling.kind in ("mask", "instances") and len(classes) != 2:
        return f"have {len(classes)} classes ({', '.join(classes)}); give 2 names, background and foreground"
    if labelling.kind in ("mask", "instances") and labelling.ignore == 0:
        return (
            "ignore 0, which is their background; give the values of the classes in the files, such as values = [1, 2]"
        )
    ignored = () if labelling.ignore is None else (labelling.ignore,)
    codes = [*map(pack_color, colors), *values, *ignored]
    if len(set(codes)) < len(codes) or not all(0 <= code <= _LARGEST_VALUE for code in codes):
        return f"have the values {codes}; give whole numbers from 0 to {_LARGEST_VALUE}, each once"
    expected = labelling.kind in ("classes", "colors") or bool(values)
    if expected and len(values or colors) != len(classes):
        return f"have {len(values or colors)} values for {len(classes)} classes; give one value for each name"
    return ""


def _check_one_value(foreground: Array, name: str) -> None:
    """Refuse a mask with several values, such as one with soft edges."""
    if foreground.size and foreground.min() != foreground.max():
        raise DataError(
            f"{name} holds values from {foreground.min()} to {foreground.max()} beside 0, and a mask has 0 and one "
            'other; threshold it, or declare kind = "classes" or "instances" in dataset.toml'
        )


def name_classes(count: int) -> tuple[str, ...]:
    """Names for classes that the user did not name.

    Example:
        >>> name_classes(2), name_classes(3)
        (('background', 'foreground'), ('background', 'class 1', 'class 2'))
    """
    return _FOREGROUND if count == 2 else ("background", *(f"class {index}" for index in range(1, count)))


def pack_colors(raw: Array) -> Array:
    """RGB as one number a pixel: 65536 red + 256 green + blue.

    Args:
        raw: (3, [z,] y, x), 0 to 255.

    Returns:
        ([z,] y, x), uint32.

    Raises:
        DataError: The channels go beyond 255.

    Example:
        >>> pack_colors(np.array([[1], [0], [2]]))
        array([65538], dtype=uint32)
    """
    if raw.max() > 255:
        raise DataError(f"a label image in colors goes up to {raw.max()}, and 255 is the most; save it with 8 bits")
    red, green, blue = raw.astype(np.uint32)
    packed: Array = red << 16 | green << 8 | blue
    return packed


def pack_color(color: Color) -> int:
    """RGB as one number; -1 when a part is out of range.

    Example:
        >>> pack_color((1, 0, 2))
        65538
    """
    if not all(0 <= part <= 255 for part in color):
        return -1
    return color[0] << 16 | color[1] << 8 | color[2]


def unpack_color(code: int) -> Color:
    """One number as RGB.

    Example:
        >>> unpack_color(65538)
        (1, 0, 2)
    """
    return code >> 16, code >> 8 & 255, code & 255
