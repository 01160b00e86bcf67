"""A picture sheet of segmentations beside their truth; knows arrays and colors, not networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from unetscope.files import replacing

Array = np.ndarray[Any, np.dtype[Any]]

COLORS = np.array(
    [[0, 0, 0], [0, 158, 115], [230, 159, 0], [86, 180, 233], [204, 121, 167], [240, 228, 66], [0, 114, 178]],
    np.float64,
)  # Okabe & Ito: safe for color-blind readers
MISSED, INVENTED = np.array([213.0, 94.0, 0.0]), np.array([86.0, 180.0, 233.0])
LARGEST = 320  # pixels of a panel's longer side
CAPTION, GAP = 18, 4


@dataclass(frozen=True)
class Row:
    """One image of the sheet.

    Attributes:
        caption: What to write above it.
        image: (channels, [z,] y, x); of a volume the middle plane is shown.
        truth: ([z,] y, x) class indices.
        prediction: ([z,] y, x) class indices.
    """

    caption: str
    image: Array
    truth: Array
    prediction: Array


def draw_sheet(rows: Sequence[Row], path: Path) -> None:
    """Write a PNG with image, label, segmentation and errors of every row, side by side.

    Errors: orange where the truth has an object that was missed or mistaken, blue where one was invented.

    Args:
        rows: The images, at least one.
        path: PNG file.

    Raises:
        OutputError: The file cannot be written.
    """
    strips = [_draw_row(row) for row in rows]
    width = max(strip.shape[1] for strip in strips)
    padded = [np.pad(strip, ((0, 0), (0, width - strip.shape[1]), (0, 0)), constant_values=255) for strip in strips]
    with replacing(path) as temporary:
        Image.fromarray(np.concatenate(padded)).save(temporary, format="PNG")


def _draw_row(row: Row) -> Array:
    """Caption and four panels."""
    image, truth, prediction = middle_plane(row.image, 1), middle_plane(row.truth, 0), middle_plane(row.prediction, 0)
    gray = stretch(image)
    panels = [gray, _overlay(gray, truth), _overlay(gray, prediction), _errors(gray, truth, prediction)]
    fitted = [np.pad(_fit(panel), ((0, 0), (0, GAP), (0, 0)), constant_values=255) for panel in panels]
    strip = np.concatenate(fitted, axis=1)
    canvas = Image.new("RGB", (strip.shape[1], strip.shape[0] + CAPTION + 6), "white")
    canvas.paste(Image.fromarray(strip.round().astype(np.uint8)), (0, CAPTION))
    text = f"{row.caption}: image, label, segmentation, errors (orange missed, blue invented)"
    ImageDraw.Draw(canvas).text((2, 1), text, fill="black", font=ImageFont.load_default(12))
    return np.asarray(canvas)


def _fit(panel: Array) -> Array:
    """A panel of a good size: large ones thinned out, small ones with every pixel as a square."""
    longest = max(panel.shape[:2])
    step, zoom = -(-longest // LARGEST), max(1, LARGEST // longest)
    return np.asarray(panel[::step, ::step].repeat(zoom, axis=0).repeat(zoom, axis=1))


def middle_plane(array: Array, leading: int) -> Array:
    """The middle plane of a volume; a plane is its own.

    Example:
        >>> middle_plane(np.arange(6).reshape(3, 1, 2), 0)
        array([[2, 3]])
    """
    return array if array.ndim == leading + 2 else array.take(array.shape[leading] // 2, axis=leading)


def stretch(image: Array) -> Array:
    """Bring a plane to the range of a screen: between its 0.5th and its 99.5th percentile.

    Args:
        image: (channels, y, x); the first three channels are colors, fewer are gray.

    Returns:
        (y, x, 3) from 0 to 255.

    Example:
        >>> stretch(np.array([[[1.0, 3.0]]]))[0, :, 0].tolist()
        [0.0, 255.0]
    """
    shown = image[:3] if len(image) >= 3 else np.repeat(image[:1], 3, axis=0)
    low, high = np.percentile(shown, (0.5, 99.5))
    scaled = (shown.astype(np.float64) - low) / max(high - low, 1e-9)
    return np.moveaxis(scaled.clip(0, 1) * 255, 0, -1)


def _overlay(gray: Array, labels: Array) -> Array:
    """The image with every foreground class tinted in its color."""
    tints = COLORS[np.where(labels > 0, (labels.astype(np.int64) - 1) % (len(COLORS) - 1) + 1, 0)]
    return np.asarray(np.where((labels > 0)[..., None], 0.55 * gray + 0.45 * tints, gray))


def _errors(gray: Array, truth: Array, prediction: Array) -> Array:
    """The faded image with wrong pixels in color."""
    faded = 0.5 * gray + 100
    faded[(truth != prediction) & (truth > 0)] = MISSED
    faded[(truth == 0) & (prediction > 0)] = INVENTED
    return faded
