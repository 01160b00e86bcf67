"""What NIfTI files store, read and written with their geometry; knows nibabel's headers, not what the voxels mean."""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from unetscope.data.formats.made_by import compose_note, to_line
from unetscope.data.formats.names import suffix_of
from unetscope.data.formats.picture import Array, Output, Picture
from unetscope.errors import ImageError, OutputError, UnetscopeError
from unetscope.files import replacing

_AXES = "CTZYX"  # the stored order is x, y, z, t, vector; reversed, the first is the slowest as in NumPy
_SPATIAL_UNITS = {1: "m", 2: "mm", 3: "µm"}  # of a file that says nothing, every program takes millimeters
_UNIT_CODES = {name: code for code, name in _SPATIAL_UNITS.items()}
_LONGEST = 32_767  # of an axis in version 1
_COMMENT = 6  # code of the extension that is plain text
_LONGEST_LINE = 79  # bytes of the description, without the zero at its end
_COMPRESSION = 6  # as gzip has it; 9 takes several times as long and saves little
_GEOMETRY = (
    *("pixdim", "xyzt_units", "dim_info", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
)


def open_nifti(path: Path) -> Picture:
    """Read the header of a NIfTI file.

    The array (x, y, z, t, vector) is turned around: z, y, x; the fourth axis is time, the fifth channels. The scaling
    of the header is applied, and gives floats. A pixel size that is 0, infinite or no number is not known.

    Args:
        path: A `.nii` or `.nii.gz` file.

    Returns:
        Axes ending in ZYX or YX, with the size of the voxels.

    Raises:
        ImageError: nibabel is not installed, or the file has more axes.
    """
    with _stream(path) as stream:
        header = _read_header(path, stream)
    shape = _stored_shape(path, header)
    axes = _AXES[-len(shape) :]
    pitch, unit = _pitch_of(header, axes)
    samples = len(header.get_data_dtype().names or ())
    if samples:
        axes, shape = axes + "S", (*shape, samples)
    return Picture(axes, shape, samples == 4, lambda: _load_nifti(path).reshape(shape), pitch, unit)


def _stored_shape(path: Path, header: Any) -> tuple[int, ...]:
    """The lengths of the axes, the slowest first, without those after the fifth."""
    sizes = tuple(int(size) for size in header.get_data_shape())
    if min(sizes) < 1:
        raise ValueError(f"its shape is {sizes}")
    if any(size > 1 for size in sizes[len(_AXES) :]):
        raise ImageError(f"{path} has {len(sizes)} axes, and x, y, z, time and channels are read; save a part of it")
    return sizes[: len(_AXES)][::-1]


def _pitch_of(header: Any, axes: str) -> tuple[dict[str, float], str]:
    """The size of a voxel and its unit, as far as they are sizes."""
    steps = zip("XYZ", abs(header["pixdim"][1:4]), strict=True)
    pitch = {axis: float(step) for axis, step in steps if axis in axes}
    if not all(np.isfinite(step) and step > 0 for step in pitch.values()):
        return {}, "pixel"
    return pitch, _SPATIAL_UNITS.get(int(header["xyzt_units"]) & 7, "mm")


def read_nifti_texts(path: Path) -> tuple[str, ...]:
    """The comments of a NIfTI file.

    Args:
        path: A `.nii` or `.nii.gz` file.

    Returns:
        One text for each extension that is a comment.
    """
    with _stream(path) as stream:
        extensions = _read_header(path, stream).extensions
    comments = (each.get_content() for each in extensions if each.get_code() == _COMMENT)
    return tuple(comment.decode("utf-8", "replace") for comment in comments)


def write_nifti(path: Path, output: Output) -> None:
    """Write labels in the place of their source: its affine in both forms with their codes, its units and steps.

    Args:
        path: A `.nii` or `.nii.gz` file.
        output: Axes ending in YX; of a source of another format the size of its pixels is kept.

    Raises:
        OutputError: The labels do not fit, nibabel is not installed, or the file cannot be written.
    """
    nibabel = _nibabel(path, OutputError)
    is_long = max(output.pixels.shape) > _LONGEST
    header = (nibabel.Nifti2Header if is_long else nibabel.Nifti1Header)()
    pixels = output.pixels
    if output.source is not None and suffix_of(output.source) in (".nii", ".nii.gz"):
        pixels = _place(path, header, output.pixels, output.source)
    elif output.picture is not None and output.picture.unit in _UNIT_CODES:
        header["pixdim"][1:4] = [output.picture.pitch.get(axis, 1.0) for axis in "XYZ"]
        header["xyzt_units"] = _UNIT_CODES[output.picture.unit]
    _name_maker(nibabel, header, output)
    header.set_data_dtype(pixels.dtype)
    image = (nibabel.Nifti2Image if is_long else nibabel.Nifti1Image)(pixels.T, None, header)
    with replacing(path) as temporary, temporary.open("wb") as file:
        if suffix_of(path) == ".nii":
            image.to_stream(file)
            return
        # Without name and time of day, equal labels are equal files.
        with gzip.GzipFile("", "wb", _COMPRESSION, file, mtime=0) as packed:
            image.to_stream(packed)


def _name_maker(nibabel: Any, header: Any, output: Output) -> None:
    """Say what made the labels: as far as it fits in the description, and all of it in a comment."""
    if output.made_by:
        header["descrip"] = to_line(", ".join(output.made_by.values()), _LONGEST_LINE).encode()
        comment = compose_note(output.made_by).encode()
        header.extensions.append(nibabel.nifti1.Nifti1Extension(_COMMENT, comment))


def _place(path: Path, header: Any, pixels: Array, source: Path) -> Array:
    """Put the source's geometry into a header, field by field so that nothing is rounded; the pixels in its shape."""
    with _stream(source) as stream:
        theirs = _read_header(source, stream)
    for field in _GEOMETRY:
        header[field] = theirs[field]
    shape = tuple(int(size) for size in theirs.get_data_shape()[3::-1])
    if pixels.size == math.prod(shape) and pixels.shape[-2:] == shape[-2:]:
        return pixels.reshape(shape)
    if any(mine != size for mine, size in zip(pixels.shape[::-1], shape[::-1], strict=False)):
        raise OutputError(
            f"{path} would hold labels of shape {pixels.shape}, and {source} has {shape}; write labels of its shape"
        )
    return pixels


def _nibabel(path: Path, error: type[UnetscopeError]) -> Any:
    """The library, if it is installed."""
    try:
        import nibabel
    except ImportError as missing:
        raise error(f"{path} needs nibabel, which is not installed; run pip install 'unetscope[medical]'") from missing
    return nibabel


@contextmanager
def _stream(path: Path) -> Iterator[io.BufferedIOBase]:
    """The unpacked bytes of a file, packed or not, whatever its name says."""
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not is_packed:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield unpacked


def _read_header(path: Path, stream: io.BufferedIOBase) -> Any:
    """The header as it is: nibabel's repairs would turn a step of 0 into 1, and print that they did."""
    nibabel = _nibabel(path, ImageError)
    first = stream.read(1024)
    stream.seek(0)
    for kind in (nibabel.Nifti1Header, nibabel.Nifti2Header):
        if kind.may_contain_header(first):
            return kind.from_fileobj(stream, check=False)
    raise ValueError("it has no NIfTI header")


def _load_nifti(path: Path) -> Array:
    """The voxels as (..., z, y, x), mapped where the file is plain; colors as a last axis."""
    from nibabel.volumeutils import apply_read_scaling, array_from_file

    with _stream(path) as stream:
        header = _read_header(path, stream)
        stored = array_from_file(
            header.get_data_shape(), header.get_data_dtype(), stream, header.get_data_offset(), mmap="r"
        )
        # The checksum of a packed file stands behind its last byte, and is compared when that is passed.
        while isinstance(stream, gzip.GzipFile) and stream.read(2**20):
            pass
    if stored.dtype.names:
        colors: Array = stored.T[..., None].view(np.uint8)
        return colors
    slope, offset = header.get_slope_inter()
    if slope is None:
        return np.asanyarray(stored.T)
    return np.asanyarray(apply_read_scaling(stored, np.float32(slope), np.float32(offset)).T)
