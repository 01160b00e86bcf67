"""What DICOM images store, alone or as a series that is a volume; knows pydicom, not segmentation objects."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unetscope.data.formats.dicom_planes import Plane, frame_value, order_planes, read_plane
from unetscope.data.formats.picture import Array, Picture, damage_reported
from unetscope.errors import ImageError

_NO_IMAGES = {
    "SEG": "a segmentation object (SEG)",
    "RTSTRUCT": "a set of contours (RTSTRUCT)",
    "RTPLAN": "a treatment plan (RTPLAN)",
    "SR": "a report (SR)",
    "PR": "a presentation state (PR)",
}
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
# pydicom decodes these only with packages under other licenses; imagecodecs is here anyway.
_LOSSLESS_JPEG = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")


@dataclass(frozen=True)
class Series:
    """The frames of one image or volume in their order.

    Attributes:
        files: One file for each plane, or the one file that holds all of them.
        frames: Number of each plane in its file, from 0.
        planes: Where the frames lie.
        step: Distance of neighbors in mm, None for a single plane or without positions.
        axis: Letter of the axis that counts frames: Z with positions, T without; empty for a single image.
    """

    files: tuple[Path, ...]
    frames: tuple[int, ...]
    planes: tuple[Plane, ...]
    step: float | None
    axis: str


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom and highdicom from warning about values that break a rule and are understood all the same.

    As a decorator, since pydicom reads most values only when they are asked for.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"(pydicom|highdicom)\.")
        yield


def looks_like_dicom(path: Path) -> bool:
    """Whether a file has DICOM's mark at byte 128, or is called `.dcm`.

    Args:
        path: Any path.

    Returns:
        False for what is no file.
    """
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return path.suffix.lower() == ".dcm" or file.read(132)[128:] == b"DICM"


@quiet()
def open_dicom(path: Path) -> Picture:
    """Read the headers of a DICOM image, or of a folder with one series of slices, which is a volume.

    Slices are put in order by their positions along the normal. Pixels are rescaled (CT: to Hounsfield units; whole
    slopes and intercepts keep integers), and MONOCHROME1 is inverted so that larger is brighter.

    Args:
        path: A file (2D, or with frames, which are z where they have positions and time otherwise) or a folder.

    Returns:
        Axes (YX, ZYX or TYX, then S for colors), shape, distances of pixels in mm, and a way to load.

    Raises:
        ImageError: pydicom is not installed, or the file or folder is no image or no even volume.
    """
    series = read_series(path)
    header = read_header(series.files[0])
    with damage_reported(series.files[0]):
        _check_syntax(series.files[0], header)
        is_color = header.PhotometricInterpretation == "PALETTE COLOR" or header.SamplesPerPixel > 1
    first = series.planes[0]
    pitch = dict(zip("YX", first.pitch, strict=True)) if first.pitch else {}
    if series.step is not None:
        pitch["Z"] = series.step
    return Picture(
        axes=f"{series.axis}YX{'S' * is_color}",
        shape=(len(series.planes),) * len(series.axis) + first.size + (3,) * is_color,
        has_alpha=False,
        load=lambda: _load(path, series),
        pitch=pitch,
        unit="mm" if pitch else "pixel",
        modality=str(header.get("Modality", "")),
    )


@quiet()
def read_series(path: Path) -> Series:
    """Find the frames of an image and their order.

    Args:
        path: A DICOM file, or a folder with one series.

    Returns:
        At least one plane.

    Raises:
        ImageError: As `open_dicom`.
    """
    if path.is_dir():
        return _read_folder(path)
    header = _image_header(path)
    with damage_reported(path):
        count = int(header.get("NumberOfFrames") or 1)
        if count == 1:
            return Series((path,), (0,), (read_plane(path.name, header),), None, "")
        planes = [read_plane(f"frame {i + 1}", header, i) for i in range(count)]
    order, step = (range(count), None) if planes[0].position is None else order_planes(path, planes)
    axis = "T" if planes[0].position is None else "Z"
    return Series((path,), tuple(order), tuple(planes[i] for i in order), step, axis)


@quiet()
def read_affine(path: Path) -> Array | None:
    """The affine of a volume as NIfTI has it, where x goes to the right, y to the front and z to the head.

    Args:
        path: As for `read_series`.

    Returns:
        (4, 4), from (column, row, slice) to mm; None for a single plane, or where positions are not known.

    Raises:
        ImageError: As `open_dicom`.
    """
    series = read_series(path)
    first, last = series.planes[0], series.planes[-1]
    if series.step is None or first.pitch is None:
        return None
    affine = np.eye(4)
    start, end, directions = (np.array(numbers) for numbers in (first.position, last.position, first.orientation))
    affine[:3, :2] = directions.reshape(2, 3).T * first.pitch[::-1]
    affine[:3, 2] = (end - start) / (len(series.planes) - 1)
    affine[:3, 3] = start
    # DICOM counts to the left and to the back.
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


@quiet()
def read_header(path: Path) -> Any:
    """Read a DICOM file without its pixels, which stay where they are until somebody asks for them.

    Args:
        path: A file.

    Returns:
        pydicom's dataset.

    Raises:
        ImageError: pydicom is not installed, or the file is damaged or no DICOM.
    """
    try:
        import pydicom
        from pydicom.errors import InvalidDicomError
    except ImportError as error:
        raise ImageError(
            f"{path} needs pydicom, which is not installed; run pip install 'unetscope[medical]'"
        ) from error
    if not path.is_file():
        raise ImageError(f"{path} does not exist, and a DICOM file was needed; check the name")
    with damage_reported(path):
        try:
            return pydicom.dcmread(path, defer_size=4096)
        except InvalidDicomError as error:
            raise ImageError(
                f"{path} is no DICOM file (bytes 128 to 132 are not DICM); export it again or move it away"
            ) from error


@quiet()
def read_dicom_texts(path: Path) -> tuple[str, ...]:
    """The comment on a DICOM image or segmentation.

    Args:
        path: A DICOM file, or a folder, which has none.

    Returns:
        One text at most.

    Raises:
        ImageError: As `read_header`.
    """
    return () if path.is_dir() else (str(read_header(path).get("ImageComments", "")),)


# --------------------------------------------------------------------------------------------------------- headers


def _image_header(path: Path) -> Any:
    """The header of a file that holds an image."""
    header = read_header(path)
    with damage_reported(path):
        modality = str(header.get("Modality", ""))
        has_pixels = any(keyword in header for keyword in _PIXELS) and header.get("Rows") and header.get("Columns")
    what = _NO_IMAGES.get(modality) or ("" if has_pixels else f"without pixels (modality '{modality}')")
    if what:
        raise ImageError(f"{path} is {what}, and an image was needed; move it out of the images")
    return header


def _read_folder(folder: Path) -> Series:
    """The slices of a folder in order."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and not _is_aside(file))
    if not files:
        raise ImageError(f"{folder} holds no files, and the slices of a DICOM series were needed; check the name")
    headers = [_image_header(file) for file in files]
    with damage_reported(folder):
        _check_one_series(folder, headers)
    if len(files) == 1 and int(headers[0].get("NumberOfFrames") or 1) > 1:
        return read_series(files[0])
    planes = []
    for file, header in zip(files, headers, strict=True):
        with damage_reported(file):
            planes.append(read_plane(file.name, header))
    order, step = order_planes(folder, planes)
    return Series(tuple(files[i] for i in order), (0,) * len(files), tuple(planes[i] for i in order), step, "Z")


def _is_aside(file: Path) -> bool:
    """Whether a file lies beside the slices without being one: an index of them, or left behind by file managers."""
    return file.name.startswith(".") or file.name.lower() in ("dicomdir", "thumbs.db", "desktop.ini")


def _check_one_series(folder: Path, headers: Sequence[Any]) -> None:
    """Refuse a folder that holds more than the slices of one series."""
    found = {str(header.get("SeriesInstanceUID", "")): header for header in headers}
    if len(found) > 1:
        listed = ", ".join(
            f"{header.get('Modality', '?')} '{header.get('SeriesDescription', '')}' ({uid})"
            for uid, header in found.items()
        )
        raise ImageError(
            f"{folder} holds {len(found)} series ({listed}), and one was needed; give each a folder of its own"
        )
    kinds = {(header.get("PhotometricInterpretation"), header.get("SamplesPerPixel")) for header in headers}
    if len(headers) > 1 and (len(kinds) > 1 or any(int(header.get("NumberOfFrames") or 1) > 1 for header in headers)):
        raise ImageError(
            f"{folder} holds several files with frames or different colors, and slices of one kind were needed; "
            "give each file a folder of its own"
        )


def _check_syntax(path: Path, header: Any) -> None:
    """Refuse a compression that nothing here can decode."""
    from pydicom.pixels.decoders.base import get_decoder

    syntax = header.file_meta.TransferSyntaxUID
    try:
        known = syntax in _LOSSLESS_JPEG or get_decoder(syntax).is_available
    except NotImplementedError:
        known = False
    if not known:
        raise ImageError(
            f"{path} is compressed as {syntax.name}, which cannot be decoded here; decompress it first, for example "
            "with gdcmconv --raw"
        )


# ---------------------------------------------------------------------------------------------------------- pixels


@quiet()
def _load(path: Path, series: Series) -> Array:
    """The pixels of a series, in its order."""
    with damage_reported(path):
        pixels: Array = np.concatenate([_load_file(file) for file in series.files])
        if not series.axis:
            return np.asarray(pixels[0])
        return pixels[list(series.frames)] if len(series.files) == 1 else pixels


def _load_file(path: Path) -> Array:
    """The rescaled frames of a file: (frames, y, x[, colors])."""
    from pydicom.pixels.processing import apply_color_lut

    header = _image_header(path)
    _check_syntax(path, header)
    with damage_reported(path):
        stored = decode(path, header)
        if header.PhotometricInterpretation == "PALETTE COLOR":
            return np.asarray(apply_color_lut(stored, header))
        if header.PhotometricInterpretation == "MONOCHROME1":
            # The brightest value of the type takes the place of the darkest; signed types end at -1 - (-2^n).
            stored = ~stored if header.PixelRepresentation else np.asarray(2**header.BitsStored - 1 - stored)
        return np.stack([_rescale(frame, header, i) for i, frame in enumerate(stored)])


def decode(path: Path, header: Any) -> Array:
    """The numbers of a file as stored.

    Args:
        path: A file.
        header: Its header.

    Returns:
        (frames, y, x[, colors]), also for a single frame; colors as RGB.
    """
    from pydicom.pixels.utils import pixel_array

    if header.file_meta.TransferSyntaxUID in _LOSSLESS_JPEG:
        return _decode_lossless_jpeg(header)
    pixels = np.asarray(pixel_array(path))
    return pixels if int(header.get("NumberOfFrames") or 1) > 1 else pixels[None]


def _decode_lossless_jpeg(header: Any) -> Array:
    """The frames of a gray image in lossless JPEG, which knows no signs."""
    import imagecodecs
    from pydicom.encaps import generate_frames

    if header.SamplesPerPixel != 1:
        raise ValueError("colors in lossless JPEG")
    count = int(header.get("NumberOfFrames") or 1)
    frames = [imagecodecs.ljpeg_decode(frame) for frame in generate_frames(header.PixelData, number_of_frames=count)]
    pixels: Array = np.stack(frames).reshape(count, header.Rows, header.Columns)
    if header.PixelRepresentation:
        unused = 8 * pixels.itemsize - header.BitsStored
        return np.asarray((pixels.view(f"i{pixels.itemsize}") << unused) >> unused)
    return pixels


def _rescale(frame: Array, header: Any, index: int) -> Array:
    """The values that the stored numbers of a frame mean (the modality's look-up table, PS3.3 C.11.1)."""
    from pydicom.pixels.processing import apply_modality_lut

    if header.get("ModalityLUTSequence"):
        return np.asarray(apply_modality_lut(frame, header))
    slope, intercept = (
        float(default if said is None else said)
        for keyword, default in (("RescaleSlope", 1), ("RescaleIntercept", 0))
        for said in [frame_value(header, index, "PixelValueTransformationSequence", keyword)]
    )
    if (slope, intercept) == (1, 0):
        return frame
    if frame.dtype.kind not in "iu" or not (slope.is_integer() and intercept.is_integer()):
        return frame.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    low, high = sorted(int(slope) * int(end) + int(intercept) for end in _range(frame, header))
    wide = np.result_type(np.int16, *(np.min_scalar_type(number) for number in (low, high, int(slope))))
    return np.asarray(frame.astype(wide) * wide.type(slope) + wide.type(intercept))


def _range(frame: Array, header: Any) -> tuple[int, int]:
    """The smallest and the largest number that a file of this header can store."""
    bits = header.BitsStored
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if frame.dtype.kind == "i" else (0, 2**bits - 1)
