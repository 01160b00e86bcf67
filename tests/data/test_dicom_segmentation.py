import gzip
import shutil
import sys
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from unetscope.data.formats.dicom import open_dicom
from unetscope.data.formats.dicom_segmentation import (
    open_segmentation,
    read_segmentation_on,
    segments,
    write_segmentation,
)
from unetscope.errors import ImageError, OutputError

RNG = np.random.default_rng(0)
STUDY, SERIES, SPACE = generate_uid(), generate_uid(), generate_uid()
CLASSES = ("background", "liver", "Gefäß")


def save_image(path: Path, height: float | None, size: tuple[int, int] = (7, 9), **tags: Any) -> Path:
    """A CT slice as anonymizers leave it, or an X-ray without a position."""
    kind = CTImageStorage if height is not None else DigitalXRayImageStorageForPresentation
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = kind
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.Modality = STUDY, SERIES, "CT"
    dataset.Rows, dataset.Columns = size
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelData = np.zeros(size, np.uint16).tobytes()
    if height is not None:
        dataset.FrameOfReferenceUID, dataset.PixelSpacing = SPACE, [0.5, 0.25]
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [1.5, 2, height], [1, 0, 0, 0, 1, 0]
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    path.parent.mkdir(exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def save_series(folder: Path, count: int, **tags: Any) -> Path:
    for name, z in zip(RNG.permutation(count), range(count), strict=True):
        save_image(folder / f"{name}.dcm", 2.5 * z, **tags)
    return folder


def unpacked(path: Path) -> np.ndarray:
    """The frames of a binary segmentation, decoded from its bytes alone."""
    dataset = pydicom.dcmread(path)
    frames, rows, columns = int(dataset.NumberOfFrames), dataset.Rows, dataset.Columns
    bits = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")
    return bits[: frames * rows * columns].reshape(frames, rows, columns)


def frame_groups(path: Path) -> list[tuple[int, float]]:
    """Number of the segment and z of every frame."""
    dataset = pydicom.dcmread(path)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    groups = []
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        holder = frame if "SegmentIdentificationSequence" in frame else shared
        number = holder.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        groups.append((number, float(frame.PlanePositionSequence[0].ImagePositionPatient[2])))
    return groups


# ------------------------------------------------------------------------------------------------------------- read


@pytest.fixture
def liver(shared_data: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A segmentation and the folder of its three slices."""
    folder = tmp_path / "ct"
    folder.mkdir()
    for name in ("01", "02", "03"):
        shutil.copy(shared_data / "dicom_seg_liver" / f"{name}.dcm", folder)
    return shared_data / "dicom_seg_liver" / "liver.dcm", folder


def test_a_segmentation_is_what_its_bits_and_another_program_say(liver: tuple[Path, Path]) -> None:
    path, folder = liver
    picture = open_segmentation(path)
    labels = picture.load()
    assert (picture.axes, picture.shape, picture.modality, segments(path)) == ("ZYX", (3, 512, 512), "SEG", ("Liver",))
    assert picture.pitch == pytest.approx({"Z": 1, "Y": 0.810547, "X": 0.810547})
    order = np.argsort([z for _, z in frame_groups(path)])
    assert np.array_equal(labels, unpacked(path)[order])
    header, content = (path.parent / "liver_seg.nrrd").read_bytes().split(b"\n\n", 1)
    assert b"sizes: 512 512 3" in header and b"type: short" in header
    assert np.array_equal(labels, np.frombuffer(gzip.decompress(content), "<i2").reshape(3, 512, 512))
    assert np.array_equal(read_segmentation_on(path, folder), labels)


def test_one_slice_has_its_part_of_a_segmentation(liver: tuple[Path, Path], tmp_path: Path) -> None:
    path, folder = liver
    whole = read_segmentation_on(path, folder)
    write_segmentation(tmp_path / "a.dcm", whole[1], folder / "02.dcm", ("background", "liver"))
    assert np.array_equal(read_segmentation_on(tmp_path / "a.dcm", folder / "02.dcm"), whole[1])
    on_all = read_segmentation_on(tmp_path / "a.dcm", folder)
    assert np.array_equal(on_all[1], whole[1]) and not on_all[[0, 2]].any()
    with pytest.raises(ImageError, match=r"a.dcm: frame 1 .* lies on no slice of .*01.dcm"):
        read_segmentation_on(tmp_path / "a.dcm", folder / "01.dcm")


def test_segments_that_overlap_are_named(shared_data: Path) -> None:
    path = shared_data / "dicom_seg_liver" / "partial_overlaps.dcm"
    names = ("GREEN", "ORANGE", "PURPLE", "LIGHT_BLUE", "DARK_BLUE")
    assert segments(path) == names
    masks: dict[int, list[tuple[float, np.ndarray]]] = {}
    for (number, z), mask in zip(frame_groups(path), unpacked(path), strict=True):
        masks.setdefault(number, []).append((z, mask))
    clashing = {
        names[a - 1]
        for a in masks
        for b in masks
        if a != b and any(za == zb and (ma & mb).any() for za, ma in masks[a] for zb, mb in masks[b])
    }
    assert clashing
    with pytest.raises(ImageError, match="in a label map each pixel has one") as caught:
        open_segmentation(path).load()
    listed = str(caught.value).split("(")[1].split(")")[0]
    assert set(listed.split(", ")) == clashing


def test_absent_frames_are_background(tmp_path: Path) -> None:
    folder = save_series(tmp_path / "ct", 6)
    labels = np.zeros((6, 7, 9), np.uint8)
    labels[1, 2:4, 3:5], labels[4, 1:3, 2:6] = 1, 2
    path = tmp_path / "a.dcm"
    write_sparse(path, labels, folder)
    assert len(frame_groups(path)) == 2
    assert np.array_equal(read_segmentation_on(path, folder), labels)
    assert np.array_equal(open_segmentation(path).load(), labels[1:5])
    assert open_segmentation(path).pitch == {"Z": 2.5, "Y": 0.5, "X": 0.25}


def write_sparse(path: Path, labels: np.ndarray, folder: Path, kind: str = "BINARY", **more: Any) -> None:
    """A segmentation by highdicom itself, with its defaults."""
    sources = sorted((pydicom.dcmread(file) for file in folder.iterdir()), key=lambda d: d.ImagePositionPatient[2])
    for source in sources:
        for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"):
            setattr(source, keyword, "")
        source.StudyID, source.StudyDate, source.StudyTime, source.SliceThickness = "", "", "", 9
    code = highdicom.sr.CodedConcept("85756007", "SCT", "Tissue")
    count = labels.shape[-1] if labels.ndim == 4 else int(labels.max())
    described = [highdicom.seg.SegmentDescription(i + 1, f"part {i + 1}", code, code, "MANUAL") for i in range(count)]
    uids = [highdicom.UID(), 7, highdicom.UID(), 1, "maker", "model", "1", "0"]
    highdicom.seg.Segmentation(sources, labels, kind, described, *uids, **more).save_as(path)


def test_fractions_of_at_least_a_half_count(tmp_path: Path) -> None:
    folder = save_series(tmp_path / "ct", 2)
    parts = RNG.dirichlet((1, 1, 1), (2, 7, 9))[..., :2]
    write_sparse(tmp_path / "a.dcm", parts, folder, "FRACTIONAL", max_fractional_value=200)
    stored = np.round(parts * 200).astype(int)
    assert np.array_equal(open_segmentation(tmp_path / "a.dcm").load(), (stored >= 100) @ [1, 2])


def test_label_maps_are_read(tmp_path: Path) -> None:
    folder = save_series(tmp_path / "ct", 4)
    labels = RNG.integers(0, 4, (4, 7, 9), np.uint8)
    write_sparse(tmp_path / "a.dcm", labels, folder, "LABELMAP")
    assert np.array_equal(open_segmentation(tmp_path / "a.dcm").load(), labels)
    assert np.array_equal(read_segmentation_on(tmp_path / "a.dcm", folder), labels)
    assert segments(tmp_path / "a.dcm") == ("part 1", "part 2", "part 3")


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"size": (7, 8)}, "have different sizes, and labels must lie on their image"),
        ({"PixelSpacing": [0.5, 0.5]}, "have different pixel spacings"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, 1]}, "have different orientations"),
        ({"FrameOfReferenceUID": "1.2.3"}, "have different frames of reference"),
        ({"ImagePositionPatient": [1.6, 2, 0]}, "frame 1 .* lies on no slice"),
    ],
)
def test_other_images_are_refused(tmp_path: Path, tags: dict[str, Any], message: str) -> None:
    write_segmentation(tmp_path / "a.dcm", np.ones((7, 9), np.uint8), save_image(tmp_path / "ct.dcm", 0))
    with pytest.raises(ImageError, match=message):
        read_segmentation_on(tmp_path / "a.dcm", save_image(tmp_path / "b.dcm", 0, **tags))


def test_other_files_are_no_segmentations(tmp_path: Path) -> None:
    image = save_image(tmp_path / "ct.dcm", 0)
    for read in (segments, open_segmentation, lambda path: read_segmentation_on(path, image)):
        with pytest.raises(ImageError, match=r"is no DICOM segmentation \(its modality is 'CT'\)"):
            read(image)
    write_segmentation(tmp_path / "a.dcm", np.ones((7, 9), np.uint8), image)
    with pytest.raises(ImageError, match=r"is a segmentation object \(SEG\), and an image was needed"):
        open_dicom(tmp_path / "a.dcm")
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    dataset.TotalPixelMatrixRows = 9
    dataset.save_as(tmp_path / "slide.dcm")
    with pytest.raises(ImageError, match="segmentation of a slide in tiles"):
        open_segmentation(tmp_path / "slide.dcm")


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_damage_is_one_sentence(tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    source, path = folder / "ct", folder / "a.dcm"
    if not folder.exists():
        folder.mkdir()
        save_series(source, 2)
        write_segmentation(folder / "whole.dcm", np.ones((2, 7, 9), np.uint8), source, CLASSES)
    content = bytearray((folder / "whole.dcm").read_bytes())
    for place, value in changes:
        content[132 + place % (len(content) - 132)] = value
    path.write_bytes(content)
    for read in (
        segments,
        lambda path: open_segmentation(path).load(),
        lambda path: read_segmentation_on(path, source),
    ):
        try:
            read(path)
        except ImageError as error:
            assert str(path) in str(error) and "\n" not in str(error)


# ------------------------------------------------------------------------------------------------------------ write


@given(st.integers(1, 4), st.integers(0, 2), st.data())
@settings(max_examples=12, deadline=None)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, count: int, high: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("seg")
    source = save_series(folder / "ct", count) if data.draw(st.booleans()) else save_image(folder / "ct.dcm", 4.0)
    shape = (count, 7, 9) if source.is_dir() else (7, 9)
    labels = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, high, shape, np.uint8, endpoint=True)
    path = folder / "a.dcm"
    before = labels.copy()
    write_segmentation(path, labels, source, CLASSES)
    assert np.array_equal(labels, before)
    assert segments(path) == CLASSES[1:]
    assert np.array_equal(read_segmentation_on(path, source), labels)
    alone = open_segmentation(path)
    assert np.array_equal(alone.load().reshape(shape), labels)
    assert alone.pitch == {"Y": 0.5, "X": 0.25} | ({"Z": 2.5} if source.is_dir() and count > 1 else {})
    # Another reader: plain bits, numbers and positions, and the images that the frames refer to.
    planes = labels.reshape(-1, 7, 9)
    heights = [2.5 * z for z in range(count)] if source.is_dir() else [4.0]
    assert len(frame_groups(path)) == len(planes) * 2
    for (number, z), mask in zip(frame_groups(path), unpacked(path), strict=True):
        assert np.array_equal(mask, planes[heights.index(z)] == number)


def test_a_frame_refers_to_its_image(tmp_path: Path) -> None:
    folder = save_series(tmp_path / "ct", 3)
    write_segmentation(tmp_path / "a.dcm", np.ones((3, 7, 9), np.uint8), folder)
    heights = {d.SOPInstanceUID: d.ImagePositionPatient[2] for d in map(pydicom.dcmread, folder.iterdir())}
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    for frame, (_, z) in zip(dataset.PerFrameFunctionalGroupsSequence, frame_groups(tmp_path / "a.dcm"), strict=True):
        (source,) = frame.DerivationImageSequence[0].SourceImageSequence
        assert heights[source.ReferencedSOPInstanceUID] == z
    assert (dataset.StudyInstanceUID, dataset.FrameOfReferenceUID) == (STUDY, SPACE)
    assert [item.SeriesInstanceUID for item in dataset.ReferencedSeriesSequence] == [SERIES]


def test_an_image_without_a_position_keeps_its_labels(tmp_path: Path) -> None:
    image = save_image(tmp_path / "xray.dcm", None)
    labels = RNG.integers(0, 3, (7, 9), np.uint8)
    write_segmentation(tmp_path / "a.dcm", labels, image, CLASSES)
    assert np.array_equal(open_segmentation(tmp_path / "a.dcm").load(), labels)
    assert np.array_equal(read_segmentation_on(tmp_path / "a.dcm", image), labels)
    with pytest.raises(ImageError, match=r"at no position\) lies on no slice"):
        read_segmentation_on(tmp_path / "a.dcm", save_image(tmp_path / "other.dcm", None))


def test_a_real_series_is_labeled(liver: tuple[Path, Path], tmp_path: Path) -> None:
    path, folder = liver
    labels = read_segmentation_on(path, folder)
    write_segmentation(tmp_path / "a.dcm", labels, folder, ("background", "Liver"))
    assert np.array_equal(read_segmentation_on(tmp_path / "a.dcm", folder), labels)
    order = np.argsort([z for _, z in frame_groups(tmp_path / "a.dcm")])
    assert np.array_equal(unpacked(tmp_path / "a.dcm")[order], labels)


def test_an_enhanced_image_is_labeled(tmp_path: Path) -> None:
    folder = save_series(tmp_path / "ct", 3)
    slices = sorted(map(pydicom.dcmread, folder.iterdir()), key=lambda d: d.ImagePositionPatient[2])
    sources = [slices[2], slices[0], slices[1]]  # an order that is not its own inverse
    dataset = sources[0]
    frames = []
    for source in sources:
        frame, position = Dataset(), Dataset()
        position.ImagePositionPatient = source.ImagePositionPatient
        frame.PlanePositionSequence = [position]
        frames.append(frame)
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = dataset.PixelSpacing, 9
    orientation.ImageOrientationPatient = dataset.ImageOrientationPatient
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(dataset, keyword)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    dataset.NumberOfFrames, dataset.PixelData = 3, np.arange(189, dtype=np.uint16).tobytes()
    dataset.SharedFunctionalGroupsSequence, dataset.PerFrameFunctionalGroupsSequence = [shared], frames
    dataset.save_as(tmp_path / "enhanced.dcm")
    labels = RNG.integers(0, 3, (3, 7, 9), np.uint8)
    write_segmentation(tmp_path / "a.dcm", labels, tmp_path / "enhanced.dcm", CLASSES)
    assert np.array_equal(read_segmentation_on(tmp_path / "a.dcm", tmp_path / "enhanced.dcm"), labels)
    for (number, z), mask in zip(frame_groups(tmp_path / "a.dcm"), unpacked(tmp_path / "a.dcm"), strict=True):
        assert np.array_equal(mask, labels[round(z / 2.5)] == number)


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        (np.zeros((7, 8), np.uint8), CLASSES, r"has the shape \(7, 9\)"),
        (np.full((7, 9), 3, np.uint8), CLASSES, "from 0 to 3 .*for 2 segments.*no others than 0 to 2"),
        (np.full((7, 9), -1), CLASSES, "labels from -1"),
        (np.zeros((7, 9)), CLASSES, "of its shape"),
        (np.zeros((7, 9), np.uint8), ("background", "x" * 65), "names have 1 to 64 characters"),
        (np.zeros((7, 9), np.uint8), ("background", " "), "names have 1 to 64 characters"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    tmp_path: Path, labels: np.ndarray, classes: tuple[str, ...], message: str
) -> None:
    image = save_image(tmp_path / "ct.dcm", 0)
    with pytest.raises(OutputError, match=message):
        write_segmentation(tmp_path / "a.dcm", labels, image, classes)
    assert [file.name for file in tmp_path.iterdir()] == ["ct.dcm"]


def test_a_source_that_dicom_does_not_let_be_labeled_is_named(tmp_path: Path) -> None:
    image = save_image(tmp_path / "ct.dcm", 0)
    dataset = pydicom.dcmread(image)
    del dataset.StudyInstanceUID
    dataset.save_as(image)
    with pytest.raises(OutputError, match=r"a.dcm cannot be written as a DICOM segmentation of .*ct.dcm"):
        write_segmentation(tmp_path / "a.dcm", np.ones((7, 9), np.uint8), image)
    assert not (tmp_path / "a.dcm").exists()


def test_without_highdicom_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = save_image(tmp_path / "ct.dcm", 0)
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(OutputError, match=r"needs highdicom, .*pip install 'unetscope\[medical\]'"):
        write_segmentation(tmp_path / "a.dcm", np.ones((7, 9), np.uint8), image)
