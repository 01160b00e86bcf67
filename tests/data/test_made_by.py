import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import nibabel
import numpy as np
import pydicom
import pytest
import rasterio
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import examples
from rasterio.transform import Affine

from unetscope.data.formats.made_by import compose_note, find_made_by, to_line
from unetscope.data.images import (
    LABEL_SUFFIXES,
    read_image,
    read_labels,
    read_made_by,
    read_spacing,
    write_image,
    write_labels,
)
from unetscope.errors import ImageError, OutputError

RNG = np.random.default_rng(0)
MADE_BY = {
    "software": "unetscope 0.1.0",
    "engine": "openvino 2026.4.1",
    "precision": "bfloat16",
    "network": "0123456789abcdef" * 4,
}
AWKWARD = {
    "software": "a µ-scope\nof \\ two \"lines\", <b> & 'c'",
    "a key: with = signs": "{}[]%s\t\r\n\0end ",
    "": "",
    "long": "µ€😀" * 100,
    "made_by": '{"made_by": {"a": "b"}}',
    "Φ": "]]> --> */ \x1b \ud800",
}


# ------------------------------------------------------------------------------------------------------------- images


def plain(path: Path) -> Path:
    tifffile.imwrite(path, RNG.integers(0, 9, (6, 9), np.uint8))
    return path


def calibrated(path: Path) -> Path:
    metadata = {"axes": "ZYX", "unit": "um", "spacing": 2.5}
    tifffile.imwrite(path, np.zeros((5, 6, 9), np.uint16), imagej=True, resolution=(4, 2), metadata=metadata)
    return path


def with_ome(path: Path) -> Path:
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2.5}
    tifffile.imwrite(path, np.zeros((5, 6, 9), np.uint16), ome=True, metadata=metadata)
    return path


def on_earth(path: Path) -> Path:
    layout = {"driver": "GTiff", "height": 6, "width": 9, "count": 1, "dtype": "uint8"}
    turned = Affine.translation(5e5, 5e6) @ Affine.rotation(25) @ Affine.scale(0.3, -0.7)
    with rasterio.open(path, "w", crs="EPSG:32633", transform=turned, **layout) as file:
        file.write(np.zeros((1, 6, 9), np.uint8))
        file.update_tags(AREA_OR_POINT="Point")
    return path


def volume(path: Path) -> Path:
    affine = np.array([[-1.5, 0.1, 0, 12], [0.1, 0.7, 0.2, -3], [0, -0.2, 2.5, 7], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(np.zeros((9, 6, 5), np.int16), affine), path)
    return path


def slice_of_a_scan(path: Path) -> Path:
    shutil.copy(examples.get_path("ct"), path)
    return path


@dataclass(frozen=True)
class Case:
    suffix: str
    shape: tuple[int, ...] = (6, 9)
    highest: int = 2
    source: Callable[[Path], Path] | None = None
    source_suffix: str = ""

    def write(self, folder: Path, made_by: dict[str, str], seed: int = 0) -> Path:
        folder.mkdir(exist_ok=True)
        labels = np.random.default_rng(seed).integers(0, self.highest, self.shape, endpoint=True)
        like = self.source(folder / f"image{self.source_suffix or self.suffix}") if self.source else None
        write_labels(folder / f"labels{self.suffix}", labels, like, ("background", "a", "b"), made_by)
        return folder / f"labels{self.suffix}"


CASES = {
    "png of 8 bits": Case(".png"),
    "png of 16 bits": Case(".png", highest=300),
    "tiff": Case(".tif"),
    "tiff of 32 bits": Case(".tiff", highest=70_000),
    "tiff volume": Case(".tif", (5, 6, 9)),
    "tiff beside a plain one": Case(".tif", source=plain),
    "tiff as ImageJ has it": Case(".tif", (5, 6, 9), source=calibrated),
    "tiff as OME has it": Case(".tif", (5, 6, 9), highest=70_000, source=calibrated),
    "ome.tif": Case(".ome.tif", (5, 6, 9), source=with_ome),
    "ome.tif without sizes": Case(".ome.tiff"),
    "tiff beside a volume": Case(".tif", (5, 6, 9), source=volume, source_suffix=".nii"),
    "geotiff": Case(".tif", source=on_earth),
    "nii": Case(".nii"),
    "nii beside a volume": Case(".nii", (5, 6, 9), source=volume),
    "nii.gz beside a volume": Case(".nii.gz", (5, 6, 9), highest=300, source=volume),
    "nii of a long row": Case(".nii", (2, 40_000)),
    "nii beside a tiff": Case(".nii", (5, 6, 9), source=calibrated, source_suffix=".tif"),
    "dicom": Case(".dcm", (128, 128), source=slice_of_a_scan),
}
QUICK = sorted(CASES.keys() - {"dicom"})
every_case = pytest.mark.parametrize("name", CASES)


# --------------------------------------------------------------------------------------------------------------- laws


@every_case
@pytest.mark.parametrize("made_by", [MADE_BY, AWKWARD, {"engine": "torch"}], ids=["usual", "awkward", "no software"])
def test_what_made_labels_comes_back_and_moves_nothing(
    tmp_path: Path, name: str, made_by: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    case = CASES[name]
    silent, told = case.write(tmp_path / "silent", {}), case.write(tmp_path / "told", made_by)
    assert read_made_by(silent) == {}
    assert read_made_by(told) == made_by
    assert list(read_made_by(told)) == list(made_by)
    assert geometry(told) == geometry(silent)
    ndim = len(case.shape)
    np.testing.assert_array_equal(read_labels(told, ndim), read_labels(silent, ndim))
    np.testing.assert_array_equal(seen_by_others(told), seen_by_others(silent))
    assert read_labels(told, ndim).dtype == read_labels(silent, ndim).dtype
    if told.suffix != ".dcm":  # no image, so it has no spacing to ask for
        assert read_spacing(told, ndim) == read_spacing(silent, ndim)
    assert not caplog.records
    assert sorted(file.name for file in told.parent.iterdir()) == sorted(file.name for file in silent.parent.iterdir())


def geometry(path: Path) -> Any:
    """Everything that another program reads of where and how large the pixels are."""
    if path.suffix == ".png":
        with Image.open(path) as image:
            return image.size, image.mode, image.info.get("dpi")
    if path.suffix == ".dcm":
        made = pydicom.dcmread(path)
        shared, frame = made.SharedFunctionalGroupsSequence[0], made.PerFrameFunctionalGroupsSequence
        places = [item.PlanePositionSequence[0].ImagePositionPatient for item in frame]
        return places, shared.PixelMeasuresSequence[0].PixelSpacing, len(made.SegmentSequence)
    if ".nii" in path.name:
        header = nibabel.load(path).header
        skipped = ("descrip", "vox_offset")
        return {key: header[key].tobytes() for key in header if key not in skipped}
    with tifffile.TiffFile(path) as file:
        page, series = file.pages.first, file.series[0]
        tags = {code: page.tags.valueof(code) for code in (282, 283, 296, 33550, 33922, 34264, 34735, 34737)}
        noted = {key: value for key, value in (file.imagej_metadata or {}).items() if key != "Info"}
        sizes = {key: value for pixels in ome_elements(file, "Pixels") for key, value in pixels.attrib.items()}
        return tags, series.axes, series.shape, page.dtype, noted, sizes, file.is_imagej, file.is_ome, len(file.pages)


def ome_elements(file: tifffile.TiffFile, name: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(file.ome_metadata or "<none/>")
    return [element for element in root.iter() if element.tag.endswith("}" + name)]


def seen_by_others(path: Path) -> np.ndarray:
    """The pixels as the library of each format has them; warnings are errors here."""
    if path.suffix == ".png":
        with Image.open(path) as image:
            return np.asarray(image)
    if path.suffix == ".dcm":
        return pydicom.dcmread(path).pixel_array
    if ".nii" in path.name:
        return np.asarray(nibabel.load(path).dataobj)
    return tifffile.imread(path)


@pytest.mark.parametrize("name", ["png of 8 bits", "tiff", "tiff as ImageJ has it", "ome.tif", "geotiff", "dicom"])
def test_other_programs_name_the_software(tmp_path: Path, name: str) -> None:
    path = CASES[name].write(tmp_path, MADE_BY)
    if path.suffix == ".png":
        with Image.open(path) as image:
            found = image.info["Software"]
    elif path.suffix == ".dcm":
        found = pydicom.dcmread(path).SoftwareVersions
    else:
        with tifffile.TiffFile(path) as file:
            found = file.pages.first.software
    assert found == "unetscope 0.1.0"


def test_programs_show_the_note_where_they_show_notes(tmp_path: Path) -> None:
    note = compose_note(MADE_BY)
    with Image.open(CASES["png of 8 bits"].write(tmp_path / "a", MADE_BY)) as image:
        assert image.info["Comment"] == note
    with tifffile.TiffFile(CASES["tiff as ImageJ has it"].write(tmp_path / "b", MADE_BY)) as file:
        assert file.imagej_metadata["Info"] == note
    with tifffile.TiffFile(CASES["tiff"].write(tmp_path / "c", MADE_BY)) as file:
        assert file.shaped_metadata[0]["made_by"] == MADE_BY
    with tifffile.TiffFile(CASES["ome.tif"].write(tmp_path / "d", MADE_BY)) as file:
        (annotation,), (reference,) = ome_elements(file, "CommentAnnotation"), ome_elements(file, "AnnotationRef")
        assert annotation.get("ID") == reference.get("ID") and "".join(annotation.itertext()) == note
    with rasterio.open(CASES["geotiff"].write(tmp_path / "e", MADE_BY)) as image:
        assert image.tags()["TIFFTAG_IMAGEDESCRIPTION"] == note
    header = nibabel.load(CASES["nii"].write(tmp_path / "f", MADE_BY)).header
    assert [(each.get_code(), each.get_content().rstrip(b"\0")) for each in header.extensions] == [(6, note.encode())]
    assert bytes(header["descrip"]).rstrip(b"\0").decode() == ", ".join(MADE_BY.values())[:79]
    assert pydicom.dcmread(CASES["dicom"].write(tmp_path / "g", MADE_BY)).ImageComments == note


@pytest.mark.parametrize(
    ("suffix", "dtype", "shape"),
    [
        (".png", np.uint8, (6, 9)),
        (".png", np.uint16, (1, 6, 9)),
        (".png", np.uint8, (3, 6, 9)),
        *product((".tif", ".ome.tif"), (np.uint8, np.float32), ((6, 9), (3, 6, 9), (2, 4, 6, 9))),
        (".nii", np.float32, (6, 9)),
    ],
)
def test_images_say_it_too(tmp_path: Path, suffix: str, dtype: type, shape: tuple[int, ...]) -> None:
    image = (RNG.random(shape) * 99).astype(dtype)
    write_image(tmp_path / f"told{suffix}", image, AWKWARD)
    write_image(tmp_path / f"silent{suffix}", image)
    ndim = max(2, len(shape) - 1)
    assert read_made_by(tmp_path / f"told{suffix}") == AWKWARD
    assert read_made_by(tmp_path / f"silent{suffix}") == {}
    for name in ("told", "silent"):
        read = read_image(tmp_path / f"{name}{suffix}", ndim)
        np.testing.assert_array_equal(read, image if image.ndim > 2 else image[None])


def test_numpy_files_hold_numbers_alone(tmp_path: Path) -> None:
    labels = np.eye(4, dtype=np.uint8)
    write_labels(tmp_path / "a.npy", labels, made_by=MADE_BY)
    write_labels(tmp_path / "b.npy", labels)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
    assert read_made_by(tmp_path / "a.npy") == {}


def test_every_format_that_is_written_is_tried() -> None:
    written = {suffix for suffix in LABEL_SUFFIXES if suffix not in (".zip", ".roi", ".geojson", ".npy")}
    assert {case.suffix for case in CASES.values()} == written


# ------------------------------------------------------------------------------------------------------------- texts


TEXT = st.text(st.characters(exclude_categories=()), max_size=300)


@given(st.dictionaries(TEXT, TEXT, max_size=5), st.sampled_from(QUICK))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_strings_survive_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, made_by: dict[str, str], name: str
) -> None:
    folder = tmp_path_factory.mktemp("any") / "told"
    try:
        path = CASES[name].write(folder, made_by)
    except OutputError as error:
        assert "leave some out" in str(error) and len(compose_note(made_by)) > 10_000
        assert not list(folder.glob("labels*"))
    else:
        assert read_made_by(path) == made_by


@given(st.dictionaries(TEXT, TEXT, min_size=1), st.lists(TEXT, max_size=2), TEXT)
def test_a_note_is_found_in_whatever_stands_around_it(made_by: dict[str, str], others: list[str], around: str) -> None:
    note = compose_note(made_by)
    assert note.isascii() and note.isprintable()
    assert find_made_by([*others, around.replace('"', "'") + note + around]) == made_by


@pytest.mark.parametrize(
    "text",
    [
        '{"made_by": {"a": 1}}',
        '{"made_by": {"a": ',
        '{"made_by": "somebody"}',
        '{"made_by": ["a"]}',
        '{"made_by": {}}',
        '{"made_by": {"a": ' + "[" * 100_000,
        '"made_by":',
        "made_by",
    ],
)
def test_texts_of_others_are_passed_over(text: str) -> None:
    assert find_made_by([text]) == {}
    assert find_made_by([text, compose_note(MADE_BY)]) == MADE_BY


@given(TEXT)
def test_no_text_of_others_stands_in_the_way(text: str) -> None:
    assert find_made_by([text, '{"made_by": {' + text, compose_note(MADE_BY)]) == MADE_BY


@given(TEXT, st.integers(1, 80))
def test_lines_are_short_and_plain(text: str, longest: int) -> None:
    line = to_line(text, longest)
    assert len(line) <= longest and line.isascii() and line.isprintable() and "\\" not in line


def test_notes_written_by_other_programs_leave_none(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4), np.uint8), description="made_by: me", metadata=None)
    assert read_made_by(tmp_path / "a.tif") == {}
    assert read_made_by(slice_of_a_scan(tmp_path / "a.dcm")) == {}
    assert read_made_by(with_ome(tmp_path / "b.ome.tif")) == {}
    Image.new("RGB", (4, 4)).save(tmp_path / "a.jpg")
    assert read_made_by(tmp_path / "a.jpg") == {}


# ------------------------------------------------------------------------------------------------------------- errors


@every_case
@pytest.mark.parametrize("made_by", [{"network": None}, {3: "a"}, {"a": "x" * 10_241}, {"a": {"b": "c"}}])
def test_what_no_file_could_give_back_is_refused_before_it_is_written(tmp_path: Path, name: str, made_by: Any) -> None:
    with pytest.raises(OutputError, match="made it"):
        CASES[name].write(tmp_path, made_by)
    assert not list(tmp_path.glob("labels*"))


def test_images_refuse_it_too(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="strings are needed; convert it"):
        write_image(tmp_path / "a.tif", np.zeros((3, 3)), {"threads": 2})  # type: ignore[dict-item]
    assert not (tmp_path / "a.tif").exists()


def test_the_longest_note_fits_everywhere(tmp_path: Path) -> None:
    made_by = {"a": "x" * (10_240 - len(compose_note({"a": ""})))}
    for number, case in enumerate(CASES.values()):
        assert read_made_by(case.write(tmp_path / str(number), made_by)) == made_by


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.nii", "a.nii.gz", "a.dcm", "a.jpg"])
def test_damaged_and_missing_files_are_reported(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match="does not exist"):
        read_made_by(tmp_path / name)
    (tmp_path / name).write_bytes(b"none of these" * 50)
    if name != "a.jpg":
        with pytest.raises(ImageError, match=r"damaged|no DICOM"):
            read_made_by(tmp_path / name)
