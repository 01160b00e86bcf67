import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from unetscope.data.formats.registry import open_picture
from unetscope.data.images import count_channels, label_ndim, read_image, read_labels, read_spacing, write_labels
from unetscope.data.spacing import Spacing
from unetscope.errors import ImageError

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (6, 9), np.uint8)
STACK = RNG.integers(0, 65536, (5, 6, 9), np.uint16)


def spacing_of(path: Path, ndim: int = 2) -> tuple[tuple[float, ...], str] | None:
    """Steps as exact as TIFF's fractions are, and the unit."""
    spacing = read_spacing(path, ndim)
    return spacing and (tuple(float(f"{step:.7g}") for step in spacing.steps), spacing.unit)


# ----------------------------------------------------------------------------------------------------- size of pixels


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"X": 0.65, "Y": 0.7, "Z": 2.5}, ((2.5, 0.7, 0.65), "µm")),
        ({"X": 0.65, "XUnit": "µm", "Y": 700, "YUnit": "nm", "Z": 0.0025, "ZUnit": "mm"}, ((2.5, 0.7, 0.65), "µm")),
        ({"X": 3, "XUnit": "mm", "Y": 4, "YUnit": "mm", "Z": 5, "ZUnit": "mm"}, ((5, 4, 3), "mm")),
        ({"X": 0.65, "Y": 0.7}, None),
        ({"X": 0.65, "Z": 2.5}, None),
        ({"X": 0, "Y": 0.7, "Z": 2.5}, None),
        ({"X": 1, "XUnit": "pixel", "Y": 1, "YUnit": "pixel", "Z": 1, "ZUnit": "pixel"}, None),
        ({"X": 1, "XUnit": "reference frame", "Y": 1, "YUnit": "mm", "Z": 1}, None),
    ],
)
def test_ome(tmp_path: Path, sizes: dict, expected: object) -> None:
    metadata = {"axes": "ZYX", **{f"PhysicalSize{name}": value for name, value in sizes.items()}}
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, metadata=metadata)
    assert spacing_of(tmp_path / "a.ome.tif", 3) == expected
    np.testing.assert_array_equal(read_image(tmp_path / "a.ome.tif", 3), STACK[None])


@pytest.mark.parametrize(
    ("noted", "expected"),
    [
        ({"unit": "um", "spacing": 2.5}, ((2.5, 0.5, 0.25), "µm")),
        ({"unit": "micron", "spacing": -2.5}, ((2.5, 0.5, 0.25), "µm")),
        ({"unit": "\\u00B5m", "spacing": 2.5}, ((2.5, 0.5, 0.25), "µm")),
        ({"unit": "mm", "spacing": 2.5}, ((2.5, 0.5, 0.25), "mm")),
        ({"unit": "um"}, None),
        ({"unit": "pixel", "spacing": 2.5}, None),
        ({"unit": "inch", "spacing": 2.5}, None),
        ({"spacing": 2.5}, None),
        ({"unit": "um", "zunit": "mm", "spacing": 2.5}, None),
    ],
)
def test_imagej(tmp_path: Path, noted: dict, expected: object) -> None:
    metadata = {"axes": "ZYX", **noted}
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, resolution=(4, 2), metadata=metadata)
    assert spacing_of(tmp_path / "a.tif", 3) == expected


@pytest.mark.parametrize(
    ("resolution", "unit", "expected"),
    [
        ((20_000, 10_000), "CENTIMETER", ((1.0, 0.5), "µm")),
        ((300, 300), "INCH", None),
        ((72, 72), "INCH", None),
        ((25_400, 25_400), "INCH", None),
        ((300 / 2.54, 300 / 2.54), "CENTIMETER", None),
        ((28, 28), "CENTIMETER", None),
        ((1, 1), "CENTIMETER", None),
        ((20_000, 20_000), "NONE", None),
    ],
)
def test_plain_resolution(tmp_path: Path, resolution: tuple[float, float], unit: str, expected: object) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GRAY, resolution=resolution, resolutionunit=unit)
    assert spacing_of(tmp_path / "a.tif") == expected


@pytest.mark.parametrize(("linear", "unit"), [(9001, "m"), (9003, "unit of the CRS"), (None, "unit of the CRS")])
@pytest.mark.parametrize("is_turned", [False, True])
def test_georeference(tmp_path: Path, linear: int | None, unit: str, is_turned: bool) -> None:
    keys = [(1024, 0, 1, 1), *([(3076, 0, 1, linear)] if linear else [])]
    directory = np.array([(1, 1, 0, len(keys)), *keys]).ravel()
    where = (33550, "d", 3, (0.5, 0.25, 0.0))
    if is_turned:
        where = (34264, "d", 16, (0.3, -0.15, 0, 7, 0.4, 0.2, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1))
    tags = [(*where, True), (34735, "H", len(directory), tuple(map(int, directory)), True)]
    tifffile.imwrite(tmp_path / "a.tif", GRAY, extratags=tags, metadata=None)
    assert spacing_of(tmp_path / "a.tif") == ((0.25, 0.5), unit)


# ------------------------------------------------------------------------------------------------------------ writing


@settings(deadline=None, max_examples=20)
@given(
    steps=st.tuples(*[st.floats(0.01, 100)] * 3),
    unit=st.sampled_from(["µm", "mm", "nm"]),
    high=st.sampled_from([1, 300, 70_000]),
    source=st.sampled_from(["a.tif", "a.ome.tif"]),
)
def test_labels_keep_the_size_of_pixels(
    tmp_path_factory: pytest.TempPathFactory, steps: tuple[float, ...], unit: str, high: int, source: str
) -> None:
    folder = tmp_path_factory.mktemp("tiff")
    z, y, x = steps
    if source == "a.tif":
        metadata = {"axes": "ZYX", "spacing": z, "unit": "um" if unit == "µm" else unit}
        tifffile.imwrite(folder / source, STACK, imagej=True, resolution=(1 / x, 1 / y), metadata=metadata)
    else:
        sizes = {f"PhysicalSize{axis}": step for axis, step in zip("ZYX", steps, strict=True)}
        units = {f"{name}Unit": unit for name in sizes}
        tifffile.imwrite(folder / source, STACK, metadata={"axes": "ZYX", **sizes, **units})
    labels = RNG.integers(0, high + 1, STACK.shape)
    labels[0, 0, 0] = high
    target = folder / source.replace("a", "b")
    write_labels(target, labels, like=folder / source)
    np.testing.assert_array_equal(read_labels(target, 3), labels)
    written = read_spacing(target, 3)
    assert written is not None and written.unit == unit
    np.testing.assert_allclose(written.steps, steps, rtol=1e-6)
    with tifffile.TiffFile(target) as file:
        is_ome = source == "a.ome.tif" or high > 65_535
        assert (file.is_ome, file.is_imagej) == (is_ome, not is_ome)
        assert file.pages[0].compression == tifffile.COMPRESSION.ADOBE_DEFLATE


def test_labels_of_a_time_series_stay_one(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, metadata={"axes": "TYX", "unit": "um"}, resolution=(2, 2))
    write_labels(tmp_path / "b.tif", np.ones(STACK.shape, np.uint8), like=tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.series[0].axes == "TYX"
    assert spacing_of(tmp_path / "b.tif") is None or label_ndim(tmp_path / "b.tif") == 3


def test_without_a_size_nothing_is_invented(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK)
    write_labels(tmp_path / "b.tif", np.ones(STACK.shape, np.uint8), like=tmp_path / "a.tif")
    assert read_spacing(tmp_path / "b.tif", 3) is None
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert json.loads(file.pages[0].description)["axes"] == "ZYX"


# -------------------------------------------------------------------------------------------------------------- alpha


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_gray_with_alpha(tmp_path: Path, name: str) -> None:
    def save(alpha: np.ndarray) -> None:
        options = {"photometric": "minisblack", "extrasamples": ["unassalpha"], "planarconfig": "contig"}
        tifffile.imwrite(tmp_path / name, np.dstack([GRAY, alpha]), metadata={"axes": "YXS"}, **options)

    save(np.full_like(GRAY, 255))
    np.testing.assert_array_equal(read_image(tmp_path / name), GRAY[None])
    np.testing.assert_array_equal(read_labels(tmp_path / name), GRAY)
    assert count_channels(tmp_path / name) == 1
    save(GRAY)
    with pytest.raises(ImageError, match=r"alpha channel with values from .*--axes YXC"):
        read_image(tmp_path / name)
    assert read_image(tmp_path / name, axes="YXC").shape == (2, 6, 9)
    assert count_channels(tmp_path / name, axes="YXC") == 2


def test_alpha_of_pages_that_are_channels(tmp_path: Path) -> None:
    """Each page loses its own."""
    pages = RNG.integers(0, 256, (2, 6, 9, 4), np.uint8)
    pages[..., 3] = 255
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="rgb", metadata={"axes": "CYXS"})
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image, pages[..., :3].transpose(0, 3, 1, 2).reshape(6, 6, 9))
    assert count_channels(tmp_path / "a.tif") == 6


def test_planar_alpha(tmp_path: Path) -> None:
    planes = RNG.integers(0, 256, (4, 6, 9), np.uint8)
    planes[3] = 0
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), planes[:3])


def test_the_header_is_all_that_is_read(tmp_path: Path) -> None:
    """The pixels of a compressed file may be broken: counting does not touch them."""
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression="zlib", metadata={"axes": "CYX"})
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        start = file.pages[0].dataoffsets[0]
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[start : start + 40] = bytes(40)
    (tmp_path / "a.tif").write_bytes(content)
    assert count_channels(tmp_path / "a.tif") == 5
    assert open_picture(tmp_path / "a.tif", 2).axes == "CYX"
    with pytest.raises(ImageError):
        read_image(tmp_path / "a.tif")


def test_spacing_is_a_spacing(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GRAY, resolution=(20_000, 10_000), resolutionunit="CENTIMETER")
    assert read_spacing(tmp_path / "a.tif") == Spacing((1.0, 0.5), "µm")


def test_a_depth_that_is_no_size_leaves_the_others(tmp_path: Path) -> None:
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 0}
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK[:1], metadata={"axes": "ZYX", **sizes})
    assert spacing_of(tmp_path / "a.ome.tif", 2) == ((0.5, 0.5), "µm")
    assert spacing_of(tmp_path / "a.ome.tif", 3) is None


def test_one_plane_of_a_volume_stays_a_volume(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK[:1], metadata={"axes": "ZYX"})
    write_labels(tmp_path / "b.tif", np.ones((1, 6, 9), np.uint8), like=tmp_path / "a.tif")
    assert read_labels(tmp_path / "b.tif", 3).shape == (1, 6, 9)


def test_a_georeference_survives(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(0.2, 0, 500_000, 0, -0.3, 5_300_000)}
    with rasterio.open(tmp_path / "a.tif", "w", "GTiff", 9, 6, 3, dtype="uint8", **place) as file:
        file.write(np.stack([GRAY] * 3))
    assert spacing_of(tmp_path / "a.tif") == ((0.3, 0.2), "m")
    write_labels(tmp_path / "b.tif", GRAY, like=tmp_path / "a.tif")
    np.testing.assert_array_equal(read_labels(tmp_path / "b.tif"), GRAY)
    assert spacing_of(tmp_path / "b.tif") == ((0.3, 0.2), "m")
    with rasterio.open(tmp_path / "b.tif") as file:
        assert (file.crs, file.transform) == (place["crs"], place["transform"])
