import struct
import zlib
from functools import cache
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from unetscope.data.formats.registry import suffix_of
from unetscope.data.images import (
    SUFFIXES,
    count_channels,
    label_ndim,
    read_image,
    read_labels,
    read_spacing,
    saved_suffix,
    write_image,
    write_labels,
)
from unetscope.errors import ImageError, OutputError

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (6, 9), np.uint8)
DEEP = RNG.integers(0, 65536, (6, 9), np.uint16)
COLOR = RNG.integers(0, 256, (6, 9, 3), np.uint8)
STACK = RNG.integers(0, 65536, (5, 6, 9), np.uint16)


def with_alpha(color: np.ndarray, alpha: np.ndarray | int) -> np.ndarray:
    return np.dstack([color, np.broadcast_to(np.uint8(alpha), color.shape[:2])])


def png(rows: bytes, width: int, height: int, depth: int, color_type: int = 0) -> bytes:
    """A PNG made by hand, for what no writer makes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


# ------------------------------------------------------------------------------------------------------ round trips

WRITTEN = (".png", ".tif", ".ome.tif", ".npy", ".nii", ".nii.gz")
DTYPES = ["u1", "u2", "u4", "i2", "i4", "f2", "f4", "f8"]


@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".npy", ".TIF", ".NPY"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 6, 9), (3, 6, 9), (2, 5, 6, 9), (1, 1, 6, 9)])
def test_what_is_written_is_read(tmp_path: Path, suffix: str, dtype: str, shape: tuple[int, ...]) -> None:
    image = (RNG.random(shape) * 100).astype(dtype)
    path = tmp_path / f"a{suffix}"
    write_image(path, image)
    back = read_image(path, ndim=len(shape) - 1)
    assert back.dtype == image.dtype
    np.testing.assert_array_equal(back, image)
    assert count_channels(path, len(shape) - 1) == shape[0]


@settings(deadline=None, max_examples=60)
@given(
    labels=hnp.arrays(
        st.sampled_from([bool, np.uint8, np.int64, np.uint32]), hnp.array_shapes(min_dims=2, max_dims=3, max_side=6)
    ).map(abs),
    suffix=st.sampled_from(WRITTEN),
)
def test_labels_survive_in_the_smallest_type(
    tmp_path_factory: pytest.TempPathFactory, labels: np.ndarray, suffix: str
) -> None:
    path = tmp_path_factory.mktemp("labels") / f"a{suffix}"
    high = int(labels.max())
    fits = labels.min() >= 0 and high < 2**32 and (suffix != ".png" or (labels.ndim == 2 and high < 2**16))
    if not fits:
        with pytest.raises(OutputError):
            write_labels(path, labels)
        assert not path.exists()
        return
    write_labels(path, labels)
    back = read_labels(path, labels.ndim)
    assert back.dtype == np.min_scalar_type(high)
    np.testing.assert_array_equal(back, labels)


def test_a_png_that_cannot_hold_it_names_tif(tmp_path: Path) -> None:
    for write, array in [
        (write_labels, STACK),
        (write_labels, np.array([[70_000]])),
        (write_image, GRAY / 3),
        (write_image, COLOR.transpose(2, 0, 1).astype(np.uint16)),
    ]:
        with pytest.raises(OutputError, match=r"write a\.tif instead"):
            write(tmp_path / "a.png", array)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("image", [GRAY, DEEP, GRAY[None], COLOR.transpose(2, 0, 1)])
def test_png_images_survive(tmp_path: Path, image: np.ndarray) -> None:
    write_image(tmp_path / "a.png", image)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), image.reshape(-1, 6, 9))
    assert count_channels(tmp_path / "a.png") == len(image.reshape(-1, 6, 9))


@pytest.mark.parametrize("name", ["a.gif", "a", "a.ome.zarr", "a.gz", ".DS_Store"])
def test_unknown_endings_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ImageError, match=r"\.png, \.jpg, .*\.nii\.gz and \.dcm are read"):
        read_image(tmp_path / name)
    with pytest.raises(ImageError, match="convert it"):
        saved_suffix(tmp_path / name)
    with pytest.raises(OutputError, match="choose one"):
        write_image(tmp_path / name, GRAY)


def test_saved_suffix_keeps_the_format() -> None:
    kept = [".png", ".tif", ".tiff", ".ome.tif", ".npy", ".nii", ".nii.gz", ".dcm"]
    assert [saved_suffix(Path(f"a{suffix.upper()}")) for suffix in kept] == kept
    assert saved_suffix(Path("a.jpg")) == saved_suffix(Path("a.JPEG")) == ".png"


# --------------------------------------------------------------------------------------------------------- mapping


@pytest.mark.parametrize("name", ["a.npy", "a.tif"])
def test_plain_files_are_mapped_read_only(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    np.save(path, STACK) if name == "a.npy" else tifffile.imwrite(path, STACK, metadata={"axes": "ZYX"})
    image = read_image(path, ndim=3)
    assert isinstance(image, np.memmap)
    assert not image.flags.writeable
    np.testing.assert_array_equal(image, STACK[None])


def test_foreign_byte_order_becomes_ours(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, byteorder=">")
    np.save(tmp_path / "a.npy", STACK.astype(">u2"))
    for name in ("a.tif", "a.npy"):
        image = read_image(tmp_path / name, ndim=3)
        assert image.dtype.isnative
        np.testing.assert_array_equal(image[0], STACK)


# ------------------------------------------------------------------------------------------------------------- PNG


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (Image.fromarray(GRAY > 99), (GRAY > 99).astype(np.uint8)[None]),
        (Image.fromarray(GRAY), GRAY[None]),
        (Image.fromarray(DEEP), DEEP[None]),
        (Image.fromarray(COLOR), COLOR.transpose(2, 0, 1)),
        (Image.fromarray(with_alpha(COLOR, 255)), COLOR.transpose(2, 0, 1)),
        (Image.fromarray(np.dstack([GRAY, np.full_like(GRAY, 7)])), GRAY[None]),
    ],
    ids=["1", "L", "I;16", "RGB", "RGBA", "LA"],
)
def test_png_modes(tmp_path: Path, stored: Image.Image, expected: np.ndarray) -> None:
    stored.save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == expected.dtype
    np.testing.assert_array_equal(image, expected)
    assert count_channels(tmp_path / "a.png") == len(expected)


@pytest.mark.parametrize("transparent", [None, 1])
def test_a_palette_is_colors_for_images_and_indices_for_labels(tmp_path: Path, transparent: int | None) -> None:
    indices, table = np.array([[0, 2], [2, 0]], np.uint8), np.array([[9, 8, 7], [0, 0, 0], [1, 2, 3]], np.uint8)
    picture = Image.fromarray(indices)
    picture.putpalette(table.tobytes())
    picture.save(tmp_path / "a.png", **({} if transparent is None else {"transparency": transparent}))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), table[indices].transpose(2, 0, 1))
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), indices)


def test_16_bit_colors_keep_their_bits(tmp_path: Path) -> None:
    color = RNG.integers(0, 65536, (6, 9, 3), np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(color))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), color.transpose(2, 0, 1))


@pytest.mark.parametrize(("depth", "rows"), [(1, b"\0\x50"), (2, b"\0\x1b"), (4, b"\0\x01\x23")])
def test_labels_of_few_bits_are_not_stretched(tmp_path: Path, depth: int, rows: bytes) -> None:
    (tmp_path / "a.png").write_bytes(png(rows, 4, 1, depth))
    expected = [[0, 1, 0, 1]] if depth == 1 else [[0, 1, 2, 3]]
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_alpha_that_varies_is_refused(tmp_path: Path, name: str) -> None:
    stored = with_alpha(COLOR, GRAY)
    path = tmp_path / name
    Image.fromarray(stored).save(path) if name == "a.png" else tifffile.imwrite(path, stored, photometric="rgb")
    with pytest.raises(ImageError, match=rf"{name} has an alpha channel with values from .* without its alpha"):
        read_image(path)


def test_large_pngs_are_read_and_pillow_stays_as_it_was(tmp_path: Path) -> None:
    limit, side = Image.MAX_IMAGE_PIXELS, 20_000
    (tmp_path / "a.png").write_bytes(png(bytes(side // 8 + 1) * side, side, side, 1))
    assert limit is not None and side**2 > 2 * limit
    assert count_channels(tmp_path / "a.png") == 1
    assert limit == Image.MAX_IMAGE_PIXELS


# ------------------------------------------------------------------------------------------------------------ TIFF


@pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True}, {}], ids=["imagej", "ome", "shaped"])
@pytest.mark.parametrize("axes", ["YX", "CYX", "ZYX", "ZCYX"])
def test_tiff_axes(tmp_path: Path, options: dict, axes: str) -> None:
    array = RNG.integers(0, 9, tuple({"Z": 5, "C": 2, "Y": 6, "X": 9}[axis] for axis in axes)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", array, metadata={"axes": axes}, photometric="minisblack", **options)
    ndim = 3 if "Z" in axes else 2
    image = read_image(tmp_path / "a.tif", ndim)
    expected = array.swapaxes(0, 1) if axes == "ZCYX" else array
    np.testing.assert_array_equal(image, expected.reshape(image.shape))
    assert image.shape == (2 if "C" in axes else 1, *(5,) * (ndim - 2), 6, 9)
    assert count_channels(tmp_path / "a.tif", ndim) == len(image)
    assert label_ndim(tmp_path / "a.tif") == ndim


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_rgb_tiffs(tmp_path: Path, planar: str) -> None:
    stored = COLOR if planar == "contig" else COLOR.transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), COLOR.transpose(2, 0, 1))


def test_constant_alpha_of_a_tiff_is_dropped(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", with_alpha(COLOR, 255), photometric="rgb")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), COLOR.transpose(2, 0, 1))
    assert count_channels(tmp_path / "a.tif") == 3


def test_pages_of_a_plain_stack_are_z(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, metadata=None, compression="zlib")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", ndim=3), STACK[None])
    with pytest.raises(ImageError, match=r"a\.tif holds 5 pages, and one 2D image was needed; save each page"):
        read_image(tmp_path / "a.tif")


def test_time_series_of_volumes_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK[None].repeat(2, 0), metadata={"axes": "TZYX"})
    with pytest.raises(ImageError, match=r"axes TZYX of lengths .* each of its volumes"):
        read_image(tmp_path / "a.tif", ndim=3)


def test_one_plane_is_no_volume(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", DEEP)
    write_image(tmp_path / "a.png", DEEP)
    for name in ("a.tif", "a.png"):
        with pytest.raises(ImageError, match=r"is one 2D image, and a volume \(z, y, x\) was needed"):
            read_image(tmp_path / name, ndim=3)


def test_images_of_different_sizes_in_one_file_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(GRAY)
        file.write(GRAY[:3])
    with pytest.raises(ImageError, match="holds 2 images of different sizes"):
        read_image(tmp_path / "a.tif")


# ----------------------------------------------------------------------------------------------------------- NumPy


@pytest.mark.parametrize(
    ("shape", "ndim", "expected"),
    [
        ((6, 9), 2, (1, 6, 9)),
        ((6, 9, 3), 2, (3, 6, 9)),
        ((3, 6, 9), 2, (3, 6, 9)),
        ((3, 9, 4), 2, (3, 9, 4)),
        ((5, 6, 9), 3, (1, 5, 6, 9)),
        ((2, 5, 6, 9), 3, (2, 5, 6, 9)),
        ((5, 6, 9, 2), 3, (2, 5, 6, 9)),
        ((3, 6, 9, 2), 3, (3, 6, 9, 2)),
    ],
)
def test_axes_of_numpy_files(tmp_path: Path, shape: tuple[int, ...], ndim: int, expected: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape))
    assert read_image(tmp_path / "a.npy", ndim).shape == expected


@pytest.mark.parametrize(
    ("array", "ndim", "words"),
    [
        (np.zeros((5, 6, 9)), 2, "5 pages, and one 2D image was needed"),
        (np.zeros((5, 8, 6, 9)), 2, r"shape \(5, 8, 6, 9\), and \(y, x\) or \(channels, y, x\)"),
        (np.zeros(7), 2, "was needed"),
        (np.zeros((6, 9)), 3, r"or \(z, y, x\)"),
        (np.zeros((6, 9), complex), 2, "complex128"),
        (np.zeros((6, 9), "M8[s]"), 2, "datetime64"),
        (np.zeros((6, 9), [("a", "u1")]), 2, "integers or floats"),
        (np.array([["a"]]), 2, "integers or floats"),
        (np.array([[{}]]), 2, "cannot be read as npy .*Python objects"),
        (np.zeros((0, 9)), 2, "npy"),
    ],
)
def test_arrays_that_are_no_images(tmp_path: Path, array: np.ndarray, ndim: int, words: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ImageError, match=words):
        read_image(tmp_path / "a.npy", ndim)


def test_archives_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", GRAY)
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(ImageError, match="archive of several arrays"):
        read_image(tmp_path / "a.npy")


@pytest.mark.parametrize(("shape", "ndim"), [((6, 9), 2), ((6, 9, 3), 2), ((5, 6, 9), 3)])
def test_label_ndim_of_numpy_files(tmp_path: Path, shape: tuple[int, ...], ndim: int) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    assert label_ndim(tmp_path / "a.npy") == ndim
    assert read_labels(tmp_path / "a.npy", ndim).shape == ((3, 6, 9) if shape[-1] == 3 else shape)


# ---------------------------------------------------------------------------------------------------------- labels


def test_whole_floats_are_labels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GRAY.astype(np.float32))
    labels = read_labels(tmp_path / "a.tif")
    assert labels.dtype.kind == "i"
    np.testing.assert_array_equal(labels, GRAY)


@pytest.mark.parametrize(("value", "words"), [(0.5, "fractions"), (np.nan, "NaN"), (np.inf, "whole"), (-1, "value -1")])
def test_other_floats_and_negative_labels_are_refused(tmp_path: Path, value: float, words: str) -> None:
    np.save(tmp_path / "a.npy", np.array([[0.0, value]]))
    with pytest.raises(ImageError, match=words):
        read_labels(tmp_path / "a.npy")


def test_labels_of_two_channels_are_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "a.tif", np.stack([GRAY, GRAY]))
    with pytest.raises(ImageError, match=r"a\.tif has 2 channels, and a label image has 1"):
        read_labels(tmp_path / "a.tif")


# --------------------------------------------------------------------------------------------------- damaged files


@cache
def sources(folder: Path) -> list[tuple[Path, int]]:
    """Intact files of every format, with their number of spatial axes."""
    folder.mkdir(exist_ok=True)
    Image.fromarray(COLOR).save(folder / "color.png")
    (folder / "deep.png").write_bytes(imagecodecs.png_encode(np.dstack([DEEP] * 3)))
    np.save(folder / "a.npy", STACK)
    tifffile.imwrite(folder / "plain.tif", STACK)
    tifffile.imwrite(folder / "zlib.tif", STACK, compression="zlib")
    tifffile.imwrite(folder / "pages.tif", STACK, metadata=None)
    tifffile.imwrite(folder / "imagej.tif", STACK, imagej=True, metadata={"axes": "ZYX"})
    tifffile.imwrite(folder / "a.ome.tif", STACK, ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 0.5})
    for name in ("a.nii", "a.nii.gz"):
        write_labels(folder / name, STACK)
    return [(path, 2 if path.suffix == ".png" else 3) for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("index", range(10))
def test_truncated_files_are_refused_or_complete(tmp_path: Path, index: int) -> None:
    path, ndim = sources(tmp_path / "whole")[index]
    content, expected = path.read_bytes(), read_image(path, ndim)
    cut, refused = tmp_path / path.name, 0
    for length in range(0, len(content), max(1, len(content) // 60)):
        cut.write_bytes(content[:length])
        try:
            np.testing.assert_array_equal(read_image(cut, ndim), expected)
        except ImageError as error:
            refused += 1
            assert str(cut) in str(error) and "\n" not in str(error)
    assert refused > 20


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_damage_never_ends_in_another_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.getbasetemp() / "damage"
    path, ndim = data.draw(st.sampled_from(sources(folder)))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content) - 1, 400)))] = data.draw(st.integers(0, 255))
    damaged = path.with_name(f"damaged{suffix_of(path)}")
    damaged.write_bytes(content)
    for read in (read_image, read_labels, count_channels, read_spacing):
        try:
            read(damaged, ndim)
        except ImageError:
            continue


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing_empty_and_nonsense_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    for read in (read_image, read_labels, label_ndim):
        with pytest.raises(ImageError, match="does not exist"):
            read(path)
    path.write_bytes(b"")
    with pytest.raises(ImageError, match=r"is empty \(0 bytes\)"):
        read_image(path)
    path.write_bytes(b"GIF89a, or so it says" * 9)
    with pytest.raises(ImageError, match=r"damaged or of another format|is no DICOM file"):
        read_image(path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)
