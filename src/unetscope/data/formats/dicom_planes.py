"""Where DICOM frames lie in the patient, and in which order they make a volume; knows headers, not pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unetscope.data.formats.picture import Array
from unetscope.errors import ImageError

_EVENNESS = 0.01  # of the step: what steps may differ by
_SAME_DIRECTION = 1e-3  # cosines are written with few digits
_SAME_PITCH = 1e-3


@dataclass(frozen=True)
class Plane:
    """One frame as a rectangle in the patient.

    Attributes:
        name: How an error calls it: its file, or its number in the file.
        size: Rows and columns.
        pitch: Distance of rows and of columns in mm, if the file says it.
        position: Center of the first pixel in mm, if the file says it.
        orientation: Directions of a row and of a column, one after the other, if the file says them.
        space: UID of the frame of reference; positions in two of them cannot be compared.
        uid: UID of the image (SOP instance).
    """

    name: str
    size: tuple[int, int]
    pitch: tuple[float, ...] | None
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    space: str
    uid: str


def read_plane(name: str, dataset: Any, frame: int = 0) -> Plane:
    """The plane of a frame.

    Args:
        name: How an error shall call it.
        dataset: Header of a DICOM file.
        frame: Number of the frame from 0.

    Returns:
        What the header says, and None where it says nothing.
    """

    def numbers(sequence: str, keyword: str, count: int) -> tuple[float, ...] | None:
        value = frame_value(dataset, frame, sequence, keyword)
        values = tuple(float(number) for number in value) if value else ()
        return values if len(values) == count and np.isfinite(values).all() else None

    pitch = numbers("PixelMeasuresSequence", "PixelSpacing", 2)
    return Plane(
        name,
        (int(dataset.Rows), int(dataset.Columns)),
        pitch if pitch and min(pitch) > 0 else None,
        numbers("PlanePositionSequence", "ImagePositionPatient", 3),
        numbers("PlaneOrientationSequence", "ImageOrientationPatient", 6),
        str(dataset.get("FrameOfReferenceUID", "")),
        str(dataset.get("SOPInstanceUID", "")),
    )


def frame_value(dataset: Any, frame: int, sequence: str, keyword: str) -> Any:
    """What a header says of a frame: in the frame's own group, in the group of all frames, or for the whole file.

    Args:
        dataset: Header of a DICOM file.
        frame: Number of the frame from 0.
        sequence: Keyword of the functional group.
        keyword: Keyword of the value in it.

    Returns:
        The value, or None.
    """
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    groups = [*frames[frame : frame + 1], *(dataset.get("SharedFunctionalGroupsSequence") or [])]
    found = (item[0].get(keyword) for group in groups if (item := group.get(sequence)))
    return next((value for value in found if value is not None), dataset.get(keyword))


def order_planes(path: Path, planes: Sequence[Plane]) -> tuple[list[int], float | None]:
    """Put parallel planes in order along their normal (row direction x column direction).

    Args:
        path: The file or folder that they come from.
        planes: In any order.

    Returns:
        Their indices in order, and the distance between neighbors in mm (None for a single plane).

    Raises:
        ImageError: They do not fill a box evenly; the sentence names the first that does not fit.
    """
    for what, same in _ALIKE.items():
        odd = next((plane for plane in planes if not same(planes[0], plane)), None)
        if odd:
            raise ImageError(
                f"{path} is no volume because {planes[0].name} and {odd.name} have different {what}; move what does "
                "not belong to it away, or use each file as a 2D image"
            )
    if len(planes) == 1:
        return [0], None
    places = np.array([_place(path, plane) for plane in planes])
    order = [int(i) for i in np.argsort(places[:, 2], kind="stable")]
    step = _check_even(path, [planes[i] for i in order], places[order, 2])
    _check_straight(path, places[:, :2], planes[0])
    return order, step


def _directions_agree(a: Plane, b: Plane) -> bool:
    if a.orientation is None or b.orientation is None:
        return a.orientation is b.orientation
    return bool(np.allclose(a.orientation, b.orientation, rtol=0, atol=_SAME_DIRECTION))


def _pitches_agree(a: Plane, b: Plane) -> bool:
    if a.pitch is None or b.pitch is None:
        return a.pitch is b.pitch
    return bool(np.allclose(a.pitch, b.pitch, rtol=_SAME_PITCH, atol=0))


_ALIKE: dict[str, Callable[[Plane, Plane], bool]] = {
    "sizes": lambda a, b: a.size == b.size,
    "orientations": _directions_agree,
    "pixel spacings": _pitches_agree,
    "frames of reference": lambda a, b: a.space == b.space or not (a.space and b.space),
}


def check_same_grid(names: str, a: Plane, b: Plane) -> None:
    """Refuse two planes whose pixels cannot lie on each other or behind each other.

    Args:
        names: How an error calls the two.
        a: The first.
        b: The second.

    Raises:
        ImageError: Sizes differ; or both have positions, and orientations, spacings or frames of reference differ.
    """
    for what, same in _ALIKE.items():
        if not same(a, b) and (what == "sizes" or (a.position and b.position)):
            raise ImageError(
                f"{names} have different {what}, and labels must lie on their image; choose the image that they were "
                "drawn on"
            )


def locate(plane: Plane) -> Array:
    """Where the first pixel of a plane lies, seen along its own directions.

    Args:
        plane: A plane with a position and an orientation.

    Returns:
        Along a row, along a column and along the normal, in mm.
    """
    row, column = np.array(plane.orientation).reshape(2, 3)
    place: Array = np.stack([row, column, np.cross(row, column)]) @ np.array(plane.position)
    return place


def _place(path: Path, plane: Plane) -> Array:
    """Where a plane lies, if it says so."""
    if plane.position is None or plane.orientation is None:
        raise ImageError(
            f"{path} cannot be put in order because {plane.name} has no position or orientation "
            "(ImagePositionPatient, ImageOrientationPatient); use each file as a 2D image"
        )
    return locate(plane)


def _check_even(path: Path, planes: Sequence[Plane], along: Array) -> float:
    """The distance between neighbors, if it is the same for all."""
    gaps = np.diff(along)
    step = float(np.median(gaps))
    same = np.flatnonzero(gaps <= max(_EVENNESS * step, 1e-4))
    if same.size:
        raise ImageError(
            f"{path} is no volume because {planes[same[0]].name} and {planes[same[0] + 1].name} are at the same "
            "position; keep one of them, or save each time or contrast as its own series"
        )
    uneven = int(np.argmax(abs(gaps - step)))
    if abs(gaps[uneven] - step) > _EVENNESS * step:
        raise ImageError(
            f"{path} is no even volume because {planes[uneven].name} and {planes[uneven + 1].name} are "
            f"{gaps[uneven]:.4g} mm apart and the others {step:.4g} mm; add the missing slices, or use each file as a "
            "2D image"
        )
    return round(step, 6)


def _check_straight(path: Path, across: Array, plane: Plane) -> None:
    """Refuse slices that are shifted against each other, as a tilted gantry makes them."""
    shift = float(np.ptp(across, axis=0).max())
    if shift > min(plane.pitch or (1.0,)):
        raise ImageError(
            f"{path} is no straight volume because its slices are shifted by up to {shift:.4g} mm against each other "
            "(a tilted gantry?); resample it along its normal, or use each file as a 2D image"
        )
