"""What JPEG files store: photographs, never labels; knows Pillow, not what the pixels mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unetscope.data.formats.picture import Array, Picture
from unetscope.errors import ImageError

_TURNED = (5, 6, 7, 8)  # values of EXIF's orientation with which rows become columns
_ORIENTATION = 0x0112


def open_jpeg(path: Path, as_index: bool) -> Picture:
    """Read the header of a JPEG; a photo is turned upright as its camera noted, which is how every viewer shows it.

    Args:
        path: The file.
        as_index: Whether labels are wanted, which a JPEG cannot hold.

    Returns:
        Axes YX or YXS.

    Raises:
        ImageError: Labels are wanted, or the colors are those of a printer.
    """
    if as_index:
        raise ImageError(
            f"{path} is a JPEG, whose lossy compression invents values at every edge, and labels are exact; export "
            "them from where they were drawn as PNG"
        )
    from PIL import Image
    from PIL.JpegImagePlugin import JpegImageFile

    with JpegImageFile(path) as picture:
        mode, (width, height) = picture.mode, picture.size
        if picture.getexif().get(_ORIENTATION) in _TURNED:
            width, height = height, width
    if mode not in ("L", "RGB"):
        raise ImageError(f"{path} is a JPEG with {mode} colors, and gray or RGB is read; save it as RGB")
    samples = Image.getmodebands(mode)
    axes, shape = ("YXS", (height, width, samples)) if samples > 1 else ("YX", (height, width))
    return Picture(axes, shape, False, lambda: _decode_jpeg(path))


def _decode_jpeg(path: Path) -> Array:
    """The pixels, upright."""
    from PIL import ImageOps
    from PIL.JpegImagePlugin import JpegImageFile

    with JpegImageFile(path) as picture:
        picture.load()
        return np.asarray(ImageOps.exif_transpose(picture))
