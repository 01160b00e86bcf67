"""What two label images need to be compared, and their pixels in pairs; knows arrays, not what is counted in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from unetscope.errors import DataError

Labels: TypeAlias = npt.NDArray[Any]

_BLOCK = 2**16  # pixels; scratch memory then stays at a few megabytes, however large the image is


def pair_blocks(truth: Labels, prediction: Labels) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Matching runs of pixels of both arrays as 64-bit integers, without a copy of either array.

    Args:
        truth: Whole numbers, any shape and memory layout.
        prediction: Whole numbers of the same shape.

    Yields:
        As many pixels of the truth as of the prediction, at the same places.

    Raises:
        DataError: Shapes differ, or a value is no whole number.
    """
    require_comparable(truth, prediction)
    yield from np.nditer(
        [truth, prediction],
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_flags=[["readonly"], ["readonly"]],
        op_dtypes=[np.int64, np.int64],
        casting="same_kind",
        buffersize=_BLOCK,
    )


def require_comparable(truth: Labels, prediction: Labels) -> None:
    """Refuse arrays whose pixels do not pair up.

    Raises:
        DataError: Shapes differ, or a value is no whole number.
    """
    if truth.shape != prediction.shape:
        raise DataError(
            f"the truth has shape {truth.shape} and the prediction {prediction.shape}, but they must be equal; "
            "score a prediction against the truth of the same image"
        )
    for whose, labels in (("truth", truth), ("prediction", prediction)):
        if labels.dtype.kind not in "biu":
            raise DataError(f"the {whose} holds {labels.dtype} values, but class indices are whole numbers; convert it")


def require_classes(whose: str, labels: Labels, count: int) -> None:
    """Refuse class indices that have no name.

    Args:
        whose: "truth" or "prediction", for the message.
        labels: Class indices that count, any shape.
        count: Number of classes, the background included.

    Raises:
        DataError: A class is outside 0 to `count` - 1.
    """
    lowest, highest = int(labels.min(initial=0)), int(labels.max(initial=0))
    if lowest < 0 or highest >= count:
        raise DataError(
            f"the {whose} holds class {lowest if lowest < 0 else highest}, but only classes 0 to {count - 1} have a "
            "name; name the missing class or correct the labels"
        )
