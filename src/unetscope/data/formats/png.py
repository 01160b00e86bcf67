"""What PNG files store; knows Pillow, not what the pixels mean."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unetscope.data.formats.made_by import compose_note, name_software
from unetscope.data.formats.picture import Array, Output, Picture
from unetscope.errors import OutputError
from unetscope.files import replacing

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngImageFile, PngInfo

_COMMENT = "Comment"  # a keyword of the PNG specification, which viewers show


def open_png(path: Path, as_index: bool) -> Picture:
    """Read the header of a PNG.

    Args:
        path: The file.
        as_index: Whether the numbers in a palette are wanted rather than its colors.

    Returns:
        Axes YX or YXS.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngImageFile

    # Made directly, because `Image.open` refuses large images through a global setting.
    with PngImageFile(path) as picture:
        height, width = picture.height, picture.width
        mode = _decoded_mode(picture, as_index)
    samples = Image.getmodebands(mode)
    axes, shape = ("YXS", (height, width, samples)) if samples > 1 else ("YX", (height, width))
    return Picture(axes, shape, mode in ("LA", "RGBA"), lambda: _decode_png(path, mode, as_index))


def _decoded_mode(picture: PngImageFile, as_index: bool) -> str:
    """Pillow's mode after decoding: a palette stays one for labels and becomes colors for images."""
    if picture.mode != "P" or as_index:
        return picture.mode
    return "RGBA" if "transparency" in picture.info else "RGB"


def _decode_png(path: Path, mode: str, as_index: bool) -> Array:
    """The pixels as stored: Pillow cuts 16-bit colors down to 8, so imagecodecs decodes those."""
    from PIL.PngImagePlugin import PngImageFile

    with path.open("rb") as file:
        depth, color_type = file.read(26)[24:]
    if depth == 16 and color_type != 0:
        import imagecodecs

        return np.asarray(imagecodecs.png_decode(path.read_bytes()))
    with PngImageFile(path) as picture:
        picture.load()
        pixels = np.asarray(picture if picture.mode == mode else picture.convert(mode))
    if pixels.dtype == np.int32:
        return pixels.astype(np.uint16)
    # Pillow stretches grays of 2 and 4 bits to 0..255; labels need the numbers that are in the file.
    stretched = as_index and color_type == 0 and depth in (2, 4)
    return pixels // np.uint8(255 // (2**depth - 1)) if stretched else pixels


def read_png_palette(path: Path) -> dict[int, tuple[int, ...]]:
    """The colors of a palette PNG by their numbers, as far as the image uses them.

    Args:
        path: A PNG.

    Returns:
        Red, green and blue; nothing for a PNG without a palette.
    """
    from PIL.PngImagePlugin import PngImageFile

    with PngImageFile(path) as picture:
        if picture.mode != "P":
            return {}
        colors = np.reshape(picture.getpalette("RGB") or (), (-1, 3)).tolist()
        used = np.unique(np.asarray(picture)).tolist()
    return {number: tuple(colors[number]) for number in used if number < len(colors)}


def read_png_texts(path: Path) -> tuple[str, ...]:
    """The comment of a PNG.

    Args:
        path: A PNG.

    Returns:
        One text at most.
    """
    from PIL.PngImagePlugin import PngImageFile

    with PngImageFile(path) as picture:
        return (str(picture.info.get(_COMMENT, "")),)


def write_png(path: Path, output: Output) -> None:
    """Write a gray image of 8 or 16 bits or RGB of 8.

    Only runs of equal bytes are packed: files are as large as with zlib's usual search for repeated strings (between
    15 % smaller and 4 % larger), labels are written in two thirds of the time and images in a fifth of it.

    Args:
        path: The file.
        output: (y, x), or 1 or 3 channels of it.

    Raises:
        OutputError: PNG does not hold such numbers, or the file cannot be written.
    """
    from PIL import Image

    array = output.pixels
    pixels = array.astype(np.uint8) if array.dtype == bool else array
    if output.axes == "CYX" and len(pixels) in (1, 3):
        pixels = pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)
    depths = ("uint8",) if pixels.ndim == 3 and pixels.shape[-1] == 3 else ("uint8", "uint16")
    if pixels.dtype.name not in depths or (output.axes != "YX" and pixels is array):
        raise OutputError(
            f"{path} would hold {array.dtype} values of shape {array.shape}, and PNG holds 2D grays of 8 or 16 bits "
            f"and RGB of 8; write {path.with_suffix('.tif').name} instead"
        )
    with replacing(path) as temporary:
        Image.fromarray(np.ascontiguousarray(pixels)).save(
            temporary, format="PNG", compress_type=zlib.Z_RLE, pnginfo=_describe(output)
        )


def _describe(output: Output) -> PngInfo:
    """What made the pixels, as chunks of text."""
    from PIL.PngImagePlugin import PngInfo

    texts = {"Software": name_software(output.made_by), _COMMENT: compose_note(output.made_by)}
    info = PngInfo()
    for keyword, text in texts.items():
        if text:
            info.add_text(keyword, text)
    return info
