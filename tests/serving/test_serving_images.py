"""What becomes of files that strangers drop: an array, or one sentence that tells no secrets."""

from __future__ import annotations

import tracemalloc
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live_page import draw, make_network, to_png

from unetscope.data.formats.registry import SUFFIXES
from unetscope.data.images import write_image
from unetscope.errors import DataError, ImageError, RecipeError, UnetscopeError
from unetscope.model.spec import UNetSpec
from unetscope.serving.images import Limits, Opened, clean_name, open_dropped, temporary_name
from unetscope.serving.refusals import RefusalError

FLAT = make_network().segmenter
COLORED = make_network(UNetSpec.by_level((4, 8), image_channels=3)).segmenter
DEEP = make_network(UNetSpec.by_level((2, 4), ndim=3)).segmenter
LIMITS = Limits(megapixels=0.1, megabytes=1)
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def drop(folder: Path, content: bytes, name: str = "cells.png", segmenter=FLAT, limits=LIMITS, **more) -> Opened:
    path = folder / temporary_name(name)
    path.write_bytes(content)
    return open_dropped(segmenter, path, clean_name(name), limits, **more)


def to_tiff(pixels: np.ndarray, **options) -> bytes:
    buffer = BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


# ------------------------------------------------------------------------------------------------------------- names


@QUICK
@given(name=st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_no_name_steers_anything(name):
    shown = clean_name(name)
    assert 0 < len(shown) <= 80
    assert not set(shown) & set("/\\\0\n\r\t\x1b\x7f\u202e\u2066\u200f")
    shown.encode()
    try:
        safe = temporary_name(name)
    except RefusalError as error:
        assert error.status == 415
    else:
        assert safe in {f"dropped{suffix}" for suffix in SUFFIXES}


@pytest.mark.parametrize(
    "name", ["../../etc/cron.d/x.png", "/etc/x.png", "C:\\x.png", "x.png\0.exe.png", "....//x.PNG", "a\r\nb.png"]
)
def test_a_name_with_folders_is_a_name(name):
    assert temporary_name(name) == "dropped.png"


@pytest.mark.parametrize("name", ["", ".", "..", "x", "x.exe", ".png", "x.png/", "x.png.exe", "x.geojson", "png"])
def test_what_does_not_end_like_an_image_is_refused(name):
    if name in (".png", "x.png/"):
        return  # hidden files and folders end like images, and are none
    with pytest.raises(RefusalError, match="does not end like an image"):
        temporary_name(name)


# ------------------------------------------------------------------------------------------------------------- arrays


@pytest.mark.parametrize("suffix", [".png", ".tif", ".ome.tif", ".npy"])
def test_an_image_is_read_as_everywhere(tmp_path, suffix):
    image = draw(20, 30)
    write_image(tmp_path / f"written{suffix}", image)
    opened = drop(tmp_path, (tmp_path / f"written{suffix}").read_bytes(), f"cells{suffix}")
    np.testing.assert_array_equal(opened.pages, image[None, None])
    assert (opened.name, opened.planes) == (f"cells{suffix}", 1)


def test_nothing_depends_on_the_file_any_more(tmp_path):
    image = draw(20, 30)
    opened = drop(tmp_path, to_tiff(image), "cells.tif")
    (tmp_path / "dropped.tif").write_bytes(to_tiff(255 - image))
    np.testing.assert_array_equal(opened.pages[0, 0], image)


def test_gray_images_are_repeated_for_a_network_of_colors(tmp_path):
    opened = drop(tmp_path, to_png(draw(9, 8)), segmenter=COLORED)
    assert opened.pages.shape == (1, 3, 9, 8)


def test_stacks_have_pages_and_volumes_planes(tmp_path):
    stack = to_tiff(draw(5, 20, 30), metadata={"axes": "ZYX"})
    pages, volume = drop(tmp_path, stack, "s.tif"), drop(tmp_path, stack, "s.tif", DEEP)
    assert (pages.pages.shape, volume.pages.shape) == ((5, 1, 20, 30), (1, 1, 5, 20, 30))
    for opened in (pages, volume):
        assert opened.planes == 5
        np.testing.assert_array_equal(opened.plane(3)[0], draw(5, 20, 30)[3])


def test_axes_may_be_told(tmp_path):
    content = to_tiff(draw(5, 20, 30), metadata=None)
    assert drop(tmp_path, content, "s.tif", DEEP, axes="ZYX").pages.shape == (1, 1, 5, 20, 30)


# ------------------------------------------------------------------------------------------------------------ damage


def tell(folder: Path, content: bytes, name: str, segmenter=FLAT) -> str:
    """What a file is refused with; nothing if it is read."""
    try:
        drop(folder, content, name, segmenter)
    except UnetscopeError as error:
        message = str(error)
        assert "dropped" not in message
        assert str(folder) not in message
        assert len(message) < 500
        return message
    return ""


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"\0", b"not an image", to_png(draw(4, 4)), b"II*\0" + bytes(30)])
def test_what_is_no_image_is_told_by_its_own_name(tmp_path, suffix, content):
    if suffix != ".png" or content != to_png(draw(4, 4)):
        assert tell(tmp_path, content, f"my cells{suffix}").startswith(f"my cells{suffix} ")


@QUICK
@given(data=st.data())
@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy", ".nii", ".nii.gz"])
def test_a_damaged_file_is_read_or_told(tmp_path, suffix, data):
    content = bytearray(whole_file(tmp_path, suffix))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, min(len(content), 400) - 1))] = data.draw(st.integers(0, 255))
    tell(tmp_path, bytes(content), f"cells{suffix}", DEEP if suffix.startswith(".nii") else FLAT)


def whole_file(folder: Path, suffix: str) -> bytes:
    if suffix.startswith(".nii"):
        nibabel = pytest.importorskip("nibabel")
        nibabel.Nifti1Image(draw(6, 12, 10), np.eye(4)).to_filename(folder / f"whole{suffix}")
    else:
        write_image(folder / f"whole{suffix}", draw(20, 30))
    return (folder / f"whole{suffix}").read_bytes()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_that_is_not_finite_is_told(tmp_path, value):
    image = draw(20, 30).astype(np.float32)
    image[3, 4] = value
    with pytest.raises(ImageError, match=r"cells\.tif"):
        drop(tmp_path, to_tiff(image), "cells.tif")


def test_an_image_for_another_network_is_told(tmp_path):
    with pytest.raises(DataError, match=r"cells\.png has 3 channels; this network reads 1"):
        drop(tmp_path, to_png(np.stack([draw(9, 8)] * 3, axis=-1)))
    with pytest.raises(DataError, match=r"cells\.png"):
        drop(tmp_path, to_png(draw(9, 8)), segmenter=DEEP)


# ------------------------------------------------------------------------------------------------------------ limits


@pytest.mark.parametrize("segmenter", [FLAT, DEEP], ids=["pages", "volume"])
def test_the_pixels_of_all_planes_count(tmp_path, segmenter):
    content = to_tiff(np.zeros((12, 100, 100), np.uint8), metadata={"axes": "ZYX"})
    with pytest.raises(RefusalError, match=r"s\.tif has 0\.12 million pixels, and 0\.1 million are taken"):
        drop(tmp_path, content, "s.tif", segmenter)
    assert drop(tmp_path, content, "s.tif", segmenter, Limits(megapixels=0.12)).planes == 12


def test_channels_do_not_count_unless_they_are_many(tmp_path):
    colors = to_png(np.zeros((300, 300, 3), np.uint8))
    assert drop(tmp_path, colors, segmenter=COLORED).pages.shape == (1, 3, 300, 300)
    many = to_tiff(np.zeros((200, 60, 60), np.uint8), metadata={"axes": "CYX"})
    with pytest.raises(RefusalError, match="million pixels"):
        drop(tmp_path, many, "many.tif")


def test_an_image_is_measured_before_it_is_decoded(tmp_path):
    """Files of some kilobytes that say they hold a gigabyte."""
    side, tile = 2**15, 2**12
    packed = zlib.compress(bytes(tile * tile))
    blocks = (packed for _ in range((side // tile) ** 2))
    tifffile.imwrite(
        tmp_path / "bomb.tif", blocks, shape=(side, side), dtype=np.uint8, tile=(tile, tile), compression="zlib"
    )
    header = tmp_path / "bomb.npy"
    np.lib.format.open_memmap(header, mode="w+", dtype=np.uint8, shape=(side, side)).flush()
    for name in ("bomb.tif", "bomb.npy"):
        tracemalloc.start()
        with pytest.raises(RefusalError, match=r"1,073\.74 million pixels"):
            open_dropped(FLAT, tmp_path / name, name, LIMITS)
        assert tracemalloc.get_traced_memory()[1] < 2**24
        tracemalloc.stop()


@pytest.mark.parametrize("limits", [{"megapixels": 0}, {"megabytes": -1}, {"megapixels": float("nan")}])
def test_limits_let_something_through(limits):
    with pytest.raises(RecipeError, match=r"--max-mega\w+ is .*; give a number above 0"):
        Limits(**limits)


# -------------------------------------------------------------------------------------------------------- other files


def referring(other: str) -> bytes:
    """An OME-TIFF whose second plane is said to lie in another file."""
    blocks = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{z}</UUID></TiffData>'
        for z, name in enumerate(("own.ome.tif", other))
    )
    notes = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:0">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="30" SizeY="20" SizeZ="2" '
        f'SizeC="1" SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{blocks}</Pixels></Image></OME>'
    )
    return to_tiff(draw(20, 30), description=notes, metadata=None)


@pytest.mark.parametrize("name", ["own.ome.tif", "own.tif", "own.tiff"])
@pytest.mark.parametrize("segmenter", [FLAT, DEEP], ids=["pages", "volume"])
def test_no_file_leads_to_another_on_this_machine(tmp_path, name, segmenter):
    secret = tmp_path / "secret" / "patient.tif"
    secret.parent.mkdir()
    tifffile.imwrite(secret, draw(20, 30, seed=1))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "own.ome.tif").write_bytes(referring(str(secret)))
    with tifffile.TiffFile(folder / "own.ome.tif") as file:
        assert (file.asarray()[1] == draw(20, 30, seed=1)).all()  # tifffile follows it
    for other in (str(secret), "../secret/patient.tif"):
        if segmenter is FLAT:
            assert (drop(folder, referring(other), name).pages[0, 0] == draw(20, 30)).all()
        else:
            assert tell(folder, referring(other), name, DEEP).startswith(f"{name} is one 2D image, and a volume")
