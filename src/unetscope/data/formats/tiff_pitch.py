"""How large the pixels of a TIFF are, in each of the ways that programs note it; knows tags, not pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from unetscope.data.spacing import Spacing, name_unit

if TYPE_CHECKING:
    import tifffile

Pitch = tuple[Mapping[str, float], str]

UNKNOWN: Pitch = ({}, "pixel")

_METER = 9001  # in GeoTIFF's list of linear units
_CENTIMETER = 3  # in TIFF's list of resolution units
_MICROMETERS = 10_000  # in a centimeter
_SCREENS_AND_PRINTERS = (1, 72, 96, 100, 150, 200, 300, 400, 600, 1200)  # dots per inch that say nothing of an object
_ROUNDING = 0.015  # 72 dots per inch are written as 28 per centimeter


def read_pitch(file: tifffile.TiffFile, page: tifffile.TiffPage) -> Pitch:
    """The size of a pixel by axis, and its unit.

    OME's physical sizes come first, then ImageJ's calibration, a georeference, and the plain resolution in dots per
    centimeter. Dots per inch are passed over: they are what a program prints with, not what was measured.

    Args:
        file: An open TIFF.
        page: Its first page.

    Returns:
        Sizes by axis letter, and their unit; nothing and "pixel" where the file says nothing.
    """
    for found in (_of_ome(file), _of_imagej(file, page), _of_georeference(page), _of_resolution(page)):
        sizes = {axis: size for axis, size in found[0].items() if math.isfinite(size) and size > 0}
        if {"X", "Y"} <= sizes.keys() and found[1] != "pixel":
            return sizes, found[1]
    return UNKNOWN


def _of_ome(file: tifffile.TiffFile) -> Pitch:
    """The physical sizes in OME-XML, all in the unit of x."""
    if not file.is_ome or not file.ome_metadata:
        return UNKNOWN
    elements = ElementTree.fromstring(file.ome_metadata).iter()
    pixels = next((element for element in elements if element.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None:
        return UNKNOWN
    unit = _ome_unit(pixels, "X")
    try:
        return {
            axis: float(pixels.get(f"PhysicalSize{axis}", 0)) * _ome_unit(pixels, axis).in_unit(unit.unit).steps[0]
            for axis in "XYZ"
        }, unit.unit
    except ValueError:
        return UNKNOWN


def _ome_unit(pixels: ElementTree.Element, axis: str) -> Spacing:
    """What the physical size along an axis counts; micrometers where OME's writer leaves it out."""
    return Spacing((1.0,), name_unit(pixels.get(f"PhysicalSize{axis}Unit", "µm")))


def _of_imagej(file: tifffile.TiffFile, page: tifffile.TiffPage) -> Pitch:
    """ImageJ's calibration: x and y in the resolution tags, z and the unit in its description."""
    noted = file.imagej_metadata or {}
    units = [name_unit(str(noted[key])) for key in ("unit", "yunit", "zunit") if key in noted]
    if not units or set(units) - {units[0]} or units[0] in ("pixel", "inch"):
        return UNKNOWN
    sizes = _inverted(page.resolution)
    return {**sizes, "Z": abs(float(noted["spacing"]))} if "spacing" in noted else sizes, units[0]


def _of_georeference(page: tifffile.TiffPage) -> Pitch:
    """The size on the ground; only meters are told by name."""
    tags = page.geotiff_tags or {}
    if "ModelPixelScale" in tags:
        x, y = tags["ModelPixelScale"][:2]
    elif "ModelTransformation" in tags:
        x, y = (math.hypot(*(row[column] for row in tags["ModelTransformation"][:2])) for column in (0, 1))
    else:
        return UNKNOWN
    unit = "m" if tags.get("ProjLinearUnitsGeoKey") == _METER else "unit of the CRS"
    return {"X": float(x), "Y": float(y)}, unit


def _of_resolution(page: tifffile.TiffPage) -> Pitch:
    """Dots per centimeter, unless they are dots per inch in disguise."""
    if page.resolutionunit != _CENTIMETER or 1 in page.resolution:
        return UNKNOWN
    if any(abs(dots * 2.54 / usual - 1) < _ROUNDING for dots in page.resolution for usual in _SCREENS_AND_PRINTERS):
        return UNKNOWN
    return {axis: size * _MICROMETERS for axis, size in _inverted(page.resolution).items()}, "µm"


def _inverted(resolution: tuple[float, float]) -> dict[str, float]:
    """Sizes of pixels from pixels per unit; 0 stands for what is not known."""
    return {axis: 1 / dots if dots else 0.0 for axis, dots in zip("XY", resolution, strict=True)}
