"""Which module reads and writes which file; knows suffixes, not what is in the files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unetscope.data.formats.dicom import looks_like_dicom, open_dicom, read_dicom_texts, read_header
from unetscope.data.formats.dicom_segmentation import open_segmentation, write_segmentation
from unetscope.data.formats.geotiff import has_georeference, write_geotiff_like
from unetscope.data.formats.jpeg import open_jpeg
from unetscope.data.formats.names import stem_of, suffix_of
from unetscope.data.formats.nifti import open_nifti, read_nifti_texts, write_nifti
from unetscope.data.formats.numpy_array import open_numpy, write_numpy
from unetscope.data.formats.picture import Output, Picture, damage_reported
from unetscope.data.formats.png import open_png, read_png_palette, read_png_texts, write_png
from unetscope.data.formats.tiff import open_tiff, read_tiff_texts, write_tiff
from unetscope.errors import ImageError, OutputError

__all__ = [
    "LABEL_SUFFIXES",
    "OUTLINE_SUFFIXES",
    "SUFFIXES",
    "check_file",
    "is_segmentation",
    "is_series",
    "known_suffix",
    "open_picture",
    "read_palette",
    "read_texts",
    "stem_of",
    "suffix_of",
    "write_output",
    "written_suffix",
]


@dataclass(frozen=True)
class _Format:
    """How one kind of file is read and written.

    Attributes:
        open: Gets the path, the number of spatial axes and whether the numbers of a palette are wanted.
        write: Writes pixels.
        texts: Reads what a file says in words, where the format has room for it.
        result: The suffix of label images that belong to such a file, if it is another.
    """

    open: Callable[[Path, int, bool], Picture]
    write: Callable[[Path, Output], None] | None
    texts: Callable[[Path], Sequence[str]] = lambda path: ()
    result: str = ""


def _open_dicom(path: Path, ndim: int, as_index: bool) -> Picture:
    """Open an image or series; where labels are wanted, a segmentation object too."""
    return open_segmentation(path) if as_index and is_segmentation(path) else open_dicom(path)


def _write_dicom(path: Path, output: Output) -> None:
    """Write a segmentation object that refers to its source."""
    if output.source is None:
        raise OutputError(f"{path} would be a DICOM segmentation without an image to refer to; write .nii.gz or .tif")
    write_segmentation(path, output.pixels, output.source, output.classes, output.made_by)


def _write_tiff(path: Path, output: Output) -> None:
    """Write a TIFF, with its georeference where its source has one."""
    if output.source is None or suffix_of(output.source) not in _TIFF_SUFFIXES:
        return write_tiff(path, output)
    if has_georeference(output.source):
        return write_geotiff_like(path, output.pixels, output.source, output.made_by)
    return write_tiff(path, output)


_PNG = _Format(lambda path, ndim, as_index: open_png(path, as_index), write_png, read_png_texts)
_JPEG = _Format(lambda path, ndim, as_index: open_jpeg(path, as_index), None, result=".png")
_TIFF = _Format(lambda path, ndim, as_index: open_tiff(path), _write_tiff, read_tiff_texts)
_NUMPY = _Format(lambda path, ndim, as_index: open_numpy(path, ndim), write_numpy)
_NIFTI = _Format(lambda path, ndim, as_index: open_nifti(path), write_nifti, read_nifti_texts)
_DICOM = _Format(_open_dicom, _write_dicom, read_dicom_texts)

_TIFF_SUFFIXES = (".tif", ".tiff", ".ome.tif", ".ome.tiff")
_FORMATS: Mapping[str, _Format] = {
    ".png": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    **dict.fromkeys(_TIFF_SUFFIXES, _TIFF),
    ".npy": _NUMPY,
    ".nii": _NIFTI,
    ".nii.gz": _NIFTI,
    ".dcm": _DICOM,
}

SUFFIXES: tuple[str, ...] = tuple(_FORMATS)
OUTLINE_SUFFIXES: tuple[str, ...] = (".zip", ".roi", ".geojson")
LABEL_SUFFIXES: tuple[str, ...] = (
    *(suffix for suffix, kind in _FORMATS.items() if kind is not _JPEG),
    *OUTLINE_SUFFIXES,
)

_LEFT_BEHIND = ("thumbs.db", "desktop.ini", "dicomdir")


def is_series(path: Path) -> bool:
    """Whether a path is a folder of DICOM files and nothing else, but for what file managers leave behind.

    Args:
        path: A file or folder.

    Returns:
        True for one image that is stored slice by slice.
    """
    if not path.is_dir():
        return False
    files = [file for file in path.iterdir() if file.name[0] != "." and file.name.lower() not in _LEFT_BEHIND]
    return bool(files) and all(looks_like_dicom(file) for file in files)


def is_segmentation(path: Path) -> bool:
    """Whether a path is a DICOM segmentation object.

    Args:
        path: A file or folder.

    Returns:
        True for a SEG.

    Raises:
        ImageError: The file is called `.dcm` and cannot be read.
    """
    return suffix_of(path) == ".dcm" and path.is_file() and read_header(path).get("Modality") == "SEG"


def open_picture(path: Path, ndim: int, as_index: bool = False) -> Picture:
    """Read the header of a file.

    Args:
        path: A file that ends in one of `SUFFIXES`, or a folder that holds one DICOM series.
        ndim: Number of spatial axes, 2 or 3 (NumPy files do not say what their axes mean).
        as_index: Whether labels are wanted: the numbers in a palette PNG rather than their colors, no JPEG.

    Returns:
        Axes, shape, sizes of pixels and a way to load.

    Raises:
        ImageError: The file is missing, empty, damaged or of another format.
    """
    suffix = check_file(path)
    with damage_reported(path):
        return _FORMATS[suffix].open(path, ndim, as_index)


def read_palette(path: Path) -> dict[int, tuple[int, ...]]:
    """The colors of a label file that is a palette PNG, by their numbers.

    Args:
        path: A label file.

    Returns:
        Red, green and blue of the numbers in use; nothing for other files.

    Raises:
        ImageError: The file is missing, empty, damaged or of another format.
    """
    if suffix_of(path) != ".png":
        return {}
    check_file(path)
    with damage_reported(path):
        return read_png_palette(path)


def read_texts(path: Path) -> tuple[str, ...]:
    """What a file says in words beside its pixels.

    Args:
        path: A file that ends in one of `SUFFIXES`, or a folder that holds one DICOM series.

    Returns:
        Comments and descriptions; nothing where the format has no room for them.

    Raises:
        ImageError: The file is missing, empty, damaged or of another format.
    """
    suffix = check_file(path)
    with damage_reported(path):
        return tuple(_FORMATS[suffix].texts(path))


def write_output(path: Path, output: Output) -> None:
    """Write pixels in the format that a suffix names.

    Args:
        path: A file whose suffix is one of `SUFFIXES`, but no JPEG.
        output: The pixels.

    Raises:
        OutputError: The format cannot hold them, or the file cannot be written.
    """
    kind = _FORMATS.get(suffix_of(path))
    if kind is None or kind.write is None:
        written = ", ".join(suffix for suffix, kind in _FORMATS.items() if kind.write)
        raise OutputError(f"{path} ends in '{path.suffix}', and {written} are written; choose one of these")
    kind.write(path, output)


def written_suffix(path: Path) -> str:
    """The suffix of a label image that belongs to an image file.

    Args:
        path: The image file, or the folder of a DICOM series.

    Returns:
        The same format, in lower case; PNG for a JPEG.

    Raises:
        ImageError: The suffix is unknown.
    """
    suffix = ".dcm" if path.is_dir() else known_suffix(path)
    return _FORMATS[suffix].result or suffix


def known_suffix(path: Path) -> str:
    """The suffix of a file in lower case, if it is one of `SUFFIXES`.

    Args:
        path: A file, which need not exist.

    Returns:
        Such as ".tif" or ".nii.gz".

    Raises:
        ImageError: It is another.
    """
    suffix = suffix_of(path)
    if suffix not in SUFFIXES:
        known = f"{', '.join(SUFFIXES[:-1])} and {SUFFIXES[-1]}"
        raise ImageError(f"{path} ends in '{path.suffix}', and {known} are read; convert it to one of them")
    return suffix


def check_file(path: Path) -> str:
    """The lower-case suffix of a file that is there and not empty; ".dcm" for the folder of a DICOM series.

    Args:
        path: A file or folder.

    Returns:
        One of `SUFFIXES`.

    Raises:
        ImageError: It is missing, empty or of an unknown format.
    """
    if is_series(path):
        return ".dcm"
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ImageError(f"{path} {what}, and an image file was needed; check the name")
    suffix = known_suffix(path)
    if path.stat().st_size == 0:
        raise ImageError(f"{path} is empty (0 bytes), and an image was needed; copy or export it again")
    return suffix
