import resource
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

from unetscope.data.formats.geotiff import has_georeference, write_geotiff_like
from unetscope.errors import ImageError, OutputError

RNG = np.random.default_rng(0)
UTM = CRS.from_epsg(32633)
NORTH_UP = Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000)
TURNED = Affine.translation(500_000, 5_400_000) @ Affine.rotation(25) @ Affine.scale(0.3, -0.7)


def save_image(path: Path, transform: Affine | None = NORTH_UP, crs: Any = UTM, **more: Any) -> Path:
    tags = more.pop("tags", {})
    layout = {"driver": "GTiff", "height": 5, "width": 8, "count": 3, "dtype": "uint8", **more}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        file = rasterio.open(path, "w", **layout, **({"transform": transform, "crs": crs} if transform else {}))
    with file:
        file.write(RNG.integers(0, 256, (3, 5, 8), np.uint8))
        file.update_tags(**tags)
    return path


def check_alike(path: Path, source: Path, labels: np.ndarray) -> None:
    with rasterio.open(path) as made, rasterio.open(source) as image:
        assert made.transform == image.transform
        assert made.crs == image.crs
        assert made.tags().get("AREA_OR_POINT") == image.tags().get("AREA_OR_POINT")
        assert made.nodata is None and made.count == 1
        assert np.array_equal(made.read(1), labels)
    assert np.array_equal(tifffile.imread(path), labels)
    assert sorted(file.name for file in path.parent.iterdir()) == sorted({path.name, source.name})


@given(st.tuples(*[st.floats(-1e4, 1e4)] * 2), st.floats(0, 360), st.floats(0.01, 50), st.floats(0.01, 50))
@settings(max_examples=25, deadline=None)
def test_labels_lie_where_their_image_lies(
    tmp_path_factory: pytest.TempPathFactory, corner: Any, angle: float, width: float, height: float
) -> None:
    folder = tmp_path_factory.mktemp("geo")
    placed = Affine.translation(*corner) @ Affine.rotation(angle) @ Affine.scale(width, -height)
    source = save_image(folder / "image.tif", placed)
    labels = RNG.integers(0, 4, (5, 8))
    write_geotiff_like(folder / "labels.tif", labels, source)
    check_alike(folder / "labels.tif", source, labels)


@pytest.mark.parametrize("transform", [NORTH_UP, TURNED])
@pytest.mark.parametrize("crs", [UTM, CRS.from_epsg(4326), None])
@pytest.mark.parametrize("point", ["Area", "Point"])
def test_systems_and_meanings_of_a_pixel_are_kept(tmp_path: Path, transform: Affine, crs: Any, point: str) -> None:
    source = save_image(tmp_path / "image.tif", transform, crs, tags={"AREA_OR_POINT": point}, nodata=7)
    labels = RNG.integers(0, 9, (5, 8), np.uint8)
    write_geotiff_like(tmp_path / "labels.tif", labels, source)
    check_alike(tmp_path / "labels.tif", source, labels)
    assert has_georeference(source) and has_georeference(tmp_path / "labels.tif")


def test_control_points_are_kept(tmp_path: Path) -> None:
    points = [
        GroundControlPoint(row, col, 10.0 * col, -7.0 * row + col) for row, col in ((0, 0), (0, 8), (5, 0), (5, 8))
    ]
    source = save_image(tmp_path / "image.tif", None, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        file = rasterio.open(source, "r+")
    with file:
        file.gcps = (points, UTM)
    write_geotiff_like(tmp_path / "labels.tif", np.ones((5, 8), int), source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        made = rasterio.open(tmp_path / "labels.tif")
    with made:
        kept, system = made.gcps
        assert system == UTM and np.array_equal(made.read(1), np.ones((5, 8)))
    assert [(p.row, p.col, p.x, p.y) for p in kept] == [(p.row, p.col, p.x, p.y) for p in points]


@pytest.mark.parametrize(("high", "dtype"), [(1, "uint8"), (255, "uint8"), (256, "uint16"), (70_000, "uint32")])
def test_the_smallest_type_is_taken(tmp_path: Path, high: int, dtype: str) -> None:
    labels = np.zeros((5, 8), np.int64)
    labels[2, 3] = high
    write_geotiff_like(tmp_path / "a.tif", labels, save_image(tmp_path / "image.tif"))
    assert tifffile.imread(tmp_path / "a.tif").dtype == dtype


def test_plain_files_have_no_georeference(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 8), np.uint8), resolution=(3, 3))
    assert not has_georeference(tmp_path / "a.tif")
    (tmp_path / "b.tif").write_bytes(b"II*\0")
    with pytest.raises(ImageError, match=r"b.tif cannot be read"):
        has_georeference(tmp_path / "b.tif")


@pytest.mark.parametrize(
    "labels", [np.zeros((8, 5), int), np.zeros((1, 5, 8), int), np.full((5, 8), -1), np.ones((5, 8))]
)
def test_labels_that_do_not_fit_are_refused(tmp_path: Path, labels: np.ndarray) -> None:
    source = save_image(tmp_path / "image.tif")
    with pytest.raises(OutputError, match=r"image.tif has the shape \(5, 8\)"):
        write_geotiff_like(tmp_path / "labels.tif", labels, source)
    assert [file.name for file in tmp_path.iterdir()] == ["image.tif"]


@pytest.mark.parametrize("size", [400, 3000])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, size: int) -> None:
    source, path = tmp_path / "image.tif", tmp_path / "labels.tif"
    layout = {"driver": "GTiff", "height": size, "width": size, "count": 1, "dtype": "uint8", "sparse_ok": True}
    rasterio.open(source, "w", **layout, transform=NORTH_UP, crs=UTM).close()
    path.write_bytes(b"old")
    labels = RNG.integers(0, 200, (size, size), np.uint8)
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"labels.tif cannot be written \(File too large\)"):
            write_geotiff_like(path, labels, source)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_source_that_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image.tif").write_bytes(b"II*\0 text")
    with pytest.raises(ImageError, match=r"image.tif cannot be read"):
        write_geotiff_like(tmp_path / "labels.tif", np.ones((5, 8), int), tmp_path / "image.tif")


def test_without_rasterio_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = save_image(tmp_path / "image.tif")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    assert has_georeference(source)
    with pytest.raises(OutputError, match=r"needs rasterio, .*pip install 'unetscope\[geo\]'"):
        write_geotiff_like(tmp_path / "labels.tif", np.ones((5, 8), int), source)
