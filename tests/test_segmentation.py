"""What surrounds the tiles: plans, precision, probabilities, memory, and images that are refused."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unetscope import segmentation
from unetscope.checkpoint import Checkpoint
from unetscope.data.normalization import Normalization
from unetscope.engines import torch_engine
from unetscope.engines.engine import label_dtype
from unetscope.engines.torch_engine import cast_network, choose_dtype
from unetscope.errors import DataError, ImageError, SpecError
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet, class_scores
from unetscope.segmentation import Segmenter, Tiling, segment

PRECISIONS = {"bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}


def make_segmenter(tiling: Tiling = Tiling(), scheme: str = "image", **rest: Any) -> Segmenter:
    return Segmenter(make_checkpoint(scheme, **rest), tiling)


def make_checkpoint(scheme: str = "image", **rest: Any) -> Checkpoint:
    torch.manual_seed(0)
    spec = UNetSpec.by_level((4, 8), **rest)
    normalization = Normalization("image") if scheme == "image" else Normalization.range(0, 255)
    return Checkpoint(spec, UNet(spec).state_dict(), normalization, tuple("abcdefg"[: max(2, spec.classes)]))


def random_image(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape, np.uint8)


@pytest.mark.parametrize(
    ("rest", "shape", "message"),
    [
        ({}, (32, 32), r"scan has 2 axes \(32, 32\); this network reads \(channels, y, x\): give one such image"),
        ({}, (1, 4, 32, 32), r"has 4 axes .* reads \(channels, y, x\)"),
        ({"ndim": 3}, (1, 32, 32), r"has 3 axes .* reads \(channels, z, y, x\)"),
        ({}, (3, 32, 32), "scan has 3 channels; this network reads 1: convert the image, or train"),
        ({"image_channels": 3}, (1, 32, 32), "scan has 1 channels; this network reads 3"),
        ({}, (1, 0, 32), r"scan is empty, of shape \(1, 0, 32\); at least one pixel is needed"),
        ({}, (), r"scan has 0 axes"),
    ],
)
def test_images_for_other_networks_are_refused(rest: dict[str, Any], shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_segmenter(**rest).labels(np.zeros(shape, np.uint8), "scan")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("scheme", ["image", "range"])
def test_values_that_are_no_numbers_are_refused(value: float, scheme: str) -> None:
    image = np.zeros((1, 16, 16), np.float32)
    image[0, 3, 5] = value
    with pytest.raises(ImageError, match="scan holds NaN or infinite values"):
        make_segmenter(scheme=scheme).labels(image, "scan")


@pytest.mark.parametrize("tile", [0, -8])
def test_a_tile_holds_something(tile: int) -> None:
    with pytest.raises(SpecError, match=f"tile is {tile}; a tile holds at least one pixel"):
        Tiling(tile=tile)


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (7, 50), (64, 33)])
@pytest.mark.parametrize("tiling", [Tiling(), Tiling(tile=9), Tiling(tile=16), Tiling(whole=True)])
def test_a_plan_covers_the_image_with_each_pixel_once(tiling: Tiling, shape: tuple[int, ...], padded: bool) -> None:
    plan = make_segmenter(tiling, padded=padded).plan(shape)
    written = np.zeros(shape, int)
    for tile in plan.tiles:
        written[tile.write] += 1
        assert all(part.start % stride == 0 for part, stride in zip(tile.write, (2, 2), strict=True))
    assert (written == 1).all()
    assert all(size % 2 == 0 for size in plan.size)
    assert plan.views == 1
    assert plan.seamless
    if tiling.whole:
        assert len(plan.tiles) == 1
    if tiling.tile:
        assert plan.size == (-(-tiling.tile // 2) * 2,) * 2


def test_what_a_plan_says_is_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = make_segmenter(Tiling(tile=16))
    calls, told = [], []
    original = segmenter.engine.labels
    monkeypatch.setattr(segmenter.engine, "labels", lambda block: calls.append(block[0].shape) or original(block))
    segmenter.fill(random_image(1, 40, 50), "scan", on_tile=lambda: told.append(1))
    plan = segmenter.plan((40, 50))
    assert calls == [(1, *(part.stop - part.start for part in tile.read)) for tile in plan.tiles]
    assert len(told) == len(plan.tiles) == 3 * 4


@pytest.mark.parametrize(("ndim", "views"), [(2, 8), (3, 16)])
def test_averaging_computes_every_orientation(ndim: int, views: int) -> None:
    assert make_segmenter(Tiling(average=True), ndim=ndim).plan((8,) * ndim).views == views
    uneven = make_segmenter(Tiling(average=True), ndim=ndim, strides=((2,) * (ndim - 1) + (3,),))
    assert uneven.plan((6,) * ndim).views == views // 2


def test_larger_tiles_take_more_memory_and_the_limit_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = [make_segmenter(Tiling(tile=tile)).plan((512, 512)).peak_bytes for tile in (32, 64, 128, 512)]
    assert peaks == sorted(peaks)
    assert peaks[-1] > 10 * peaks[0]
    monkeypatch.setattr(segmentation, "WASTE", 1000)
    for limit in (2**18, 2**20, 2**22):
        monkeypatch.setattr(segmentation, "LEAST_BYTES", 0)
        monkeypatch.setattr(segmentation, "MOST_BYTES", limit)
        plan = make_segmenter().plan((512, 512))
        assert limit / 4 <= plan.peak_bytes <= limit + 512 * 512
    assert make_segmenter().plan((10**4, 10**4)).peak_bytes <= 2**22 + 10**8


def test_tiles_that_are_mostly_margin_may_take_more_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmentation, "LEAST_BYTES", 0)
    monkeypatch.setattr(segmentation, "MOST_BYTES", 2**20)
    peaks = []
    for available in (2**22, 2**24, 2**40):
        monkeypatch.setattr(segmentation, "available_memory", lambda available=available: available)
        plan = make_segmenter(ndim=3).plan((64, 64, 64))
        read = sum(prod(part.stop - part.start for part in tile.read) for tile in plan.tiles)
        assert plan.peak_bytes - 64**3 <= available / 2 or read <= 2 * 64**3
        peaks.append(plan.peak_bytes)
    assert peaks[0] < peaks[1] <= peaks[2]
    assert read <= 2 * 64**3


@pytest.mark.parametrize(("available", "most"), [(2**40, 2**31), (2**30, 2**28), (0, 2**27)])
def test_a_tile_takes_a_part_of_the_memory_that_is_left(
    available: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmentation, "available_memory", lambda: available)
    peak = make_segmenter().plan((10**5, 10**5)).peak_bytes - 10**10
    assert most / 2 <= peak <= most


@pytest.mark.parametrize("name", PRECISIONS)
def test_the_precision_is_the_one_asked_for(name: Any) -> None:
    segmenter = make_segmenter(Tiling(precision=name), norm="batch")
    types = {key: tensor.dtype for key, tensor in segmenter.engine.network.state_dict().items()}
    assert types["encoder.0.conv1.conv.weight"] == PRECISIONS[name]
    assert types["encoder.0.conv1.after.norm.weight"] == max(
        PRECISIONS[name], torch.float32, key=lambda dtype: torch.finfo(dtype).bits
    )
    ((_, scores),) = segmenter.scores(random_image(1, 8, 8))
    assert scores.dtype == (np.float64 if name == "float64" else np.float32)


@pytest.mark.parametrize("computes", [True, False])
def test_precision_follows_the_processor_unless_said(computes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_engine, "computes_bfloat16", lambda: computes)
    assert choose_dtype("auto") == (torch.bfloat16 if computes else torch.float32)
    for name, dtype in PRECISIONS.items():
        assert choose_dtype(name) == dtype  # type: ignore[arg-type]


def test_casting_keeps_the_scores_to_rounding() -> None:
    image = random_image(1, 32, 32)
    exact = np.concatenate([s.ravel() for _, s in make_segmenter(Tiling(precision="float64")).scores(image)])
    for name, tolerance in (("float32", 1e-5), ("bfloat16", 0.05)):
        near = np.concatenate([s.ravel() for _, s in make_segmenter(Tiling(precision=name)).scores(image)])
        np.testing.assert_allclose(near, exact, atol=tolerance * np.abs(exact).max())


@pytest.mark.parametrize("classes", [1, 2, 5])
@pytest.mark.parametrize("average", [False, True])
def test_probabilities_sum_to_one_and_agree_with_the_labels(classes: int, average: bool) -> None:
    segmenter = make_segmenter(Tiling(tile=8, average=average), classes=classes)
    image = random_image(1, 20, 28)
    probabilities = np.full((max(2, classes), 20, 28), np.nan)
    labels = segmenter.fill(image, "scan", probabilities=probabilities)
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-5)
    assert probabilities.min() >= 0
    chosen = np.take_along_axis(probabilities, labels[None].astype(int), 0)[0]
    np.testing.assert_allclose(chosen, probabilities.max(axis=0), rtol=1e-6)
    assert np.array_equal(labels, segmenter.labels(image))


def test_probabilities_are_torchs() -> None:
    segmenter = make_segmenter(Tiling(precision="float64"), classes=3)
    image = random_image(1, 16, 16)
    probabilities = np.zeros((3, 16, 16))
    segmenter.fill(image, "scan", probabilities=probabilities)
    normalized = torch.from_numpy((image - image.mean()) / image.std())[None]
    with torch.inference_mode():
        expected = class_scores(cast_network(segmenter.engine.network, torch.float64)(normalized)).softmax(1)[0].numpy()
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)


def test_labels_take_the_smallest_type() -> None:
    assert make_segmenter().labels(random_image(1, 8, 8)).dtype == np.uint8
    assert label_dtype(UNetSpec.by_level((2,), classes=256)) == np.uint8
    assert label_dtype(UNetSpec.by_level((2,), classes=257)) == np.uint16


def test_a_gray_image_needs_no_channel_axis() -> None:
    checkpoint, image = make_checkpoint(), random_image(1, 17, 20)
    assert np.array_equal(segment(checkpoint, image[0]), segment(checkpoint, image))
    volume = random_image(1, 5, 9, 8)
    assert segment(make_checkpoint(ndim=3), volume[0]).shape == (5, 9, 8)
    with pytest.raises(DataError, match="has 2 axes"):
        segment(make_checkpoint(image_channels=3), image[0])


class Watched(np.ndarray):
    """An image that notes how much of it is read at once."""

    reads: list[int]

    def __array_finalize__(self, parent: Any) -> None:
        self.reads = getattr(parent, "reads", [])

    def __getitem__(self, key: Any) -> Any:
        block = np.asarray(self)[key]
        self.reads.append(block.size)
        return block


@pytest.mark.parametrize("scheme", ["image", "range"])
def test_a_mapped_image_is_never_read_as_a_whole(scheme: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("unetscope.data.intensities._SLAB_VALUES", 1000)
    image = random_image(1, 96, 80)
    np.save(tmp_path / "image.npy", image)
    watched = np.load(tmp_path / "image.npy", mmap_mode="r", allow_pickle=False).view(Watched)
    watched.reads = []
    segmenter = make_segmenter(Tiling(tile=16), scheme)
    labels = segmenter.labels(watched)
    tiles = segmenter.plan((96, 80)).tiles
    assert max(watched.reads) <= max(prod(part.stop - part.start for part in tile.read) for tile in tiles)
    assert max(watched.reads) < image.size / 4
    assert np.array_equal(labels, segmenter.labels(image))
