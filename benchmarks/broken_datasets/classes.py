"""Classes whose numbers, colors or declarations do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from broken_datasets.cases import Array, Pairs, declare, paint, refused, repaired, save, truth, write, write_masks

_RED, _GREEN = (255, 0, 0), (0, 255, 0)
_COLORS = np.array([(0, 0, 0), _RED, _GREEN], np.uint8)
_TABLE = f"[colors]\nground = [0, 0, 0]\ncell = {[*_RED]}\ndebris = {[*_GREEN]}\n"


def _write_values(folder: Path, *values: int) -> Pairs:
    """The good dataset, its three classes under these numbers."""
    pairs = paint(classes=3)
    table = np.array(values, np.uint8)
    write(folder, {name: (image, table[labels]) for name, (image, labels) in pairs.items()})
    return truth(pairs)


def _write_colors(folder: Path) -> Pairs:
    """The good dataset, its three classes in colors."""
    pairs = paint(classes=3)
    write(folder, {name: (image, _COLORS[labels]) for name, (image, labels) in pairs.items()})
    return truth(pairs)


def _read_colors(name: str) -> Array:
    """The label image of one name in colors."""
    return _COLORS[paint(classes=3)[name][1]]


# --------------------------------------------------------------------------------------------------------- numbers


@refused("dataset.toml", "0, 2, 3", "values = [0, 2, 3]")
def values_with_a_gap(folder: Path) -> None:
    """Classes have the numbers 0, 2 and 3."""
    _write_values(folder, 0, 2, 3)


@refused("dataset.toml", "1, 2", "values = [1, 2]")
def values_from_one_on(folder: Path) -> None:
    """The background is 1 and the foreground 2, as in programs that count from 1."""
    write_masks(folder, lambda mask: 1 + mask // 255)


@refused("dataset.toml", "0, 1, 2, 255", "ignore = 255")
def undeclared_void(folder: Path) -> None:
    """Classes are 0, 1 and 2, and 255 is where nobody knows, which nobody declared."""
    _write_values(folder, 0, 1, 2)
    labels = paint(classes=3)["b"][1]
    labels[:4] = 255
    save(folder / "labels" / "b.png", labels)


@repaired()
def declared_values_with_a_gap(folder: Path) -> Pairs:
    """Classes have the numbers 0, 2 and 3, and dataset.toml says so."""
    declare(folder, "values = [0, 2, 3]")
    return _write_values(folder, 0, 2, 3)


@refused("labels/b.png", "value 3", "0, 1, 2", "declare it or mend")
def undeclared_value(folder: Path) -> None:
    """One mask holds a number that dataset.toml does not declare."""
    _write_values(folder, 0, 1, 2)
    declare(folder, "values = [0, 1, 2]")
    labels = paint(classes=3)["b"][1]
    labels[0, 0] = 3
    save(folder / "labels" / "b.png", labels)


@refused("labels/a.png", "holds the value", "the known ones are 0, 1, 2")
def names_without_values(folder: Path) -> None:
    """Three classes are named, and the masks hold 0, 127 and 255."""
    _write_values(folder, 0, 127, 255)
    declare(folder, 'classes = ["background", "cell", "debris"]')


@repaired()
def two_names_for_a_mask(folder: Path) -> Pairs:
    """Two classes are named, and the masks hold 0 and 255."""
    declare(folder, 'classes = ["background", "cell"]')
    return write_masks(folder)


@refused("dataset.toml", "2 values for 3 classes", "one value for each name")
def fewer_values_than_names(folder: Path) -> None:
    """Three classes are named, and two values declared."""
    _write_values(folder, 0, 1, 2)
    declare(folder, 'classes = ["background", "cell", "debris"]\nvalues = [0, 1]')


@refused("dataset.toml", "[0, 255, 255]", "each once")
def ignored_value_is_a_class(folder: Path) -> None:
    """The value to ignore is also the value of a class."""
    write_masks(folder)
    declare(folder, "values = [0, 255]\nignore = 255")


@refused("labels/a.png", "hold only 0", "annotate")
def ignored_value_is_the_foreground(folder: Path) -> None:
    """The value to ignore is the foreground, and nothing else is annotated."""
    write_masks(folder)
    declare(folder, "ignore = 255")


@repaired()
def ignored_value(folder: Path) -> Pairs:
    """Masks of 0 and 1 with 255 where nobody knows, which dataset.toml ignores."""
    declare(folder, "ignore = 255")
    expected = {}
    for name, (image, labels) in paint().items():
        labels[:4] = 255
        save(folder / "images" / f"{name}.png", image)
        save(folder / "labels" / f"{name}.png", labels)
        expected[name] = image, np.where(labels == 255, -1, labels.astype(int))
    return truth(expected)


@refused("dataset.toml", "clases", "the known ones are", "classes")
def misspelled_key(folder: Path) -> None:
    """A key of dataset.toml is misspelled."""
    write_masks(folder)
    declare(folder, 'clases = ["background", "cell"]')


@refused("dataset.toml", "TOML", "mend")
def broken_toml(folder: Path) -> None:
    """A bracket is missing in dataset.toml."""
    write_masks(folder)
    declare(folder, 'classes = ["background", "cell"')


@refused("dataset.toml", "'0, 255'", "a list of whole numbers")
def values_as_text(folder: Path) -> None:
    """The values in dataset.toml are text."""
    write_masks(folder)
    declare(folder, 'values = "0, 255"')


@refused("dataset.toml", "slide_9", "no such image")
def group_of_nothing(folder: Path) -> None:
    """dataset.toml puts an image into a group that is not there."""
    write_masks(folder)
    declare(folder, '[groups]\na = "patient 1"\nslide_9 = "patient 1"')


@repaired("", "'debris'", "occurs in no label image")
def class_that_never_occurs(folder: Path) -> Pairs:
    """A named class occurs in no mask."""
    declare(folder, 'classes = ["background", "cell", "debris"]')
    return write_masks(folder, lambda mask: mask // 255)


# ---------------------------------------------------------------------------------------------------------- colors


@refused("dataset.toml", "3 channels", "[255, 0, 0]", "[colors]")
def undeclared_colors(folder: Path) -> None:
    """Masks are in colors that nobody declared."""
    _write_colors(folder)


@repaired()
def declared_colors(folder: Path) -> Pairs:
    """Masks are in colors that dataset.toml declares."""
    declare(folder, _TABLE)
    return _write_colors(folder)


@refused("labels/d.png", "(128, 0, 0)", "declare it or mend")
def smoothed_color(folder: Path) -> None:
    """Masks are in declared colors, and in one the edge of a region was smoothed."""
    declare(folder, _TABLE)
    _write_colors(folder)
    picture = _read_colors("d")
    picture[5, 5:9] = (128, 0, 0)
    save(folder / "labels" / "d.png", picture)


@refused("labels/a.png", "3 channels", "[255, 255, 255]")
def gray_masks_in_three_channels(folder: Path) -> None:
    """Masks of 0 and 255 have three equal channels."""
    write_masks(folder, lambda mask: np.stack([mask] * 3, axis=-1))


@refused("labels/c.png", "3 channels", "save it like the others")
def one_colored_mask(folder: Path) -> None:
    """One mask is in colors, the others are gray, and values are declared."""
    declare(folder, "values = [0, 1, 2]")
    _write_values(folder, 0, 1, 2)
    save(folder / "labels" / "c.png", _read_colors("c"))


@repaired()
def opaque_colors(folder: Path) -> Pairs:
    """Masks are in declared colors with an alpha channel that is the same everywhere."""
    declare(folder, _TABLE)
    pairs = _write_colors(folder)
    for name in pairs:
        colors = _read_colors(name)
        save(folder / "labels" / f"{name}.png", np.dstack([colors, np.full(colors.shape[:2], 255, np.uint8)]))
    return pairs


@refused("labels/a.png", "alpha channel", "flatten")
def masks_in_the_alpha_channel(folder: Path) -> None:
    """Masks are transparent layers: the drawing is in the alpha channel."""
    write_masks(folder, lambda mask: np.dstack([mask, mask, mask, mask]))


@refused("labels/a.png", "alpha channel")
def gray_masks_with_alpha(folder: Path) -> None:
    """Masks are gray with an alpha channel that says something."""
    write_masks(folder, lambda mask: np.dstack([mask, 255 - mask // 2]))


@refused("dataset.toml", "colors", "cell = [255, 0, 0]")
def color_of_two_numbers(folder: Path) -> None:
    """A declared color has two numbers."""
    declare(folder, "[colors]\nground = [0, 0]\ncell = [255, 0, 0]")
    _write_colors(folder)


@repaired("", "'debris'", "occurs in no image that trains")
def class_in_the_test_alone(folder: Path) -> Pairs:
    """A class occurs in the test images alone."""
    pairs = paint(classes=3)
    expected = {}
    for index, (name, (image, labels)) in enumerate(pairs.items()):
        part = "test" if index > 3 else "train"
        known = labels if part == "test" else np.minimum(labels, 1)
        save(folder / part / "images" / f"{name}.png", image)
        save(folder / part / "labels" / f"{name}.png", known)
        expected[f"{part}/{name}"] = image, known
    declare(folder, 'classes = ["background", "cell", "debris"]')
    return truth(expected)
