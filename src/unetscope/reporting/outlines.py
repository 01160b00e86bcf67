"""A picture sheet of annotated images with the outlines of their labels; knows datasets and colors, not networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from unetscope.data.dataset import Dataset, Item
from unetscope.data.glance import has_objects
from unetscope.errors import DataError
from unetscope.files import replacing
from unetscope.reporting.sheet import COLORS, middle_plane, stretch

Array = np.ndarray[Any, np.dtype[Any]]
Value = TypeVar("Value")

CELL = 320
"""Pixels of a picture's longer side."""

_COLUMNS, _GAP, _CAPTION, _HEAD, _SWATCH = 6, 8, 18, 30, 10
_FONT = 12
_PAPER, _INK, _FAINT = "white", "black", (110, 110, 110)
_VEIL, _STRIPES = np.array([255.0, 255.0, 255.0]), (8, 3)  # over ignored pixels: period and width of the stripes
_HATCHED = 0.6


def draw_outline_sheet(dataset: Dataset, path: Path, count: int = 24) -> None:
    """Write a PNG with every n-th image of a dataset and the outlines of its labels, in the colors of their classes.

    Of a volume, the middle plane is shown. Objects that labels number are all outlined, in changing colors. Ignored
    pixels are hatched. An image that cannot be read is an empty cell that says so.

    Args:
        dataset: Annotated images.
        path: PNG file.
        count: Images at most, at least 1.

    Raises:
        OutputError: The file cannot be written.
    """
    items = pick_items(dataset.items, count)
    cells = [_draw_cell(dataset, item) for item in items]
    columns = min(_COLUMNS, len(cells))
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    heights = [max(cell.height for cell in row) + _GAP for row in rows]
    text = f"{len(items)} of {len(dataset.items)} annotated images of {dataset.root.absolute().name}"
    head = _draw_head(text, () if has_objects(dataset) else dataset.classes[1:])
    sheet = Image.new("RGB", (max(head.width, _GAP + columns * (CELL + _GAP)), _HEAD + sum(heights)), _PAPER)
    sheet.paste(head, (0, 0))
    for index, row in enumerate(rows):
        for column, cell in enumerate(row):
            sheet.paste(cell, (_GAP + column * (CELL + _GAP), _HEAD + sum(heights[:index])))
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG")


def pick_items(items: Sequence[Value], count: int) -> Sequence[Value]:
    """Every n-th image, with the smallest n that leaves at most `count`.

    Args:
        items: Images, or whatever stands for them.
        count: At least 1.

    Returns:
        The first, the n-th after it, and so on.

    Example:
        >>> pick_items("abcdefg", 3)
        'adg'
    """
    return items[:: math.ceil(len(items) / max(1, count))]


def outline(picture: Array, labels: Array) -> Array:
    """Draw the outlines of labels into a picture.

    Args:
        picture: (y, x, 3), 0 to 255.
        labels: (y, x); 0 has no outline, negative pixels are hatched.

    Returns:
        A picture in which each pixel beside one of another label has the color of its own; the outermost pixels of an
        image are no outline by themselves.

    Example:
        >>> drawn = outline(np.zeros((1, 5, 3)), np.array([[0, 1, 1, 1, 0]]))
        >>> drawn[0, :, 1]
        array([  0., 158.,   0., 158.,   0.])
    """
    diagonal = np.arange(labels.shape[0])[:, None] + np.arange(labels.shape[1])
    period, width = _STRIPES
    is_striped = (labels < 0) & (diagonal % period < width)
    drawn = np.where(is_striped[..., None], (1 - _HATCHED) * picture + _HATCHED * _VEIL, picture)
    is_drawn = _find_borders(labels) & (labels > 0)
    drawn[is_drawn] = COLORS[_color_index(labels[is_drawn])]
    return np.asarray(drawn)


def _find_borders(labels: Array) -> Array:
    """Pixels with a neighbor of another label."""
    is_border = np.zeros(labels.shape, bool)
    for before, after in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        differs = labels[before] != labels[after]
        is_border[before] |= differs
        is_border[after] |= differs
    return is_border


def _color_index(labels: Array) -> Array:
    """Positions in `COLORS`, which repeat without the background."""
    return np.asarray((labels.astype(np.int64) - 1) % (len(COLORS) - 1) + 1)


# -------------------------------------------------------------------------------------------------------- one image


def _draw_cell(dataset: Dataset, item: Item) -> Image.Image:
    """An image with outlines and a caption."""
    try:
        image, labels = dataset.read(item)
        labels = dataset.read_instances(item) if has_objects(dataset) else labels
    except DataError:
        return _caption(Image.new("RGB", (CELL, CELL // 2), (235, 235, 235)), f"{item.name} cannot be read")
    plane, size = middle_plane(image, 1), "x".join(map(str, labels.shape))
    picture, shown = _fit(stretch(plane), middle_plane(labels, 0))
    return _caption(Image.fromarray(outline(picture, shown).round().astype(np.uint8)), item.name, size)


def _fit(picture: Array, labels: Array) -> tuple[Array, Array]:
    """Both at a good size: large ones thinned out, small ones enlarged."""
    height, width = labels.shape
    scale = CELL / max(height, width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    way = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    fitted = Image.fromarray(picture.round().astype(np.uint8)).resize((columns, rows), way)
    # Labels are never mixed: each new pixel has the label that lies at its center.
    down, across = (((np.arange(new) + 0.5) * old / new).astype(int) for new, old in ((rows, height), (columns, width)))
    return np.asarray(fitted, np.float64), labels[np.ix_(down, across)]


# ------------------------------------------------------------------------------------------------------------ words


def _caption(picture: Image.Image, name: str, size: str = "") -> Image.Image:
    """The picture below its name and size."""
    cell = Image.new("RGB", (CELL, picture.height + _CAPTION), _PAPER)
    cell.paste(picture, (0, _CAPTION))
    pen, font = ImageDraw.Draw(cell), ImageFont.load_default(_FONT)
    shown = name
    while len(shown) > 1 and font.getlength(f"{shown}  {size}") > CELL:
        shown = f"{shown[: len(shown) // 2 - 1]}\u2026{shown[len(shown) // 2 + 1 :]}"
    pen.text((0, 1), shown, fill=_INK, font=font)
    pen.text((font.getlength(f"{shown}  "), 1), size, fill=_FAINT, font=font)
    return cell


def _draw_head(text: str, classes: Sequence[str]) -> Image.Image:
    """What the sheet shows, and which class has which color."""
    font = ImageFont.load_default(_FONT)
    starts = [_GAP + font.getlength(text) + 3 * _GAP]
    for name in classes:
        starts.append(starts[-1] + _SWATCH + _GAP + font.getlength(name) + 2 * _GAP)
    head = Image.new("RGB", (math.ceil(starts[-1]), _HEAD), _PAPER)
    pen = ImageDraw.Draw(head)
    pen.text((_GAP, 7), text, fill=_INK, font=font)
    colors = COLORS[_color_index(np.arange(1, len(classes) + 1))].astype(int).tolist()
    for start, name, color in zip(starts, classes, colors, strict=False):
        pen.rectangle((start, 9, start + _SWATCH, 9 + _SWATCH), fill=tuple(color))
        pen.text((start + _SWATCH + _GAP, 7), name, fill=_INK, font=font)
    return head
