"""Files of every kind from end to end: stacks, volumes with spacing, channels in files, objects with their table."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
import torch

from unetscope.checkpoint import Checkpoint
from unetscope.data.images import read_image, read_labels, read_spacing, write_image
from unetscope.data.normalization import Normalization
from unetscope.data.objects import OBJECT_CLASSES, number_objects
from unetscope.data.spacing import Spacing
from unetscope.errors import DataError
from unetscope.file_segmentation import Wanted, find_images, open_job, run_job
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.segmentation import Segmenter, Tiling

RNG = np.random.default_rng(0)


def make_checkpoint(ndim: int = 2, channels: int = 1, objects: bool = False) -> Checkpoint:
    torch.manual_seed(1)
    spec = UNetSpec.by_level((4, 8), classes=3, image_channels=channels, ndim=ndim)
    classes = OBJECT_CLASSES if objects else ("background", "cell", "debris")
    return Checkpoint(spec, UNet(spec).state_dict(), Normalization("image"), classes, objects=objects)


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("objects", [False, True])
@pytest.mark.parametrize("axes", ["ZYX", "TYX"])
def test_a_network_of_images_takes_a_stack_page_by_page(tmp_path: Path, axes: str, objects: bool) -> None:
    pages = RNG.integers(0, 255, (3, 20, 24), np.uint8)
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack", metadata={"axes": axes})
    segmenter = Segmenter(make_checkpoint(objects=objects))
    done = run_job(segmenter, open_job(segmenter, tmp_path / "stack.tif", Wanted(table=True)), tmp_path / "out")
    found = tifffile.imread(done.labels)
    assert found.shape == pages.shape
    alone = [segmenter.labels(page[None]) for page in pages]
    if not objects:
        assert np.array_equal(found, np.stack(alone))
    counts = [int(segmenter.objects(labels).max()) for labels in alone]
    assert done.objects == sum(counts)
    assert done.table is not None
    rows = read_table(done.table)
    assert len(rows) == sum(counts)
    assert [sum(row["page"] == str(page) for row in rows) for page in range(3)] in (counts, [0, *counts[:2]])


def test_axes_can_be_told(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        RNG.integers(0, 255, (3, 20, 24), np.uint8),
        photometric="minisblack",
        metadata={"axes": "ZYX"},
    )
    segmenter = Segmenter(make_checkpoint(channels=3))
    assert open_job(segmenter, tmp_path / "a.tif", Wanted(axes="CYX")).pages.shape == (1, 3, 20, 24)
    assert open_job(segmenter, tmp_path / "a.tif").pages.shape == (3, 3, 20, 24)  # gray pages, repeated
    with pytest.raises(DataError, match=r"a\.tif"):
        open_job(segmenter, tmp_path / "a.tif", Wanted(axes="QYXS"))


@pytest.mark.parametrize("tile", [8, 16, 40])
@pytest.mark.parametrize("ndim", [2, 3])
def test_an_object_that_tiles_cut_is_one_object(tmp_path: Path, ndim: int, tile: int) -> None:
    """The same numbers, table and file whatever the tile."""
    shape = (40, 52) if ndim == 2 else (12, 20, 24)
    write_image(tmp_path / "a.tif", RNG.integers(0, 255, (1, *shape), np.uint8))
    results = []
    for name, tiling in (("whole", Tiling(whole=True)), ("tiled", Tiling(tile=tile))):
        segmenter = Segmenter(make_checkpoint(ndim, objects=True), replace(tiling, precision="float32"))
        results.append(run_job(segmenter, open_job(segmenter, tmp_path / "a.tif"), tmp_path / name))
    whole, tiled = results
    assert tiled.objects == whole.objects
    assert whole.objects
    assert whole.table is not None
    assert tiled.table is not None
    assert np.array_equal(read_labels(whole.labels, ndim), read_labels(tiled.labels, ndim))
    assert whole.table.read_bytes() == tiled.table.read_bytes()


def test_a_volume_keeps_its_place_and_its_objects_are_measured_in_its_unit(tmp_path: Path) -> None:
    affine = np.array([[0, -0.5, 0, 3.0], [0.5, 0, 0, -7.0], [0, 0, 2.0, 11.0], [0, 0, 0, 1]])
    volume = nibabel.Nifti1Image(RNG.random((20, 24, 8), dtype=np.float32), affine)
    volume.header.set_xyzt_units("mm")
    nibabel.save(volume, tmp_path / "brain.nii.gz")
    checkpoint = replace(make_checkpoint(3, objects=True), spacing=Spacing((1.0, 1.0, 1.0), "mm"))
    segmenter = Segmenter(checkpoint)
    job = open_job(segmenter, tmp_path / "brain.nii.gz")
    assert job.spacing == Spacing((2.0, 0.5, 0.5), "mm")
    done = run_job(segmenter, job, tmp_path / "out")
    assert done.labels.name == "brain.nii.gz"
    written = nibabel.load(done.labels)
    np.testing.assert_array_equal(written.affine, nibabel.load(tmp_path / "brain.nii.gz").affine)
    numbers = read_labels(done.labels, 3)
    assert numbers.shape == (8, 24, 20)
    assert read_spacing(done.labels, 3) == job.spacing
    assert done.table is not None
    sizes = [float(row["volume [mm³]"]) for row in read_table(done.table)]
    assert sizes == pytest.approx((np.bincount(numbers.ravel())[1:] * 0.5).tolist())


def test_channels_in_files_of_their_own_are_one_image(tmp_path: Path) -> None:
    parts = RNG.integers(0, 255, (2, 2, 20, 24), np.uint8)
    for case, channels in zip(("ann", "bob"), parts, strict=True):
        for index, channel in enumerate(channels):
            write_image(tmp_path / "in" / f"{case}_{index:04d}.png", channel)
    segmenter = Segmenter(make_checkpoint(channels=2))
    found = find_images([tmp_path / "in"], tmp_path / "out", channels=2)
    assert [path.name for path in found] == ["ann_0000.png", "bob_0000.png"]
    for source, channels in zip(found, parts, strict=True):
        assert np.array_equal(open_job(segmenter, source).pages[0], channels)
    assert len(find_images([tmp_path / "in"], tmp_path / "out")) == 4


def test_a_table_of_classes_counts_their_pieces(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", RNG.integers(0, 255, (30, 30), np.uint8))
    segmenter = Segmenter(make_checkpoint())
    done = run_job(segmenter, open_job(segmenter, tmp_path / "a.png", Wanted(table=True)), tmp_path / "out")
    labels = segmenter.labels(read_image(tmp_path / "a.png"))
    assert np.array_equal(read_labels(done.labels), labels)
    assert done.table is not None
    rows = read_table(done.table)
    assert len(rows) == number_objects(labels).max() == done.objects
    areas = {
        name: sum(float(row["area [pixel²]"]) for row in rows if row["class"] == name) for name in ("cell", "debris")
    }
    assert areas == {name: np.count_nonzero(labels == index) for index, name in ((1, "cell"), (2, "debris"))}
    assert run_job(segmenter, open_job(segmenter, tmp_path / "a.png"), tmp_path / "plain").table is None
