import shutil
import sys
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut
from pydicom.uid import (
    MPEG2MPML,
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEGLosslessSV1,
    RLELossless,
    generate_uid,
)

from unetscope.data.formats.dicom import looks_like_dicom, open_dicom
from unetscope.errors import ImageError

RNG = np.random.default_rng(0)
SERIES = generate_uid()
STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def make_dataset(pixels: np.ndarray, **tags: Any) -> Dataset:
    """An image as small as DICOM lets it be; keywords set or (None) delete tags."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID, dataset.Modality = SERIES, "1.2.3", "CT"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.itemsize
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(pixels.dtype.kind == "i")
    dataset.add_new("PixelData", "OB" if pixels.itemsize == 1 else "OW", pixels.tobytes() + b"\0" * (pixels.nbytes % 2))
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def save(path: Path, pixels: np.ndarray, **tags: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    make_dataset(pixels, **tags).save_as(path, enforce_file_format=True)
    return path


def slice_tags(position: Any, orientation: Any = STRAIGHT, spacing: Any = (0.5, 0.25)) -> dict[str, Any]:
    return {
        "ImagePositionPatient": [float(f"{x:.9g}") for x in position],
        "ImageOrientationPatient": list(orientation),
        "PixelSpacing": list(spacing),
    }


def save_series(folder: Path, volume: np.ndarray, heights: Any, orientation: Any = STRAIGHT) -> Path:
    """Slices under names in random order, each at its height along the normal."""
    normal = np.cross(orientation[:3], orientation[3:])
    names = RNG.permutation(len(volume))
    for name, pixels, height in zip(names, volume, heights, strict=True):
        save(folder / f"{name}.dcm", pixels, **slice_tags(normal * height, orientation))
    return folder


# ---------------------------------------------------------------------------------------------------------- volumes

angles = st.floats(-3, 3)


@given(st.integers(2, 6), st.floats(0.3, 7), angles, angles, angles)
@settings(max_examples=25, deadline=None)
def test_slices_are_ordered_by_position_along_their_normal(
    tmp_path_factory: pytest.TempPathFactory, count: int, step: float, a: float, b: float, c: float
) -> None:
    turn = np.eye(3)
    for axis, angle in enumerate((a, b, c)):
        i, j = (k for k in range(3) if k != axis)
        plane = np.eye(3)
        plane[i, i] = plane[j, j] = np.cos(angle)
        plane[i, j], plane[j, i] = -np.sin(angle), np.sin(angle)
        turn = turn @ plane
    orientation = [float(f"{x:.9g}") for x in np.concatenate([turn[:, 0], turn[:, 1]])]
    volume = RNG.integers(0, 1000, (count, 3, 4), np.uint16)
    folder = save_series(tmp_path_factory.mktemp("series"), volume, -20 + step * np.arange(count), orientation)
    picture = open_dicom(folder)
    assert (picture.axes, picture.shape, picture.unit, picture.modality) == ("ZYX", volume.shape, "mm", "CT")
    assert picture.pitch == pytest.approx({"Z": step, "Y": 0.5, "X": 0.25}, rel=1e-5)
    assert np.array_equal(picture.load(), volume)


def test_one_slice_of_a_series_is_a_2d_image(tmp_path: Path) -> None:
    volume = RNG.integers(0, 1000, (3, 4, 5), np.uint16)
    folder = save_series(tmp_path, volume, [0, 1, 5])
    with pytest.raises(ImageError, match="use each file as a 2D image"):
        open_dicom(folder)
    found = {open_dicom(file).load().tobytes() for file in folder.iterdir()}
    assert found == {pixels.tobytes() for pixels in volume}
    picture = open_dicom(next(folder.iterdir()))
    assert (picture.axes, picture.shape, picture.pitch) == ("YX", (4, 5), {"Y": 0.5, "X": 0.25})


def test_a_real_series_is_read(shared_data: Path, tmp_path: Path) -> None:
    names = ("03", "02", "01")  # they lie from feet to head in this order
    for name in names:
        shutil.copy(shared_data / "dicom_seg_liver" / f"{name}.dcm", tmp_path / f"{name}.dcm")
    picture = open_dicom(tmp_path)
    assert picture.pitch == pytest.approx({"Z": 1, "Y": 0.810547, "X": 0.810547})
    volume = picture.load()
    for plane, name in zip(volume, names, strict=True):
        dataset = pydicom.dcmread(tmp_path / f"{name}.dcm")
        assert np.array_equal(plane, apply_modality_lut(dataset.pixel_array, dataset))
        assert np.array_equal(plane, open_dicom(tmp_path / f"{name}.dcm").load())
    assert np.issubdtype(volume.dtype, np.integer)


def functional_group(sequence: str, **tags: Any) -> Dataset:
    inner, outer = Dataset(), Dataset()
    for keyword, value in tags.items():
        setattr(inner, keyword, value)
    setattr(outer, sequence, [inner])
    return outer


def enhanced(heights: Any, slopes: Any) -> dict[str, Any]:
    """Tags of an enhanced image: what differs in the groups of its frames, what does not in the shared ones."""
    shared = functional_group("PlaneOrientationSequence", ImageOrientationPatient=list(STRAIGHT))
    shared.update(functional_group("PixelMeasuresSequence", PixelSpacing=[0.5, 0.25], SliceThickness=9))
    frames = [functional_group("PlanePositionSequence", ImagePositionPatient=[0, 0, height]) for height in heights]
    for frame, slope in zip(frames, slopes, strict=True):
        values = {"RescaleSlope": slope, "RescaleIntercept": -3}
        frame.update(functional_group("PixelValueTransformationSequence", **values))
    return {
        "NumberOfFrames": len(frames),
        "SharedFunctionalGroupsSequence": [shared],
        "PerFrameFunctionalGroupsSequence": frames,
    }


def test_frames_of_an_enhanced_image_are_a_volume(tmp_path: Path) -> None:
    volume = RNG.integers(0, 100, (3, 4, 5), np.uint16)
    path = save(tmp_path / "a.dcm", volume, **enhanced([4, 0, 2], [1, 2, 3]))
    for source in (path, tmp_path):
        picture = open_dicom(source)
        assert (picture.axes, picture.shape) == ("ZYX", (3, 4, 5))
        assert picture.pitch == {"Z": 2, "Y": 0.5, "X": 0.25}
        scaled = volume.astype(int) * np.array([1, 2, 3])[:, None, None] - 3
        assert np.array_equal(picture.load(), scaled[[1, 2, 0]])


def test_frames_without_positions_are_times(tmp_path: Path) -> None:
    movie = RNG.integers(0, 100, (3, 4, 5), np.uint8)
    picture = open_dicom(save(tmp_path / "a.dcm", movie, NumberOfFrames=3))
    assert (picture.axes, picture.unit, dict(picture.pitch)) == ("TYX", "pixel", {})
    assert np.array_equal(picture.load(), movie)


# ----------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2"])
@pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (2, 7), (-1, 0), (1, 0), (0.5, 0), (1, 0.25)])
def test_values_are_rescaled(tmp_path: Path, dtype: str, slope: float, intercept: float) -> None:
    info = np.iinfo(dtype)
    pixels = RNG.integers(info.min, info.max, (4, 6), dtype, endpoint=True)
    pixels[0, :2] = info.min, info.max
    path = save(tmp_path / "a.dcm", pixels, RescaleSlope=slope, RescaleIntercept=intercept)
    values = open_dicom(path).load()
    assert np.array_equal(values, pixels.astype(float) * slope + intercept)
    whole = float(slope).is_integer() and float(intercept).is_integer()
    assert values.dtype.kind == ("f" if not whole else "i" if (slope, intercept) != (1, 0) else dtype[0])


def test_slices_with_their_own_slopes_keep_their_values(tmp_path: Path) -> None:
    for z in range(3):
        tags = slice_tags((0, 0, z)) | {"RescaleSlope": 0.5 + z, "RescaleIntercept": 0}
        save(tmp_path / f"{z}.dcm", np.full((2, 2), 10, np.uint16), **tags)
    assert open_dicom(tmp_path).load()[:, 0, 0].tolist() == [5, 15, 25]


@pytest.mark.parametrize(("dtype", "bits"), [("u1", 8), ("u2", 12), ("u2", 16), ("i2", 12), ("i2", 16)])
def test_inverted_images_are_turned_so_that_larger_is_brighter(tmp_path: Path, dtype: str, bits: int) -> None:
    low, high = (0, 2**bits - 1) if dtype[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    pixels = RNG.integers(low, high, (4, 6), dtype, endpoint=True)
    pixels[0, :2] = low, high
    tags = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": bits, "HighBit": bits - 1}
    values = open_dicom(save(tmp_path / "a.dcm", pixels, **tags)).load()
    assert values.dtype == pixels.dtype
    assert np.array_equal(values.astype(int), low + high - pixels.astype(int))


@pytest.mark.parametrize("frames", [1, 3])
def test_colors_are_channels(tmp_path: Path, frames: int) -> None:
    colors = RNG.integers(0, 256, (frames, 4, 6, 3), np.uint8)
    tags = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "RGB", "Rows": 4, "Columns": 6}
    picture = open_dicom(save(tmp_path / "a.dcm", colors, **tags, **({"NumberOfFrames": 3} if frames > 1 else {})))
    assert picture.axes == ("YXS" if frames == 1 else "TYXS")
    assert picture.shape == picture.load().shape
    assert np.array_equal(picture.load().reshape(colors.shape), colors)


def test_palettes_become_colors(tmp_path: Path) -> None:
    table = RNG.integers(0, 65536, (3, 256), np.uint16)
    tags: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, values in zip(("Red", "Green", "Blue"), table, strict=True):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tags[f"{name}PaletteColorLookupTableData"] = values.tobytes()
    pixels = RNG.integers(0, 256, (4, 6), np.uint8)
    picture = open_dicom(save(tmp_path / "a.dcm", pixels, **tags))
    assert (picture.axes, picture.shape) == ("YXS", (4, 6, 3))
    assert np.array_equal(picture.load(), np.moveaxis(table[:, pixels], 0, -1))


@pytest.mark.parametrize(("dtype", "bits"), [("u1", 8), ("u2", 12), ("u2", 16), ("i2", 12), ("i2", 16)])
@pytest.mark.parametrize("frames", [1, 2])
def test_lossless_jpeg_is_decoded(tmp_path: Path, dtype: str, bits: int, frames: int) -> None:
    low, high = (0, 2**bits) if dtype[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    pixels = RNG.integers(low, high, (frames, 6, 8), dtype)
    unsigned = pixels.view(f"u{pixels.itemsize}") & (2**bits - 1)
    encoded = encapsulate([imagecodecs.ljpeg_encode(frame, bitspersample=bits) for frame in unsigned])
    tags = {"BitsStored": bits, "HighBit": bits - 1, "NumberOfFrames": frames}
    dataset = make_dataset(pixels, **tags)
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    dataset.PixelData = encoded
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert np.array_equal(open_dicom(tmp_path / "a.dcm").load().reshape(pixels.shape), pixels)


def test_run_lengths_are_decoded(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 4, (6, 8), np.uint16)
    dataset = make_dataset(pixels)
    dataset.compress(RLELossless, pixels)
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert np.array_equal(open_dicom(tmp_path / "a.dcm").load(), pixels)


def test_files_are_not_changed_and_odd_values_cause_no_warning(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", np.ones((2, 2), np.uint8), **slice_tags((0, 0, 0)))
    content = path.read_bytes().replace(b"1.2.3", b"1..3.")
    path.write_bytes(content)
    assert open_dicom(path).load().tolist() == [[1, 1], [1, 1]]
    assert path.read_bytes() == content


# ---------------------------------------------------------------------------------------------------------- refused

PIXELS = np.zeros((4, 5), np.uint8)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (slice_tags((0, 0, 2.1)), r"no even volume because [12].dcm and [23].dcm are (1.1|0.9) mm apart"),
        (slice_tags((0, 0, 5)), r"1.dcm and 3.dcm are 2 mm apart and the others 1 mm; add the missing slices"),
        (slice_tags((0, 0, 1)), r"1.dcm and 2.dcm are at the same position; keep one of them"),
        (slice_tags((0, 0, 2), (1, 0, 0, 0, 0, 1)), "0.dcm and 2.dcm have different orientations"),
        (slice_tags((0, 0, 2), spacing=(0.5, 0.3)), "0.dcm and 2.dcm have different pixel spacings"),
        (slice_tags((3, 0, 2)), "slices are shifted by up to 3 mm"),
        ({"SeriesInstanceUID": "1.2.9", "SeriesDescription": "thin"}, r"holds 2 series \(.*CT 'thin' \(1\.2\.9\)\)"),
        ({}, "2.dcm have different orientations"),
        ({"Modality": "SEG"}, r"2.dcm is a segmentation object \(SEG\), and an image was needed"),
        ({"Modality": "RTSTRUCT"}, r"2.dcm is a set of contours \(RTSTRUCT\)"),
        ({"PixelData": None}, r"2.dcm is without pixels \(modality 'CT'\)"),
        ({"Rows": 2, **slice_tags((0, 0, 2))}, "0.dcm and 2.dcm have different sizes"),
        ({"FrameOfReferenceUID": "1.2.4", **slice_tags((0, 0, 2))}, "different frames of reference"),
        ({"PhotometricInterpretation": "MONOCHROME1", **slice_tags((0, 0, 2))}, "slices of one kind were needed"),
    ],
)
def test_folders_that_are_no_even_volume_are_refused(tmp_path: Path, tags: dict[str, Any], message: str) -> None:
    for z in (0, 1, 3, 4):
        save(tmp_path / f"{z}.dcm", PIXELS, **slice_tags((0, 0, z)))
    save(tmp_path / "2.dcm", PIXELS, **tags)
    with pytest.raises(ImageError, match=message):
        open_dicom(tmp_path)


@pytest.mark.parametrize("height", [2.0, 2.004, 1.996])
def test_positions_may_be_rounded(tmp_path: Path, height: float) -> None:
    for z in (0, 1, height, 3, 4):
        save(tmp_path / f"{z}.dcm", PIXELS, **slice_tags((0, 0, z)))
    assert open_dicom(tmp_path).pitch["Z"] == pytest.approx(1, abs=0.01)


def test_slices_without_positions_are_single_images(tmp_path: Path) -> None:
    path = save(tmp_path / "0.dcm", PIXELS)
    assert open_dicom(path).axes == "YX"
    picture = open_dicom(tmp_path)
    assert (picture.axes, picture.shape, "Z" in picture.pitch) == ("ZYX", (1, 4, 5), False)
    save(tmp_path / "1.dcm", PIXELS)
    with pytest.raises(ImageError, match=r"0.dcm has no position or orientation .*; use each file as a 2D image"):
        open_dicom(tmp_path)


def test_frames_with_gaps_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", np.zeros((3, 4, 5), np.uint8), **enhanced([0, 1, 3], [1, 1, 1]))
    with pytest.raises(ImageError, match="no even volume because frame"):
        open_dicom(path)
    save(tmp_path / "b.dcm", np.zeros((3, 4, 5), np.uint8), **enhanced([0, 1, 2], [1, 1, 1]))
    with pytest.raises(ImageError, match="several files with frames"):
        open_dicom(tmp_path)


def test_a_compression_without_decoder_is_named(tmp_path: Path) -> None:
    dataset = make_dataset(PIXELS)
    dataset.file_meta.TransferSyntaxUID = MPEG2MPML
    dataset.PixelData = encapsulate([b"1234"])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(ImageError, match=r"is compressed as MPEG2 .*decompress it first"):
        open_dicom(tmp_path / "a.dcm")


def test_other_files_are_no_dicom(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"text" * 100)
    (tmp_path / "empty.dcm").write_bytes(b"")
    for path in (tmp_path / "a.dcm", tmp_path / "empty.dcm"):
        with pytest.raises(ImageError, match="is no DICOM file"):
            open_dicom(path)
    with pytest.raises(ImageError, match="does not exist"):
        open_dicom(tmp_path / "b.dcm")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ImageError, match="holds no files"):
        open_dicom(tmp_path / "folder")


def test_what_lies_beside_slices_is_passed_over(tmp_path: Path) -> None:
    folder = save_series(tmp_path, RNG.integers(0, 9, (2, 4, 5), np.uint16), [0, 1])
    for name in (".DS_Store", "DICOMDIR", "Thumbs.db"):
        (folder / name).write_bytes(b"x")
    assert open_dicom(folder).shape == (2, 4, 5)


def test_dicom_is_known_by_its_mark_or_its_name(tmp_path: Path) -> None:
    marked = save(tmp_path / "IM0001", PIXELS)
    (tmp_path / "text").write_bytes(b"x" * 200)
    (tmp_path / "a.DCM").write_bytes(b"")
    names = ("IM0001", "text", "a.DCM", "missing.dcm", ".")
    assert [looks_like_dicom(tmp_path / name) for name in names] == [True, False, True, False, False]
    assert open_dicom(marked).shape == PIXELS.shape


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_damage_is_one_sentence(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    dataset = make_dataset(PIXELS, **slice_tags((0, 0, 1)), RescaleSlope=2, SeriesInstanceUID="1.2.4")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.5"
    path = tmp_path_factory.mktemp("dicom") / "a.dcm"
    dataset.save_as(path, enforce_file_format=True)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(132, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        picture = open_dicom(path)
        pixels = picture.load()
    except ImageError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert pixels.shape == picture.shape


def test_without_pydicom_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.dcm", PIXELS)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ImageError, match=r"needs pydicom, .*pip install 'unetscope\[medical\]'"):
        open_dicom(path)
