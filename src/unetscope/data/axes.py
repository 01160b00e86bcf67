"""Which axis of a stored array is z, time or channels; knows the letters of axes, not files and not pixels.

The file says it (OME, ImageJ, NIfTI, DICOM), or the user does, who comes before the file. An image for a 2D network has
one page. In 3D its pages are z; pages that the file leaves unnamed are z too, and pages that it calls time are refused
unless the user says that they are z. A stack for a 2D network has pages of any kind.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from unetscope.data.formats.picture import Picture
from unetscope.errors import ImageError

_LETTERS = frozenset("ZTCYXS")


def check_plane(path: Path, picture: Picture) -> None:
    """Refuse a picture of which y and x are not known.

    Args:
        path: For the message.
        picture: With the axes to check.

    Raises:
        ImageError: One of them is missing.
    """
    if not {"Y", "X"} <= set(picture.axes):
        raise ImageError(
            f"{path} holds an array of shape {picture.shape}, and (y, x) or (channels, y, x) with at most 4 channels, "
            "or (z, y, x) in 3D, was needed; save it in that form, or say what its axes are (--axes ZCYX)"
        )


def name_axes(path: Path, picture: Picture, axes: str) -> Picture:
    """The picture with the axes that a user names.

    Args:
        path: For the message.
        picture: As the file describes it.
        axes: One of Y, X, Z, T, C (or S) for each axis in stored order; those of length 1 may be left out. Samples
            that the file calls transparency are channels if the user says C.

    Returns:
        The same pixels under other letters.

    Raises:
        ImageError: The letters do not fit.
    """
    if len(axes) != len(picture.shape):
        picture = without_single_axes(picture)
    if len(axes) != len(picture.shape) or len(set(axes)) < len(axes) or set(axes) - _LETTERS:
        raise ImageError(
            f"{path} has the axes {picture.axes} of lengths {picture.shape}, and the axes {axes} were given; give one "
            f"letter for each of the {len(picture.shape)}: Y, X and of Z, T and C what it has"
        )
    samples = picture.axes.find("S")
    return replace(picture, axes=axes, has_alpha=picture.has_alpha and axes[samples] == "S")


def without_single_axes(picture: Picture) -> Picture:
    """Leave out axes of length 1, but for y and x.

    Args:
        picture: As the file describes it.

    Returns:
        The same pixels with fewer axes.
    """
    kept = [i for i, axis in enumerate(picture.axes) if axis in "YX" or picture.shape[i] > 1]
    shape = tuple(picture.shape[i] for i in kept)
    axes = "".join(picture.axes[i] for i in kept)
    return replace(picture, axes=axes, shape=shape, load=lambda: picture.load().reshape(shape))


def find_z(path: Path, picture: Picture, ndim: int) -> list[int]:
    """The position of z: none in 2D, exactly one in 3D.

    Args:
        path: For the message.
        picture: With y and x.
        ndim: Number of spatial axes that are wanted, 2 or 3.

    Returns:
        No position or one.

    Raises:
        ImageError: The pages are not what is wanted.
    """
    pages = list(picture.long_pages)
    count = math.prod(picture.shape[i] for i in pages)
    if ndim == 2 and pages:
        raise ImageError(
            f"{path} holds {count} pages, and one 2D image was needed; save each page as its own file, mark the pages "
            "as channels (--axes CYX), or use 3D label images for volumes"
        )
    if ndim == 3 and len(pages) > 1:
        raise ImageError(
            f"{path} has the axes {picture.axes} of lengths {picture.shape}, and only z, y, x and channels are read; "
            "save each of its volumes as its own file, or mark them as channels (--axes CZYX)"
        )
    if ndim == 3 and [picture.axes[i] for i in pages] == ["T"]:
        raise ImageError(
            f"{path} holds {count} pages that it calls time, and a volume (z, y, x) was needed; say --axes "
            f"{without_single_axes(picture).axes.replace('T', 'Z')} if they are z, or save each as its own file"
        )
    z = pages or [i for i, axis in enumerate(picture.axes) if axis == "Z"][: ndim - 2]
    if ndim == 3 and not z:
        raise ImageError(f"{path} is one 2D image, and a volume (z, y, x) was needed; save its planes in one file")
    return z
