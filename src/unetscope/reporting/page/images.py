"""Arrays as pictures that a page carries in its text; knows pixels and colors, neither networks nor files.

Classes and errors are never told by color alone: regions have outlines, and every kind of error a pattern of its own.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

Mask = NDArray[np.bool_]
Labels = NDArray[np.integer[Any]]

CLASS_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#56B4E9", "#D55E00")
"""Of Okabe & Ito, told apart by color-blind readers; a class beyond the last begins anew."""

ERRORS = (("missed", "#D55E00", "solid"), ("invented", "#56B4E9", "stripes"), ("wrong class", "#F0E442", "dots"))
"""What a pixel can be wrong by, with its color and its pattern."""

FILL, OUTLINE, FAINT = 80, 255, 40  # opacity, from 0 to 255
STRIPE, DOT = 4, 3  # pixels from one stripe or dot to the next
SMALL = 32  # pixels of a side up to which a picture is kept exactly
CRISP = 40  # quality of maps


def encode_photo(picture: NDArray[np.uint8], quality: int) -> str:
    """A picture for a page, (y, x, 3) or (y, x), as WebP.

    Example:
        >>> encode_photo(np.zeros((2, 2), np.uint8), 50)[:23]
        'data:image/webp;base64,'
    """
    exact = max(picture.shape[:2]) <= SMALL
    return _encode(Image.fromarray(picture), "WEBP", quality=100 if exact else quality, lossless=exact, method=4)


def encode_strip(maps: NDArray[np.uint8]) -> str:
    """Maps (channels, y, x) side by side as one picture."""
    strip = np.concatenate(tuple(maps), axis=1)
    exact = maps.shape[1] <= SMALL
    options: dict[str, Any] = {"lossless": True, "quality": 100} if exact else {"quality": CRISP}
    return _encode(Image.fromarray(strip), "WEBP", method=4, **options)


def encode_classes(labels: Labels) -> str:
    """Class indices (y, x) as a transparent picture: a tint for every class, and its outline; 0 and less are clear.

    Example:
        >>> encode_classes(np.eye(4, dtype=np.int64))[:22]
        'data:image/png;base64,'
    """
    count = len(CLASS_COLORS)
    shown = np.where(labels > 0, (labels - 1) % count + 1, 0).astype(np.uint8)
    edges = find_edges(np.maximum(labels, 0)) & (shown > 0)
    indices = np.where(edges, shown + count, shown).astype(np.uint8)
    return _encode_palette(indices, CLASS_COLORS * 2, (FILL,) * count + (OUTLINE,) * count)


def encode_errors(truth: Labels, found: Labels) -> str:
    """What is wrong, (y, x), as a transparent picture: by color and by pattern, see `ERRORS`.

    Pixels whose truth is negative count nowhere.
    """
    kinds = judge_pixels(truth, found)
    y, x = np.indices(kinds.shape)
    drawn = (kinds == 1) | ((kinds == 2) & ((y + x) % STRIPE == 0)) | ((kinds == 3) & (y % DOT == 0) & (x % DOT == 0))
    drawn |= find_edges(kinds) & (kinds > 1)
    count = len(ERRORS)
    indices = np.where(drawn, kinds + count, kinds).astype(np.uint8)
    colors = tuple(color for _, color, _ in ERRORS)
    return _encode_palette(indices, colors * 2, (FAINT,) * count + (OUTLINE,) * count)


def judge_pixels(truth: Labels, found: Labels) -> NDArray[np.uint8]:
    """0 where a pixel is right or unknown, 1 where a class was missed, 2 invented, 3 mistaken for another.

    Example:
        >>> judge_pixels(np.array([1, 0, 2, 1, -1]), np.array([0, 1, 1, 1, 1])).tolist()
        [1, 2, 3, 0, 0]
    """
    kinds = np.zeros(truth.shape, np.uint8)
    kinds[(truth > 0) & (found == 0)] = 1
    kinds[(truth == 0) & (found > 0)] = 2
    kinds[(truth > 0) & (found > 0) & (truth != found)] = 3
    return kinds


def find_edges(labels: Labels) -> Mask:
    """Pixels (y, x) that have another label above, below, left or right of them.

    Example:
        >>> find_edges(np.array([[0, 0, 1, 1]])).astype(int).tolist()
        [[0, 1, 1, 0]]
    """
    edges = np.zeros(labels.shape, np.bool_)
    for axis in (0, 1):
        differ = np.diff(labels, axis=axis) != 0
        before, after = [(0, 1), (0, 0)], [(1, 0), (0, 0)]
        edges |= np.pad(differ, before if axis == 0 else before[::-1])
        edges |= np.pad(differ, after if axis == 0 else after[::-1])
    return edges


def _encode_palette(indices: NDArray[np.uint8], colors: Sequence[str], opacities: Sequence[int]) -> str:
    """A picture of few colors; index 0 is clear."""
    picture = Image.fromarray(indices)
    picture.putpalette([part for color in ("#000000", *colors) for part in ImageColor.getrgb(color)])
    return _encode(picture, "PNG", optimize=True, transparency=bytes((0, *opacities)))


def _encode(picture: Image.Image, kind: str, **options: Any) -> str:
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{b64encode(buffer.getvalue()).decode()}"
