"""ImageJ's regions of interest (`.roi`, and sets of them in a `.zip`) as outlines; knows no images."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from unetscope.data.formats.picture import damage_reported
from unetscope.data.formats.polygons import Outline, Region, flatten_path, make_ellipse, make_rectangle, make_ring
from unetscope.errors import ImageError

_MOST_MEMBERS = 100_000
_MOST_BYTES = 2**30
_WITHOUT_AREA = {3: "straight line", 4: "freehand line", 5: "segmented line", 6: "empty ROI", 9: "angle", 10: "point"}
_DECORATIONS = {1: "text", 2: "arrow", 4: "embedded image"}


def read_rois(path: Path) -> tuple[Outline, ...]:
    """Read ImageJ ROIs in the order of the file; nothing is unpacked to disk.

    Args:
        path: A `.roi` file, or a `.zip` of them as ImageJ's ROI Manager saves it.

    Returns:
        At least one outline.

    Raises:
        ImageError: roifile is not installed, or the file is damaged, unsafe, or holds what has no area.
    """
    try:
        from roifile import ImagejRoi
    except ImportError as error:
        raise ImageError(f"{path} needs roifile, which is not installed; run pip install 'unetscope[rois]'") from error
    with damage_reported(path):
        return tuple(_outline(path, name, ImagejRoi.frombytes(content)) for name, content in _contents(path))


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the ROIs in a file."""
    if path.suffix.lower() == ".roi":
        yield path.stem, path.read_bytes()
        return
    with zipfile.ZipFile(path) as archive:
        for member in _safe_members(path, archive):
            yield PurePosixPath(member.filename).stem, archive.read(member)


def _safe_members(path: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The ROIs of an archive, unless it is more than a set of ROIs."""
    members = archive.infolist()
    # What a member says of its size is also how much of it is read.
    size = sum(member.file_size for member in members)
    if len(members) > _MOST_MEMBERS or size > _MOST_BYTES:
        raise ImageError(
            f"{path} holds {len(members)} files of {size} bytes, and at most {_MOST_MEMBERS} of together {_MOST_BYTES} "
            "bytes are read; save the ROIs in several sets"
        )
    rois = [member for member in members if not member.is_dir() and not _is_hidden(member.filename)]
    for member in rois:
        _check_member(path, member.filename)
    if not rois:
        raise ImageError(f"{path} holds no ROIs, and at least one was needed; save the set again in ImageJ")
    return rois


def _is_hidden(name: str) -> bool:
    """Whether a member is one of the files that macOS adds to archives."""
    return name.startswith("__MACOSX/") or PurePosixPath(name).name == ".DS_Store"


def _check_member(path: Path, name: str) -> None:
    """Refuse a member that leaves its folder or is no ROI."""
    if name.startswith(("/", "\\")) or ":" in name or ".." in name.replace("\\", "/").split("/"):
        raise ImageError(f"{path} holds '{name}', a name that leaves its folder; do not trust this file")
    if PurePosixPath(name).suffix.lower() != ".roi":
        raise ImageError(f"{path} holds '{name}', and only .roi files were needed; save the set again in ImageJ")


@contextmanager
def _named(path: Path, label: str) -> Iterator[None]:
    """Put the names of the file and the ROI before what is wrong with it."""
    try:
        yield
    except ValueError as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{path}: {label} {error}, so it is damaged; draw it again") from error


def _outline(path: Path, name: str, roi: Any) -> Outline:
    """One ROI as an outline."""
    label = f"ROI '{roi.name or name}'"
    if roi.t_position > 1:
        raise ImageError(
            f"{path}: {label} belongs to time {roi.t_position}, and an image has one time; save the ROIs of each "
            "time in their own file"
        )
    _check_area(path, label, roi)
    with _named(path, label):
        region = Region(_rings(roi))
    slice_number = roi.z_position or roi.position
    return Outline(
        label, f"group {roi.group}" if roi.group else "", (region,), slice_number - 1 if slice_number > 0 else None
    )


def _check_area(path: Path, label: str, roi: Any) -> None:
    """Refuse what covers no pixels, or others than its corners say."""
    what = _DECORATIONS.get(int(roi.subtype)) or _WITHOUT_AREA.get(int(roi.roitype))
    if int(roi.roitype) not in range(11):
        what = f"ROI of the unknown type {int(roi.roitype)}"
    if what:
        raise ImageError(f"{path}: {label} is of the kind {what}, which covers no area; delete it or draw its outline")
    if roi.options & 1:
        raise ImageError(
            f"{path}: {label} is fitted by a spline, which only ImageJ draws; "
            "turn it into a polygon with Edit > Selection > Interpolate"
        )


def _rings(roi: Any) -> tuple[np.ndarray[Any, Any], ...]:
    """The rings of an ROI that covers an area."""
    if roi.composite:
        return flatten_path(roi.multi_coordinates.astype(np.float64))
    if roi.roitype not in (1, 2):
        return (make_ring(roi.coordinates()),)
    if roi.subpixelrect:
        box = roi.xd, roi.yd, roi.widthd, roi.heightd
    else:
        box = roi.left, roi.top, roi.right - roi.left, roi.bottom - roi.top
    if roi.roitype == 2:
        return (make_ring(make_ellipse(*box)),)
    return (make_ring(make_rectangle(*box, arc=roi.rounded_rect_arc_size)),)
