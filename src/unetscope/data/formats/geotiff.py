"""Georeferences of TIFF files, kept from an image to its labels; knows rasterio, not what the labels mean."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unetscope.data.formats.made_by import compose_note, name_software
from unetscope.data.formats.picture import Array, damage_reported
from unetscope.errors import OutputError
from unetscope.files import write_bytes

# GeoTIFF 1.1, annex: the scale of a pixel, tie points, the transformation, and the keys of the reference system.
_TAGS = (33550, 33922, 34264, 34735)


def has_georeference(path: Path) -> bool:
    """Whether a TIFF says where on Earth it lies.

    Args:
        path: A `.tif` or `.tiff` file.

    Returns:
        True if it has any of GeoTIFF's tags.

    Raises:
        ImageError: The file is damaged or no TIFF.
    """
    import tifffile

    with damage_reported(path), tifffile.TiffFile(path) as file:
        return any(tag in file.pages.first.tags for tag in _TAGS)


def write_geotiff_like(path: Path, labels: Array, source: Path, made_by: Mapping[str, str] = {}) -> None:
    """Write labels as a compressed GeoTIFF where their image lies: the same reference system and transformation.

    A transformation may be rotated; where the source has ground control points instead, they are kept. No value is
    declared as missing: 0 is the background, which was seen.

    Args:
        path: The file to write.
        labels: Integers from 0 to 4294967295, (y, x).
        source: The image, of the same size.
        made_by: What made the labels.

    Raises:
        ImageError: The source cannot be read.
        OutputError: rasterio is not installed, the sizes differ, or the file cannot be written.
    """
    try:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning
        from rasterio.io import MemoryFile
    except ImportError as error:
        raise OutputError(f"{path} needs rasterio, which is not installed; run pip install 'unetscope[geo]'") from error
    with warnings.catch_warnings():
        # The source may have control points only, and the result is written before it has them.
        warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
        with damage_reported(source), rasterio.open(source) as image:
            place, size = _read_place(image), (image.height, image.width)
        place["tags"] |= _name_maker(made_by)
        pixels = _smallest(path, labels, source, size)
        # In memory, because GDAL tells nobody when a disk is full as it closes a file.
        with MemoryFile() as memory:
            _encode(memory, pixels, place)
            content = memory.read()
    write_bytes(path, content)


def _read_place(image: Any) -> dict[str, Any]:
    """What says where an image lies: transformation or control points, reference system, and which point is meant."""
    points, system = image.gcps
    return {
        "transform": None if points and image.transform.is_identity else image.transform,
        "crs": image.crs or system,
        "points": points,
        "tags": {key: value for key, value in image.tags().items() if key == "AREA_OR_POINT"},
    }


def _name_maker(made_by: Mapping[str, str]) -> dict[str, str]:
    """GDAL's names for TIFF's own tags for words, with what made the labels."""
    tags = {"TIFFTAG_SOFTWARE": name_software(made_by), "TIFFTAG_IMAGEDESCRIPTION": compose_note(made_by)}
    return {name: text for name, text in tags.items() if text}


def _smallest(path: Path, labels: Array, source: Path, size: tuple[int, int]) -> Array:
    """The labels in the smallest type that holds them."""
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    if labels.shape != size or low < 0 or high >= 2**32 or labels.dtype.kind not in "bui":
        raise OutputError(
            f"{path} would hold labels from {low} to {high} of shape {labels.shape}, and {source} has the shape "
            f"{size}; write whole numbers from 0 to 4294967295 in its shape"
        )
    return labels.astype(np.min_scalar_type(high))


def _encode(memory: Any, pixels: Array, place: dict[str, Any]) -> None:
    """Make a GeoTIFF of pixels and their place."""
    height, width = pixels.shape
    layout = {"driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": pixels.dtype.name}
    reference = {"crs": place["crs"], "transform": place["transform"]} if place["transform"] is not None else {}
    with memory.open(compress="deflate", bigtiff="if_safer", **layout, **reference) as file:
        if not reference:
            file.gcps = (place["points"], place["crs"])
        file.update_tags(**place["tags"])
        file.write(pixels, 1)
