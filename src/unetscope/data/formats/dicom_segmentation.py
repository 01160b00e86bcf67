"""DICOM segmentation objects (SEG) as label maps and back; knows segments and planes, not what they are for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unetscope import __version__
from unetscope.data.formats.dicom import Series, decode, quiet, read_header, read_series
from unetscope.data.formats.dicom_planes import Plane, check_same_grid, frame_value, locate, read_plane
from unetscope.data.formats.made_by import compose_note, name_software
from unetscope.data.formats.picture import Array, Picture, damage_reported
from unetscope.errors import ImageError, OutputError
from unetscope.files import replacing

__all__ = ["open_segmentation", "read_segmentation_on", "segments", "write_segmentation"]

_NEAR = 0.05  # of a pixel: positions are written with few digits
_LONGEST_NAME = 64  # characters of DICOM's long strings
_DESCRIPTION = (  # type 2 of DICOM: must be there, may be empty; files without names of patients often lack them
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime",
)  # fmt: skip


@dataclass(frozen=True)
class _Frame:
    """One frame of a segmentation.

    Attributes:
        segment: Number of its segment; 0 where the pixels are the numbers (label maps).
        plane: Where it lies.
        sources: UIDs of the images that it was drawn on.
    """

    segment: int
    plane: Plane
    sources: tuple[str, ...]


@quiet()
def segments(path: Path) -> tuple[str, ...]:
    """Names of the segments 1, 2, ... of a segmentation.

    Args:
        path: A DICOM SEG.

    Returns:
        Labels, or "segment 3" where number 3 has none.

    Raises:
        ImageError: pydicom is not installed, or the file is no segmentation.
    """
    header = _read_segmentation(path)
    with damage_reported(path):
        names = {int(item.SegmentNumber): str(item.get("SegmentLabel") or "") for item in header.SegmentSequence}
    return tuple(names.get(number) or f"segment {number}" for number in range(1, max(names, default=0) + 1))


@quiet()
def open_segmentation(path: Path) -> Picture:
    """Read the headers of a segmentation as a label map on the planes from its first to its last frame.

    Pixels are numbers of segments, 0 for none; fractions of at least 1/2 count. Planes between without a frame are
    background.

    Args:
        path: A DICOM SEG.

    Returns:
        Axes (YX for a single plane, otherwise ZYX), shape, distances of pixels in mm, and a way to load, which
        refuses segments that overlap.

    Raises:
        ImageError: pydicom is not installed, or the file is no segmentation of parallel planes.
    """
    header = _read_segmentation(path)
    frames = _read_frames(path, header)
    with damage_reported(path):
        slots, step = _stack(path, header, frames)
    count, first = max(slots) + 1, frames[0].plane
    pitch = dict(zip("YX", first.pitch, strict=True)) if first.pitch else {}
    if step is not None:
        pitch["Z"] = step
    axes, shape = ("ZYX", (count, *first.size)) if count > 1 else ("YX", first.size)
    load = partial(_label, path, frames, slots, shape)
    return Picture(axes, shape, False, load, pitch, "mm" if pitch else "pixel", "SEG")


@quiet()
def read_segmentation_on(path: Path, source: Path) -> Array:
    """Read a segmentation on the planes of the images that it was drawn on.

    Frames are placed by their positions, or by the images they refer to where positions are missing.

    Args:
        path: A DICOM SEG.
        source: The DICOM image, or the folder of its series.

    Returns:
        Numbers of segments, 0 for none: ([z,] y, x), the slices in the order of `open_dicom`.

    Raises:
        ImageError: A file cannot be read, a frame lies on no plane of the source, or segments overlap.
    """
    frames = _read_frames(path, _read_segmentation(path))
    series = read_series(source)
    check_same_grid(f"{path} and {source}", frames[0].plane, series.planes[0])
    slots = [_find_plane(path, source, frame, series) for frame in frames]
    shape = (len(series.planes),) * len(series.axis) + series.planes[0].size
    return _label(path, frames, slots, shape)


@quiet()
def write_segmentation(
    path: Path, labels: Array, source: Path, classes: Sequence[str] = (), made_by: Mapping[str, str] = {}
) -> None:
    """Write labels as a DICOM SEG that refers to its source: one binary segment for each class but the background.

    Every plane gets a frame for every segment, also an empty one, so that readers see the extent of the source.

    Args:
        path: The file to write.
        labels: Indices of classes as `open_dicom` has the source: ([z,] y, x).
        source: The DICOM image, or the folder of its series.
        classes: Names, the background first; without them segments are called "label 1" and so on.
        made_by: What made the labels.

    Raises:
        ImageError: The source cannot be read.
        OutputError: highdicom is not installed, labels and source do not fit, or the file cannot be written.
    """
    series = read_series(source)
    shape = (len(series.planes),) * len(series.axis) + series.planes[0].size
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    names = tuple(classes[1:]) or tuple(f"label {i}" for i in range(1, max(high, 1) + 1))
    if labels.shape != shape or labels.dtype.kind not in "bui" or low < 0 or high > min(len(names), 65535):
        raise OutputError(
            f"{path} would hold labels from {low} to {high} of shape {labels.shape} for {len(names)} segments, and "
            f"{source} has the shape {shape}; write labels of its shape and no others than 0 to {len(names)}"
        )
    long = next((name for name in names if not 0 < len(name.strip()) <= _LONGEST_NAME), None)
    if long is not None:
        raise OutputError(
            f"{path} would hold a segment named '{long}', and DICOM's names have 1 to {_LONGEST_NAME} characters; "
            "rename the class"
        )
    segmentation = _build(path, labels, series, names)
    if made_by:
        segmentation.SoftwareVersions = name_software(made_by) or __version__
        segmentation.ImageComments = compose_note(made_by)
    with replacing(path) as temporary:
        segmentation.save_as(temporary)


# --------------------------------------------------------------------------------------------------------- reading


def _read_segmentation(path: Path) -> Any:
    """The header of a segmentation of slices."""
    header = read_header(path)
    with damage_reported(path):
        modality, is_tiled = header.get("Modality", ""), header.get("TotalPixelMatrixRows")
        has_masks = modality == "SEG" and header.get("SegmentSequence") and "PixelData" in header
    if not has_masks:
        raise ImageError(
            f"{path} is no DICOM segmentation (its modality is '{modality}'), and a SEG was needed; export the labels "
            "as DICOM SEG"
        )
    if is_tiled:
        raise ImageError(
            f"{path} is a segmentation of a slide in tiles, and one of slices was needed; export it as a TIFF"
        )
    return header


def _read_frames(path: Path, header: Any) -> tuple[_Frame, ...]:
    """What the header says of every frame."""
    with damage_reported(path):
        frames = tuple(_read_frame(header, i) for i in range(int(header.get("NumberOfFrames") or 1)))
    for frame in frames:
        check_same_grid(f"{path}: {frames[0].plane.name} and {frame.plane.name}", frames[0].plane, frame.plane)
        if (frame.plane.position is None) != (frames[0].plane.position is None):
            raise ImageError(
                f"{path} has positions for some of its frames and not for {frame.plane.name}; export it again"
            )
    return frames


def _read_frame(header: Any, index: int) -> _Frame:
    """One frame."""
    derivations = frame_value(header, index, "DerivationImageSequence", "SourceImageSequence") or []
    sources = tuple(str(source.ReferencedSOPInstanceUID) for source in derivations)
    is_label_map = header.get("SegmentationType") == "LABELMAP"
    number = frame_value(header, index, "SegmentIdentificationSequence", "ReferencedSegmentNumber")
    segment = 0 if is_label_map else int(number)
    return _Frame(segment, read_plane(f"frame {index + 1}", header, index), sources)


def _stack(path: Path, header: Any, frames: Sequence[_Frame]) -> tuple[list[int], float | None]:
    """The plane of every frame, counted from the first that has one, and the distance of planes in mm."""
    if frames[0].plane.position is None or frames[0].plane.orientation is None:
        if len({frame.sources for frame in frames}) > 1:
            raise ImageError(f"{path} has frames without positions, so they cannot be put in order; export it again")
        return [0] * len(frames), None
    places = np.array([locate(frame.plane) for frame in frames])
    near = _NEAR * min(frames[0].plane.pitch or (1.0,))
    along = places[:, 2] - places[:, 2].min()
    said = float(frame_value(header, 0, "PixelMeasuresSequence", "SpacingBetweenSlices") or 0)
    gaps = np.diff(np.sort(along))
    step = min([*gaps[gaps > near], *([said] if said > near else [])], default=1.0)
    # Positions are rounded, so the whole stack measures the step better than two neighbors do.
    step = float(along.max() / round(along.max() / step)) if along.max() > near else step
    slots = np.round(along / step)
    if np.ptp(places[:, :2], axis=0).max() > near or abs(along - slots * step).max() > max(near, 0.01 * step):
        raise ImageError(f"{path} has frames that are not evenly behind each other; read it on its images instead")
    return [int(slot) for slot in slots], round(step, 6) if slots.any() else None


def _find_plane(path: Path, source: Path, frame: _Frame, series: Series) -> int:
    """The plane of a series on which a frame lies."""
    positions = [plane.position for plane in series.planes]
    if frame.plane.position is not None and None not in positions:
        distances = np.linalg.norm(np.array(positions) - np.array(frame.plane.position), axis=1)
        if distances.min() <= _NEAR * min(series.planes[0].pitch or (1.0,)):
            return int(distances.argmin())
    elif len(series.planes) == 1 or len(series.files) > 1:
        found = [i for i, plane in enumerate(series.planes) if plane.uid in frame.sources]
        if len(found) == 1:
            return found[0]
    raise ImageError(
        f"{path}: {frame.plane.name} (at {frame.plane.position or 'no position'}) lies on no slice of {source}; choose "
        "the images that it was drawn on"
    )


@quiet()
def _label(path: Path, frames: Sequence[_Frame], slots: Sequence[int], shape: tuple[int, ...]) -> Array:
    """Put the frames on their planes, every segment with its number."""
    with damage_reported(path):
        stored = _decode_masks(path)
        highest = max(max(frame.segment for frame in frames), int(stored.max()))
        labels = np.zeros(shape, np.min_scalar_type(highest))
        planes = labels.reshape(-1, *shape[-2:])
        clashing: set[int] = set()
        for frame, slot, pixels in zip(frames, slots, stored, strict=True):
            inside = pixels != 0
            there, here = planes[slot][inside], frame.segment or pixels[inside]
            if ((there != 0) & (there != here)).any():
                clashing |= {*np.unique(there).tolist(), *np.unique(here).tolist()} - {0}
            planes[slot][inside] = here
    if clashing:
        names = segments(path)
        raise ImageError(
            f"{path} has segments that overlap ({', '.join(names[number - 1] for number in sorted(clashing))}), and in "
            "a label map each pixel has one; remove what they share, or save them as segmentations of their own"
        )
    return labels


def _decode_masks(path: Path) -> Array:
    """The frames of a segmentation: 0 and 1, or numbers of segments in a label map."""
    header = _read_segmentation(path)
    stored = decode(path, header)
    if header.get("SegmentationType") == "FRACTIONAL":
        return (2 * stored.astype(np.uint32) >= int(header.MaximumFractionalValue)).astype(np.uint8)
    return stored


# --------------------------------------------------------------------------------------------------------- writing


def _build(path: Path, labels: Array, series: Series, names: Sequence[str]) -> Any:
    """The segmentation as highdicom's dataset."""
    try:
        import highdicom
    except ImportError as error:
        raise OutputError(
            f"{path} needs highdicom, which is not installed; run pip install 'unetscope[medical]'"
        ) from error
    sources = [_complete(read_header(file), series) for file in series.files]
    planes = labels.reshape(-1, *labels.shape[-2:]).astype(np.uint8 if len(names) < 256 else np.uint16)
    # highdicom wants the frames of a single file in the order of that file.
    planes = planes[np.argsort(series.frames)] if len(series.files) == 1 else planes
    try:
        return highdicom.seg.Segmentation(
            source_images=sources,
            pixel_array=planes,
            segmentation_type="BINARY",
            segment_descriptions=[_describe(number, name) for number, name in enumerate(names, 1)],
            series_instance_uid=highdicom.UID(),
            series_number=int(sources[0].get("SeriesNumber") or 0) + 1000,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer="unetscope",
            manufacturer_model_name="unetscope",
            software_versions=__version__,
            device_serial_number="0",
            omit_empty_frames=False,
            specific_character_set="ISO_IR 192",  # UTF-8: names of classes may be in any language
        )
    except Exception as error:  # what a header lacks makes highdicom raise almost anything
        raise OutputError(
            f"{path} cannot be written as a DICOM segmentation of {series.files[0]} ({error}); write .nii.gz or .tif"
        ) from error


def _complete(source: Any, series: Series) -> Any:
    """A source's header with what highdicom copies from it; the file stays as it is."""
    for keyword in _DESCRIPTION:
        if keyword not in source:
            setattr(source, keyword, "")
    first = series.planes[0]
    if "ImagePositionPatient" in source and first.orientation and first.pitch:
        # Files of one series may differ in the last digit, and say another step than their positions have.
        source.ImageOrientationPatient = list(first.orientation)
        source.SpacingBetweenSlices = series.step
        source.SliceThickness = source.get("SliceThickness") or series.step or min(first.pitch)
    return source


def _describe(number: int, name: str) -> Any:
    """A segment, whose meaning beyond its name nobody told."""
    import highdicom
    from pydicom.sr.codedict import codes

    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=codes.SCT.AnatomicalStructure,
        algorithm_type="AUTOMATIC",
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name="unetscope",
            version=__version__,
            family=codes.DCM.ArtificialIntelligence,
        ),
    )
