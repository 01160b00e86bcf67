"""GeoJSON features (QuPath's too) as outlines in pixels; knows no images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from unetscope.data.formats.picture import damage_reported
from unetscope.data.formats.polygons import Outline, Region, make_ring
from unetscope.errors import ImageError

_GEOMETRIES = (
    "Polygon", "MultiPolygon", "GeometryCollection", "Point", "MultiPoint", "LineString", "MultiLineString",
)  # fmt: skip


def read_features(path: Path) -> tuple[Outline, ...]:
    """Read the features of a GeoJSON file in their order.

    Coordinates are pixels, where pixel (0, 0) covers 0 to 1 along x and y, as QuPath exports them.

    Args:
        path: A `.geojson` file with a FeatureCollection, a Feature, a geometry, or a list of features.

    Returns:
        Outlines; none when the collection is empty.

    Raises:
        ImageError: The file is no GeoJSON, in geographic coordinates, or holds what has no area.
    """
    with damage_reported(path):
        content = json.loads(path.read_text("utf-8-sig"), parse_constant=_refuse_constant)
    outlines = tuple(_outline(path, i, feature) for i, feature in enumerate(_features(path, content), 1))
    # QuPath leaves the first plane unsaid.
    planes = any(outline.z is not None for outline in outlines)
    return tuple(replace(outline, z=0) if planes and outline.z is None else outline for outline in outlines)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is not a number of JSON")


def _features(path: Path, content: Any) -> list[Any]:
    """The features in whatever a file has at its top."""
    if isinstance(content, list):
        return content
    kind = content.get("type") if isinstance(content, dict) else None
    if kind is not None and content.get("crs"):
        raise ImageError(
            f"{path} is in geographic coordinates (crs), and pixels were needed; subtract the corner of the image and "
            "divide by its pixel size"
        )
    if kind == "FeatureCollection" and isinstance(content.get("features"), list):
        features: list[Any] = content["features"]
        return features
    if kind == "Feature":
        return [content]
    if kind in _GEOMETRIES:
        return [{"type": "Feature", "geometry": content}]
    raise ImageError(f"{path} is JSON but not GeoJSON, and a FeatureCollection was needed; export the outlines again")


def _outline(path: Path, number: int, feature: Any) -> Outline:
    """One feature as an outline."""
    if not isinstance(feature, dict) or not isinstance(feature.get("geometry"), dict):
        raise ImageError(f"{path}: feature {number} has no geometry, and a polygon was needed; delete it")
    properties = feature.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    name = properties.get("name")
    label = f"feature {number} ('{name}')" if name else f"feature {number}"
    geometry = feature["geometry"]
    regions = _regions(path, label, geometry)
    if not regions:
        raise ImageError(f"{path}: {label} has no corners, and a polygon was needed; delete it")
    return Outline(label, _kind(properties), regions, _slice(path, label, geometry))


def _kind(properties: Mapping[str, Any]) -> str:
    """The class of a feature: QuPath's classification, or the first property that names one."""
    classification = properties.get("classification")
    if isinstance(classification, dict):
        names = classification.get("names")
        return str(classification.get("name") or (": ".join(map(str, names)) if isinstance(names, list) else ""))
    given = (classification, *(properties.get(key) for key in ("class", "label", "name")))
    return next((str(value) for value in given if isinstance(value, str | int) and str(value)), "")


def _slice(path: Path, label: str, geometry: Mapping[str, Any]) -> int | None:
    """The slice from 0 that QuPath's plane names, if any."""
    plane = geometry.get("plane")
    if plane is None:
        return None
    z, time = (plane.get("z", 0), plane.get("t", 0)) if isinstance(plane, dict) else (None, None)
    if type(z) is not int or type(time) is not int or z < 0 or time > 0:
        raise ImageError(
            f"{path}: {label} is in the plane {plane}, and a slice z from 0 at time 0 was needed; move it there"
        )
    return z


def _regions(path: Path, label: str, geometry: Any) -> tuple[Region, ...]:
    """The areas of a geometry."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    try:
        if kind == "Polygon":
            return (_region(geometry["coordinates"]),)
        if kind == "MultiPolygon":
            return tuple(_region(rings) for rings in geometry["coordinates"])
        if kind == "GeometryCollection":
            return tuple(r for part in geometry["geometries"] for r in _regions(path, label, part))
    except ImageError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        reason = error if isinstance(error, ValueError) else "has no coordinates"
        raise ImageError(f"{path}: {label} {reason}; draw it again") from error
    raise ImageError(
        f"{path}: {label} is a {kind}, which covers no area, and a Polygon or MultiPolygon was needed; delete it or "
        "draw its outline"
    )


def _region(rings: Any) -> Region:
    """A polygon: the first ring encloses it, and the others are holes."""
    if not isinstance(rings, list) or not rings:
        raise ValueError("has no coordinates")
    outer, *holes = (make_ring(ring) for ring in rings)
    return Region((outer,), tuple(holes))
