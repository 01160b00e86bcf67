"""What NumPy files store; knows arrays and guesses their axes, not what the numbers mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unetscope.data.formats.picture import Output, Picture
from unetscope.files import replacing

_MOST_CHANNELS = 4
_UNKNOWN = "Q"


def open_numpy(path: Path, ndim: int) -> Picture:
    """Map a NumPy file and guess its axes from its shape; nothing is unpickled.

    Args:
        path: The file.
        ndim: Number of spatial axes, 2 or 3.

    Returns:
        Axes with channels where there are at most 4 and fewer than pixels; Q for each where no guess is safe.
    """
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        array.close()
        raise ValueError("it is an archive of several arrays")
    return Picture(_guess_axes(array.shape, ndim), array.shape, False, lambda: array)


def _guess_axes(shape: tuple[int, ...], ndim: int) -> str:
    """The meaning of an array's axes: channels are few, and fewer than pixels."""
    if len(shape) == ndim:
        return "ZYX"[-ndim:]
    if len(shape) == 3 and ndim == 2:
        return _channels_last(shape, "YXC") or ("CYX" if shape[0] <= _MOST_CHANNELS else "QYX")
    if len(shape) == 4 and ndim == 2:
        return _channels_last(shape[1:], "QYXC") or ("QCYX" if shape[1] <= _MOST_CHANNELS else _UNKNOWN * 4)
    if len(shape) == 4 and ndim == 3:
        return "ZYXC" if shape[-1] <= _MOST_CHANNELS < shape[0] else "CZYX"
    return _UNKNOWN * len(shape)


def _channels_last(shape: tuple[int, ...], axes: str) -> str:
    """The axes with channels last, if a shape of (y, x, few) looks like it."""
    return axes if shape[-1] <= _MOST_CHANNELS and shape[-1] < shape[0] else ""


def write_numpy(path: Path, output: Output) -> None:
    """Write the numbers and nothing else.

    Args:
        path: The file.
        output: Any numbers.

    Raises:
        OutputError: The file cannot be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, output.pixels, allow_pickle=False)
