import gzip
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from unetscope.data.formats.registry import open_picture
from unetscope.data.images import (
    count_channels,
    label_ndim,
    open_stack,
    read_image,
    read_labels,
    read_spacing,
    write_labels,
)
from unetscope.data.spacing import Spacing
from unetscope.errors import ImageError, OutputError

RNG = np.random.default_rng(0)
AFFINE = np.array([[-1.5, 0.1, 0.0, 12.0], [0.1, 0.7, 0.2, -3.0], [0.0, -0.2, 2.5, 7.0], [0, 0, 0, 1]])


def save(
    path: Path, array: np.ndarray, affine: np.ndarray = AFFINE, units: str = "mm", codes: tuple[int, int] = (1, 2)
) -> nibabel.Nifti1Image:
    """Write (x, y, z, ...) as nibabel does."""
    image = nibabel.Nifti1Image(array, affine, dtype=array.dtype)
    image.set_qform(affine, codes[0])
    image.set_sform(affine, codes[1])
    image.header.set_xyzt_units(units, "sec")
    nibabel.save(image, path)
    return image


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "A.NII.GZ"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4", "f8", ">i2"])
@pytest.mark.parametrize("shape", [(9, 6), (9, 6, 5)])
def test_the_array_is_turned_around(tmp_path: Path, name: str, dtype: str, shape: tuple[int, ...]) -> None:
    array = (RNG.random(shape) * 100).astype(dtype)
    save(tmp_path / name, array)
    ndim = len(shape)
    image = read_image(tmp_path / name, ndim)
    assert image.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(image, array.T[None])
    np.testing.assert_array_equal(image[0].T, np.asarray(nibabel.load(tmp_path / name).dataobj))
    assert count_channels(tmp_path / name, ndim) == 1
    assert label_ndim(tmp_path / name) == ndim


def test_plain_files_are_mapped_read_only(tmp_path: Path) -> None:
    array = RNG.integers(0, 99, (9, 6, 5), np.int16)
    save(tmp_path / "a.nii", array)
    image = read_image(tmp_path / "a.nii", 3)
    assert isinstance(image, np.memmap)
    assert not image.flags.writeable


@pytest.mark.parametrize(("slope", "offset"), [(0.5, -3.0), (1.0, -1024.0), (2.0, 0.0)])
def test_scaling_is_applied_and_gives_floats(tmp_path: Path, slope: float, offset: float) -> None:
    array = RNG.integers(0, 4096, (9, 6, 5), np.int16)
    image = nibabel.Nifti1Image(array, np.eye(4))
    image.header.set_slope_inter(slope, offset)
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    expected = nibabel.load(tmp_path / "a.nii").get_fdata()
    back = read_image(tmp_path / "a.nii", 3)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back[0].T, expected, rtol=1e-6)
    assert abs(expected - array).max() > 1


def test_time_and_vectors(tmp_path: Path) -> None:
    array = RNG.integers(0, 99, (9, 6, 5, 1, 3), np.int16)
    save(tmp_path / "vector.nii.gz", array)
    np.testing.assert_array_equal(read_image(tmp_path / "vector.nii.gz", 3), array[..., 0, :].T)
    assert count_channels(tmp_path / "vector.nii.gz", 3) == 3
    series = RNG.integers(0, 99, (9, 6, 5, 4), np.int16)
    save(tmp_path / "series.nii.gz", series)
    with pytest.raises(ImageError, match=r"axes TZYX of lengths \(4, 5, 6, 9\).*--axes CZYX"):
        read_image(tmp_path / "series.nii.gz", 3)
    np.testing.assert_array_equal(read_image(tmp_path / "series.nii.gz", 3, axes="CZYX"), series.T)
    np.testing.assert_array_equal(open_stack(tmp_path / "series.nii.gz"), series.T.reshape(20, 1, 6, 9))
    save(tmp_path / "single.nii.gz", series[..., :1])
    np.testing.assert_array_equal(read_image(tmp_path / "single.nii.gz", 3), series[..., :1].T)


def test_more_axes_are_refused_unless_they_have_one_entry(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", np.zeros((3, 4, 5, 1, 1, 2), np.uint8))
    with pytest.raises(ImageError, match=r"a\.nii has 6 axes, and x, y, z, time and channels are read"):
        read_image(tmp_path / "a.nii", 3)
    save(tmp_path / "a.nii", np.zeros((3, 4, 5, 1, 2, 1), np.uint8))
    assert read_image(tmp_path / "a.nii", 3).shape == (2, 5, 4, 3)


@pytest.mark.parametrize("samples", [3, 4])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_colors_are_channels(tmp_path: Path, samples: int, name: str) -> None:
    colors = RNG.integers(0, 256, (9, 6, 5, samples), np.uint8)
    colors[..., 3:] = 255
    dtype = np.dtype([(letter, "u1") for letter in "RGBA"[:samples]])
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(colors).view(dtype)[..., 0], np.eye(4)), tmp_path / name)
    np.testing.assert_array_equal(read_image(tmp_path / name, 3), colors[..., :3].transpose(3, 2, 1, 0))
    assert count_channels(tmp_path / name, 3) == 3


def test_one_slice_is_a_plane_or_a_volume(tmp_path: Path) -> None:
    array = RNG.integers(0, 9, (9, 6, 1), np.uint8)
    save(tmp_path / "a.nii.gz", array)
    assert label_ndim(tmp_path / "a.nii.gz") == 2
    assert read_image(tmp_path / "a.nii.gz", 2).shape == (1, 6, 9)
    assert read_image(tmp_path / "a.nii.gz", 3).shape == (1, 1, 6, 9)
    assert read_labels(tmp_path / "a.nii.gz", 3).shape == (1, 6, 9)


# --------------------------------------------------------------------------------------------------------- spacing


@pytest.mark.parametrize(("units", "unit"), [("mm", "mm"), ("micron", "µm"), ("meter", "m"), ("unknown", "mm")])
def test_spacing_in_the_units_of_the_header(tmp_path: Path, units: str, unit: str) -> None:
    image = save(tmp_path / "a.nii.gz", np.zeros((9, 6, 5), np.uint8), units=units)
    spacing = read_spacing(tmp_path / "a.nii.gz", 3)
    assert spacing == Spacing(tuple(float(step) for step in image.header.get_zooms()[::-1]), unit)
    np.testing.assert_allclose(spacing.steps, np.sqrt((AFFINE[:3, :3] ** 2).sum(0))[::-1], rtol=1e-6)


@pytest.mark.parametrize("step", [0.0, np.nan, np.inf])
def test_steps_that_are_no_distances_are_not_known(
    tmp_path: Path, step: float, capfd: pytest.CaptureFixture[str]
) -> None:
    image = nibabel.Nifti1Image(np.ones((9, 6, 5), np.uint8), None)
    image.header["pixdim"][3] = step
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    assert read_spacing(tmp_path / "a.nii", 3) is None
    assert read_image(tmp_path / "a.nii", 3).all()
    assert capfd.readouterr() == ("", "")


def test_a_negative_step_is_its_length(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.ones((9, 6, 5), np.uint8), None)
    image.header["pixdim"][1:4] = -2, 3, 4
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    assert read_spacing(tmp_path / "a.nii", 3) == Spacing((4.0, 3.0, 2.0), "mm")


# --------------------------------------------------------------------------------------------------------- writing

GEOMETRY = (
    *("qform_code", "sform_code", "pixdim", "xyzt_units", "srow_x", "srow_y", "srow_z"),
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
)


@settings(deadline=None, max_examples=25)
@given(
    numbers=st.lists(st.floats(-50, 50), min_size=12, max_size=12),
    codes=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    units=st.sampled_from(["mm", "micron", "meter", "unknown"]),
    name=st.sampled_from(["b.nii", "b.nii.gz"]),
)
def test_labels_take_over_the_geometry_of_their_image(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float], codes: tuple[int, int], units: str, name: str
) -> None:
    """Bit by bit, whatever the affine, and read by another reader."""
    affine = np.eye(4)
    affine[:3] = np.reshape(numbers, (3, 4))
    affine[:3, :3] += 200 * np.eye(3)  # not singular
    folder = tmp_path_factory.mktemp("nifti")
    save(folder / "a.nii.gz", np.zeros((4, 3, 2), np.float32), affine, units, codes)
    labels = RNG.integers(0, 300, (2, 3, 4))
    write_labels(folder / name, labels, like=folder / "a.nii.gz")
    source, written = nibabel.load(folder / "a.nii.gz"), nibabel.load(folder / name)
    assert [source.header[field].tobytes() for field in GEOMETRY] == [
        written.header[field].tobytes() for field in GEOMETRY
    ]
    np.testing.assert_array_equal(written.affine, source.affine)
    assert written.header.get_data_dtype() == np.uint16
    np.testing.assert_array_equal(np.asarray(written.dataobj), labels.T)
    back = read_labels(folder / name, 3)
    assert back.dtype == np.uint16
    np.testing.assert_array_equal(back, labels)
    assert read_spacing(folder / name, 3) == read_spacing(folder / "a.nii.gz", 3)


@pytest.mark.parametrize("high", [1, 255, 256, 65_535, 65_536, 2**32 - 1])
def test_large_labels_survive(tmp_path: Path, high: int) -> None:
    labels = np.array([[[0, 1], [high, 1]]])
    write_labels(tmp_path / "a.nii.gz", labels)
    back = read_labels(tmp_path / "a.nii.gz", 3)
    assert back.dtype == np.min_scalar_type(high)
    np.testing.assert_array_equal(back, labels)


@pytest.mark.parametrize("shape", [(9, 6), (9, 6, 1), (9, 6, 5, 4), (9, 6, 5, 1, 3)])
def test_labels_get_the_axes_of_their_image(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Also those of a 2D network, page by page."""
    save(tmp_path / "a.nii", np.zeros(shape, np.uint8))
    pages = open_stack(tmp_path / "a.nii")
    labels = np.arange(pages[:, 0].size, dtype=np.uint16).reshape(pages[:, 0].shape)
    write_labels(tmp_path / "b.nii", labels[0] if len(labels) == 1 else labels, like=tmp_path / "a.nii")
    assert nibabel.load(tmp_path / "b.nii").shape == shape[:4]
    np.testing.assert_array_equal(open_stack(tmp_path / "b.nii")[:, 0], labels)


def test_equal_labels_are_equal_files(tmp_path: Path) -> None:
    labels = RNG.integers(0, 3, (4, 5, 6))
    for name in ("a.nii.gz", "b.nii.gz"):
        write_labels(tmp_path / name, labels)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nii.gz", "b.nii.gz"]


def test_a_spacing_survives_the_way_between_formats(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", np.zeros((9, 6, 5), np.uint8), np.diag([0.5, 0.25, 2, 1]))
    write_labels(tmp_path / "b.tif", np.ones((5, 6, 9), np.uint8), like=tmp_path / "a.nii")
    write_labels(tmp_path / "c.nii.gz", np.ones((5, 6, 9), np.uint8), like=tmp_path / "b.tif")
    for name in ("a.nii", "b.tif", "c.nii.gz"):
        assert read_spacing(tmp_path / name, 3) == Spacing((2.0, 0.25, 0.5), "mm")


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.nii.gz"
    write_labels(path, np.ones((2, 3, 4), np.uint8))
    before = path.read_bytes()

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nibabel.Nifti1Image, "to_stream", full)
    with pytest.raises(OutputError, match=r"a\.nii\.gz cannot be written \(No space left"):
        write_labels(path, np.zeros((2, 3, 4), np.uint8))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.nii.gz"]


# --------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("position", [0.5, 0.99])
def test_flipped_bits_of_packed_files_are_noticed(tmp_path: Path, position: float) -> None:
    """Stored, not squeezed, so that only the checksum can tell."""
    save(tmp_path / "a.nii", RNG.integers(0, 99, (20, 20, 5), np.uint8))
    packed = bytearray(gzip.compress((tmp_path / "a.nii").read_bytes(), 0))
    packed[int(len(packed) * position)] ^= 1
    (tmp_path / "a.nii.gz").write_bytes(packed)
    with pytest.raises(ImageError, match=r"a\.nii\.gz cannot be read as nii\.gz \(CRC check failed.*copy or export"):
        read_image(tmp_path / "a.nii.gz", 3)


def test_a_packed_file_by_another_name_is_read(tmp_path: Path) -> None:
    save(tmp_path / "a.nii.gz", np.ones((9, 6, 5), np.uint8))
    (tmp_path / "a.nii.gz").rename(tmp_path / "a.nii")
    assert read_image(tmp_path / "a.nii", 3).all()


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_other_bytes_are_refused(tmp_path: Path, name: str) -> None:
    packed = gzip.compress(b"hello" * 200)
    (tmp_path / name).write_bytes(packed)
    with pytest.raises(ImageError, match=r"it has no NIfTI header"):
        read_image(tmp_path / name, 3)


def test_complex_voxels_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", np.zeros((9, 6, 5), np.complex64))
    with pytest.raises(ImageError, match="complex64"):
        read_image(tmp_path / "a.nii", 3)


def test_without_nibabel_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "a.nii", np.zeros((9, 6, 5), np.uint8))
    monkeypatch.setitem(sys.modules, "nibabel", None)
    words = r"needs nibabel, which is not installed; run pip install 'unetscope\[medical\]'"
    with pytest.raises(ImageError, match=words):
        read_image(tmp_path / "a.nii", 3)
    with pytest.raises(OutputError, match=words):
        write_labels(tmp_path / "b.nii", np.zeros((5, 6, 9), np.uint8))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((6, 9), np.uint8))
    assert open_picture(tmp_path / "a.tif", 2).shape == (6, 9)


def test_real_volumes(shared_data: Path, tmp_path: Path) -> None:
    path = sorted((shared_data / "hippocampus" / "images").iterdir())[0]
    image, oracle = read_image(path, 3), nibabel.load(path)
    np.testing.assert_array_equal(image[0].T, oracle.get_fdata(dtype=np.float32))
    labels = read_labels(shared_data / "hippocampus" / "labels" / path.name, 3)
    assert labels.shape == image.shape[1:]
    write_labels(tmp_path / path.name, labels, like=path)
    np.testing.assert_array_equal(nibabel.load(tmp_path / path.name).affine, oracle.affine)
    assert read_spacing(path, 3) == Spacing((1.0, 1.0, 1.0), "mm")


def test_labels_of_another_size_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", np.zeros((9, 6, 5), np.uint8))
    with pytest.raises(OutputError, match=r"labels of shape \(5, 9, 6\), and .*a\.nii has \(5, 6, 9\)"):
        write_labels(tmp_path / "b.nii", np.zeros((5, 9, 6), np.uint8), like=tmp_path / "a.nii")
    assert not (tmp_path / "b.nii").exists()
