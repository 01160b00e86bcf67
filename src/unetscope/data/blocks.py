"""Blocks of one image for training, validation and testing; knows sizes and names, not pixels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from unetscope.data.item import PARTS, Box, Item, Part
from unetscope.errors import DataError

SMALLEST = 8
"""Fewest pixels of a block along the axis that is cut."""

MOST_CUT = 5
"""Up to so many images are cut into blocks rather than divided."""

_SHARES: dict[Part, int] = {"train": 3, "validation": 1, "test": 1}


def are_few(items: Sequence[Item]) -> bool:
    """Whether so few images came, and none with a given role, that each is cut for all roles."""
    return len(items) <= MOST_CUT and not any(item.part for item in items)


def cut_blocks(shape: Sequence[int], gap: Sequence[int], name: str, parts: Collection[Part] = PARTS) -> dict[Part, Box]:
    """Cut an image along its longest axis (the first of equals: rows before columns) into one block a part.

    From the start of the axis on, the blocks take 3/5 for training, 1/5 for validation and 1/5 for testing of what the
    gaps between them leave. Each block is read by itself, so no pixel is read for two parts. Beyond that, a pixel of
    one block is more than `gap` pixels along that axis from each pixel of another: a network that sees at most `gap`
    pixels to each side reads, wherever it labels a pixel of one block in the whole image, no labelled pixel of another.

    Args:
        shape: ([z,] y, x) of the image, pixels.
        gap: Pixels between two blocks, for each axis; at least the margin of the network.
        name: The image, for the message.
        parts: Two or three to cut blocks for; "train" is among them.

    Returns:
        For each part, start and stop along every axis.

    Raises:
        DataError: The image is too small for the gaps.

    Example:
        >>> cut_blocks((10, 100), (4, 10), "a.png")["test"]
        ((0, 10), (84, 100))
    """
    axis = max(range(len(shape)), key=lambda index: (shape[index], -index))
    chosen = [part for part in PARTS if part in parts]
    total, gaps = sum(_SHARES[part] for part in chosen), len(chosen) - 1
    left = shape[axis] - gaps * gap[axis]
    if left < SMALLEST * total:
        raise DataError(_explain(shape, axis, gap[axis], name, (gaps, SMALLEST * total)))
    ends = [left * sum(_SHARES[each] for each in chosen[: index + 1]) // total for index in range(len(chosen))]
    starts = [0, *ends[:-1]]
    places = {part: (start, end) for part, start, end in zip(chosen, starts, ends, strict=True)}
    return {
        part: tuple(
            (start + gap[axis] * index, end + gap[axis] * index) if each == axis else (0, length)
            for each, length in enumerate(shape)
        )
        for index, (part, (start, end)) in enumerate(places.items())
    }


def make_blocks(item: Item, boxes: dict[Part, Box]) -> tuple[Item, ...]:
    """The blocks of an image as items.

    Args:
        item: The image.
        boxes: From `cut_blocks`.

    Returns:
        One item a block, named after the image and its part, as "cells#train".
    """
    return tuple(replace(item, name=f"{item.name}#{part}", part=part, box=box) for part, box in boxes.items())


def share_pixels(digest: str, other: str) -> bool:
    """Whether two digests of `Item.digest` stand for images or blocks with a pixel in common.

    Args:
        digest: Of one image or block.
        other: Of another.

    Returns:
        True for the same image, for blocks of it that overlap, and for an image and a block of it.

    Example:
        >>> share_pixels("b5[0:60,0:9]", "b5[70:80,0:9]"), share_pixels("b5[0:60,0:9]", "b5")
        (False, True)
    """
    (content, box), (other_content, other_box) = _read_digest(digest), _read_digest(other)
    overlap = all(
        start < other_stop and other_start < stop
        for (start, stop), (other_start, other_stop) in zip(box, other_box, strict=False)
    )
    return content == other_content and overlap


def _read_digest(digest: str) -> tuple[str, list[tuple[int, int]]]:
    """A digest's content and box; no box for a whole image."""
    content, _, box = digest.partition("[")
    return content, [
        (int(start), int(stop))
        for start, _, stop in (side.partition(":") for side in box.rstrip("]").split(",") if side)
    ]


def _explain(shape: Sequence[int], axis: int, gap: int, name: str, needed: tuple[int, int]) -> str:
    """Which sizes and gaps would work."""
    gaps, pixels = needed
    widest = (shape[axis] - pixels) // gaps
    words = {1: "a gap", 2: "two gaps"}[gaps]
    less = f", or a network with a margin of at most {widest}" if widest > 0 else ""
    return (
        f"{name} has {' x '.join(map(str, shape))} pixels, and blocks with {words} of {gap} pixels between them need "
        f"at least {pixels + gaps * gap} along one axis; give a larger image{less}"
    )
