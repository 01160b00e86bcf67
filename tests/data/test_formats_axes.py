import string
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from unetscope.data.formats.registry import LABEL_SUFFIXES, SUFFIXES, is_series, stem_of, suffix_of
from unetscope.data.images import count_channels, label_ndim, open_stack, read_image, read_labels, write_labels
from unetscope.errors import ImageError

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 65536, (5, 6, 9), np.uint16)
LENGTHS = {"T": 4, "Z": 5, "C": 2, "Y": 6, "X": 9}


def save(path: Path, array: np.ndarray, axes: str | None, kind: str = "shaped") -> None:
    """Write a TIFF that says what its axes are, or only its shape, or nothing."""
    options = {"imagej": {"imagej": True}, "ome": {"ome": True}}.get(kind, {})
    metadata = None if kind == "plain" else {"axes": axes} if axes else {}
    tifffile.imwrite(path, array, metadata=metadata, photometric="minisblack", **options)


# ---------------------------------------------------------------------------------------------------- axes by the user


@settings(deadline=None, max_examples=60)
@given(axes=st.permutations("TZCYX").flatmap(lambda order: st.integers(2, 5).map(lambda n: "".join(order[:n]))))
@pytest.mark.parametrize("name", ["a.npy", "a.tif"])
def test_axes_mean_what_they_say(tmp_path_factory: pytest.TempPathFactory, name: str, axes: str) -> None:
    """Every order of every choice of axes: the stack holds the pixel of the file that its indices name."""
    path = tmp_path_factory.mktemp("axes") / name
    array = RNG.integers(0, 9999, [LENGTHS[axis] for axis in axes], np.uint16)
    np.save(path, array) if name == "a.npy" else save(path, array, None)
    if not {"Y", "X"} <= set(axes):
        with pytest.raises(ImageError, match=r"say what its axes are|one letter for each"):
            open_stack(path, axes)
        return
    stack = open_stack(path, axes.lower())
    pages = [axis for axis in axes if axis in "TZ"]
    order = [axes.index(axis) for axis in (*pages, *(axis for axis in "CYX" if axis in axes))]
    count = int(np.prod([LENGTHS[axis] for axis in pages]))
    channels = LENGTHS["C"] if "C" in axes else 1
    np.testing.assert_array_equal(stack, array.transpose(order).reshape(count, channels, 6, 9))
    if not pages:
        np.testing.assert_array_equal(read_image(path, 2, axes), stack[0])
    if pages == ["Z"]:
        np.testing.assert_array_equal(read_image(path, 3, axes), stack.swapaxes(0, 1))
        assert count_channels(path, 3, axes) == channels


@pytest.mark.parametrize("kind", ["imagej", "ome", "shaped"])
@pytest.mark.parametrize(("said", "meant"), [("TYX", "ZYX"), ("ZYX", "CYX"), ("CYX", "ZYX")])
def test_the_user_comes_before_the_file(tmp_path: Path, kind: str, said: str, meant: str) -> None:
    save(tmp_path / "a.tif", STACK, said, kind)
    ndim = 3 if "Z" in meant else 2
    expected = STACK[None] if "Z" in meant else STACK
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", ndim, meant), expected)
    assert count_channels(tmp_path / "a.tif", ndim, meant) == len(expected)


@pytest.mark.parametrize("axes", ["ZY", "ZZYX", "TZYX", "QYX", "ZXX", "", "Z Y"])
def test_axes_that_do_not_fit_are_refused(tmp_path: Path, axes: str) -> None:
    save(tmp_path / "a.tif", STACK, "TYX", "imagej")
    with pytest.raises(ImageError, match=r"a\.tif has the axes TYX of lengths \(5, 6, 9\), and the axes .* were given"):
        read_image(tmp_path / "a.tif", 3, axes)


def test_colors_are_named_too(tmp_path: Path) -> None:
    pages = RNG.integers(0, 256, (5, 6, 9, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="rgb")
    for axes in ("ZYXC", "ZYXS", None):
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif", 3, axes), pages.transpose(3, 0, 1, 2))
    with pytest.raises(ImageError, match=r"axes QYXS of lengths \(5, 6, 9, 3\)"):
        read_image(tmp_path / "a.tif", 3, "ZYX")


def test_axes_of_length_1_count_when_all_are_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", STACK[None])
    for axes in ("CZYX", "TZYX", "ZYX"):
        np.testing.assert_array_equal(read_image(tmp_path / "a.npy", 3, axes), STACK[None])


# ---------------------------------------------------------------------------------------------------------------- pages


@pytest.mark.parametrize(
    ("axes", "kind"),
    [(None, "plain"), (None, "shaped"), ("ZYX", "shaped"), ("QYX", "shaped"), ("IYX", "shaped"), ("RYX", "shaped")],
)
def test_pages_without_a_name_are_z(tmp_path: Path, axes: str | None, kind: str) -> None:
    save(tmp_path / "a.tif", STACK, axes, kind)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", 3), STACK[None])


@pytest.mark.parametrize("kind", ["imagej", "ome", "shaped"])
def test_time_is_no_depth(tmp_path: Path, kind: str) -> None:
    save(tmp_path / "a.tif", STACK, "TYX", kind)
    with pytest.raises(ImageError, match=r"a\.tif holds 5 pages that it calls time, .*; say --axes ZYX if they are z"):
        read_image(tmp_path / "a.tif", 3)
    with pytest.raises(ImageError, match="5 pages, and one 2D image was needed"):
        read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(open_stack(tmp_path / "a.tif"), STACK[:, None])


@pytest.mark.parametrize("axes", ["TYX", "ZYX"])
def test_pages_of_labels_are_z(tmp_path: Path, axes: str) -> None:
    save(tmp_path / "a.tif", STACK, axes, "imagej")
    assert label_ndim(tmp_path / "a.tif") == 3
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif", 3), STACK)


@pytest.mark.parametrize("name", ["a.tif", "a.npy"])
def test_stacks_are_mapped_where_they_are_plain(tmp_path: Path, name: str) -> None:
    array = RNG.integers(0, 99, (2, 5, 6, 9), np.uint8)
    np.save(tmp_path / name, array) if name == "a.npy" else save(tmp_path / name, array, "CZYX")
    stack = open_stack(tmp_path / name, "CZYX")
    assert isinstance(stack, np.memmap)
    assert not stack.flags.writeable
    np.testing.assert_array_equal(stack, array.swapaxes(0, 1))


@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 3), (3, 6, 9), (5, 6, 9), (5, 3, 6, 9), (5, 6, 9, 3)])
def test_stacks_of_numpy_files(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = RNG.integers(0, 99, shape, np.uint8)
    np.save(tmp_path / "a.npy", array)
    channels_first = np.moveaxis(array, -1, -3) if shape[-1] == 3 else array
    pages = (5,) if shape[0] == 5 else ()
    expected = channels_first.reshape(*(pages or (1,)), -1, 6, 9)
    np.testing.assert_array_equal(open_stack(tmp_path / "a.npy"), expected)


def test_one_image_is_a_stack_of_one_page(tmp_path: Path) -> None:
    color = RNG.integers(0, 256, (6, 9, 3), np.uint8)
    Image.fromarray(color).save(tmp_path / "a.png")
    np.testing.assert_array_equal(open_stack(tmp_path / "a.png"), color.transpose(2, 0, 1)[None])


# ---------------------------------------------------------------------------------------------------------------- names


@given(
    stem=st.text(string.ascii_letters + string.digits + "._- ", min_size=1).filter(lambda stem: stem.strip(".")),
    suffix=st.sampled_from([suffix for suffix in SUFFIXES if ".ome" not in suffix]),
)
def test_names_are_stems_and_suffixes(stem: str, suffix: str) -> None:
    path = Path(stem + suffix)
    if not stem.lower().endswith(".ome"):
        assert (stem_of(path), suffix_of(path)) == (stem, suffix)
        assert suffix_of(Path(stem + suffix.upper())) == suffix
    assert stem_of(path) + path.name[len(stem_of(path)) :] == path.name


def test_photos_are_no_labels() -> None:
    assert {".jpg", ".jpeg"} == set(SUFFIXES) - set(LABEL_SUFFIXES)
    assert {".zip", ".roi", ".geojson"} == set(LABEL_SUFFIXES) - set(SUFFIXES)


def test_a_series_is_a_folder_of_dicom_files_only(tmp_path: Path) -> None:
    folder = tmp_path / "scan.1"
    folder.mkdir()
    assert not is_series(folder)
    (folder / "IM0001").write_bytes(bytes(128) + b"DICM")
    (folder / "2.DCM").write_bytes(b"")
    for name in (".DS_Store", "._2.dcm", "Thumbs.db", "DICOMDIR"):
        (folder / name).write_bytes(b"junk")
    assert is_series(folder)
    assert stem_of(folder) == "scan.1"
    assert not is_series(folder / "2.DCM")
    (folder / "notes.txt").write_text("hello")
    assert not is_series(folder)


def test_outlines_need_the_size_of_their_image(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text('{"type": "Polygon", "coordinates": [[[1, 0], [3, 0], [3, 2], [1, 2]]]}')
    assert label_ndim(path) == 2
    np.testing.assert_array_equal(read_labels(path, shape=(3, 4)), [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]])
    with pytest.raises(ImageError, match=r"a\.geojson holds outlines without a size"):
        read_labels(path)


# ---------------------------------------------------------------------------------------------------------------- DICOM


def test_a_segmentation_lies_on_the_planes_of_its_image(shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scan"
    folder.mkdir()
    for name in ("01.dcm", "02.dcm", "03.dcm"):
        (folder / name).write_bytes((shared_data / "dicom_seg_liver" / name).read_bytes())
    image = read_image(folder, 3)
    labels = read_labels(shared_data / "dicom_seg_liver" / "liver.dcm", 3, image=folder)
    assert labels.shape == image.shape[1:]
    assert labels.any()
    write_labels(tmp_path / "b.dcm", labels, like=folder, classes=("background", "liver"))
    np.testing.assert_array_equal(read_labels(tmp_path / "b.dcm", 3, image=folder), labels)
    assert label_ndim(tmp_path / "b.dcm") == 3
