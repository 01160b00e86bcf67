"""Outlines that cannot be drawn into their images."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from roifile import ROI_TYPE, ImagejRoi

from broken_datasets.cases import SIDE, Pairs, as_mask, refused, repaired, save, truth

_BOXES = {  # left, top, right, bottom
    "a": (8, 6, 20, 16),
    "b": (30, 30, 36, 50),
    "c": (4, 40, 44, 46),
    "d": (24, 4, 50, 40),
    "e": (10, 22, 22, 36),
    "f": (40, 12, 48, 20),
}


def _ring(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    """The corners of a box."""
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def _write_images(folder: Path) -> Pairs:
    """Images that show one bright box each, and its mask."""
    pairs = {}
    for index, (name, (left, top, right, bottom)) in enumerate(_BOXES.items()):
        labels = np.zeros((SIDE, SIDE), np.uint8)
        labels[top:bottom, left:right] = 1
        noise = np.random.default_rng(index).normal(0, 6, labels.shape)
        pairs[name] = (50 + 80 * labels + noise).astype(np.uint8), labels
        save(folder / "images" / f"{name}.png", pairs[name][0])
    return truth(pairs)


def _write_features(path: Path, *geometries: Any) -> None:
    """A GeoJSON file of these geometries."""
    path.parent.mkdir(exist_ok=True)
    features = [{"type": "Feature", "geometry": geometry, "properties": {}} for geometry in geometries]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def _write_boxes(folder: Path) -> Pairs:
    """The images of boxes with outlines in GeoJSON."""
    for name, box in _BOXES.items():
        _write_features(folder / "labels" / f"{name}.geojson", {"type": "Polygon", "coordinates": [_ring(*box)]})
    return _write_images(folder)


def _save_rois(path: Path, *rois: ImagejRoi) -> None:
    """A set of ROIs as ImageJ saves it."""
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for index, roi in enumerate(rois):
            archive.writestr(f"{index:04}.roi", roi.tobytes())


def _write_rois(folder: Path) -> Pairs:
    """The images of boxes with outlines of ImageJ."""
    for name, box in _BOXES.items():
        roi = ImagejRoi.frompoints(np.array(_ring(*box)[:4], float), name="cell")
        _save_rois(folder / "labels" / f"{name}.zip", roi)
    return _write_images(folder)


@repaired()
def outlines_in_geojson(folder: Path) -> Pairs:
    """Labels are outlines in GeoJSON: they are drawn."""
    return _write_boxes(folder)


@repaired()
def outlines_of_imagej(folder: Path) -> Pairs:
    """Labels are sets of ROIs of ImageJ: they are drawn."""
    return _write_rois(folder)


@refused("labels/b.zip", "'far'", "outside the image", "check which image")
def roi_outside(folder: Path) -> None:
    """An ROI lies outside its image, which was cropped later."""
    _write_rois(folder)
    ring = np.array(_ring(SIDE + 4, 2, SIDE + 20, 30)[:4], float)
    _save_rois(folder / "labels" / "b.zip", ImagejRoi.frompoints(ring, name="far"))


@refused("labels/b.zip", "'seed'", "covers no area", "draw its outline")
def roi_of_points(folder: Path) -> None:
    """A set of ROIs holds points where cells were counted."""
    _write_rois(folder)
    roi = ImagejRoi.frompoints([[4, 5], [9, 9]], name="seed")
    roi.roitype = ROI_TYPE.POINT
    _save_rois(folder / "labels" / "b.zip", roi)


@refused("labels/b.zip", "damaged", "again")
def zip_of_text(folder: Path) -> None:
    """A set of ROIs is no archive."""
    _write_rois(folder)
    (folder / "labels" / "b.zip").write_text("PK nothing")


@refused("labels/b.zip", "photo.png", ".roi")
def zip_of_pictures(folder: Path) -> None:
    """A set of ROIs is an archive of pictures."""
    _write_rois(folder)
    with zipfile.ZipFile(folder / "labels" / "b.zip", "w") as archive:
        archive.writestr("photo.png", b"\x89PNG")


@refused("labels/b.geojson", "damaged", "again")
def broken_geojson(folder: Path) -> None:
    """A GeoJSON file ends in the middle."""
    _write_boxes(folder)
    path = folder / "labels" / "b.geojson"
    path.write_text(path.read_text()[:60])


@refused("labels/b.geojson", "not GeoJSON", "export")
def json_of_something_else(folder: Path) -> None:
    """A GeoJSON file holds other JSON."""
    _write_boxes(folder)
    (folder / "labels" / "b.geojson").write_text('{"cells": 12}')


@refused("labels/b.geojson", "Point", "covers no area", "draw its outline")
def geojson_of_points(folder: Path) -> None:
    """A GeoJSON file holds points."""
    _write_boxes(folder)
    _write_features(folder / "labels" / "b.geojson", {"type": "Point", "coordinates": [4, 5]})


@refused("labels/b.geojson", "outside the image", "check which image")
def geojson_in_degrees(folder: Path) -> None:
    """Outlines are in degrees of longitude and latitude."""
    _write_boxes(folder)
    ring = _ring(-70.51, -33.42, -70.48, -33.40)
    _write_features(folder / "labels" / "b.geojson", {"type": "Polygon", "coordinates": [ring]})


@repaired("", "background alone (c)", "annotate")
def geojson_without_outlines(folder: Path) -> Pairs:
    """A GeoJSON file holds no outline: there is a warning."""
    pairs = dict(_write_boxes(folder))
    _write_features(folder / "labels" / "c.geojson")
    image, labels = pairs["c"]
    return pairs | {"c": (image, np.zeros_like(labels))}


@refused("labels/b.png", "outlines", "keep one kind")
def outlines_beside_masks(folder: Path) -> None:
    """One label file is a mask, the others are outlines."""
    pairs = _write_boxes(folder)
    (folder / "labels" / "b.geojson").unlink()
    save(folder / "labels" / "b.png", as_mask(pairs["b"][1]))
