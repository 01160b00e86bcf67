"""What is timed side by side computes the same, and the mosaics are made of the images they are said to be made of."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unetscope.checkpoint import Checkpoint
from unetscope.data.normalization import Normalization
from unetscope.model.cost import count_cost
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.segmentation import Segmenter, Tiling

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    import contenders
    import measuring
    import processes
    import segment
    import subjects

SCHEMES = {
    "image": Normalization("image"),
    "dataset": Normalization("dataset", (3.0, 90.0), (2.0, 40.0)),
    "window": Normalization("window", (100.0, 90.0), (20.0, 30.0), ((20.0, 200.0), (30.0, 150.0))),
}


def make_checkpoint(**changes: object) -> Checkpoint:
    """An untrained network of two levels that normalizes as its images need."""
    torch.manual_seed(0)
    spec = UNetSpec.by_level((4, 6, 8), **{"norm": "batch", **changes})
    weights = {name: tensor.numpy() for name, tensor in UNet(spec).state_dict().items()}
    classes = tuple(f"class {index}" for index in range(max(2, spec.classes)))
    return Checkpoint(spec, weights, Normalization.range(0, 255), classes)


@pytest.mark.parametrize("module", [contenders, measuring, processes, segment, subjects])
def test_examples_are_true(module: object) -> None:
    assert not doctest.testmod(module).failed


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("classes", [1, 3])
@torch.inference_mode()
def test_a_window_is_segmented_as_an_image_of_its_own(padded: bool, ndim: int, classes: int) -> None:
    """Ours mirrors beyond the image as the peer's predictor does beyond its window."""
    checkpoint = make_checkpoint(padded=padded, ndim=ndim, classes=classes)
    window = {2: 52, 3: 24}[ndim]
    pixels = np.random.default_rng(0).integers(0, 256, (1, *(window,) * ndim), np.uint8)
    ours = Segmenter(checkpoint, Tiling(engine="torch", precision="float32")).labels(pixels)
    batch = torch.from_numpy(contenders.normalize(pixels, checkpoint.normalization))[None]
    scores = contenders.fit_to_window(checkpoint.network().eval(), window)(batch)[0].numpy()
    assert scores.shape == (max(2, classes), *pixels.shape[1:])
    np.testing.assert_array_equal(scores.argmax(0), ours)
    assert len(np.unique(ours)) > 1


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("shape", [(2, 13, 17), (2, 5, 6, 7)])
def test_peers_normalize_as_we_do(scheme: str, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    normalization = SCHEMES[scheme]
    pixels = contenders.normalize(image, normalization)
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels, normalization.affine(image).apply(image), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("ndim", [2, 3])
def test_useful_operations_are_those_of_a_padded_network(ndim: int) -> None:
    spec = UNetSpec.by_level((4, 6, 8), ndim=ndim, norm="batch")
    shape = (16,) * ndim
    assert subjects.useful_operations(spec, shape) == 2 * count_cost(spec, shape).multiply_adds


def test_operations_of_a_halo_are_not_useful() -> None:
    valid = UNetSpec.by_level((4, 6, 8), padded=False)
    wasted = 2 * count_cost(valid, (140, 140)).multiply_adds
    assert subjects.useful_operations(valid, (100, 100)) < wasted
    assert subjects.useful_operations(valid, (200, 100)) == 2 * subjects.useful_operations(valid, (100, 100))


@pytest.mark.parametrize("shape", [(700, 1100), (70, 130, 140)])
def test_mosaics_hold_every_image_in_its_cell(tmp_path: Path, shape: tuple[int, ...]) -> None:
    cell, random = subjects.CELL[len(shape)], np.random.default_rng(0)
    images = [random.integers(0, 256, (2, *(side,) * len(shape)), np.uint8) for side in (cell, cell + 9, cell - 9)]
    subjects.write_mosaic(tmp_path / "mosaic.npy", shape, iter(images))
    mosaic = np.load(tmp_path / "mosaic.npy")
    assert mosaic.shape == (2, *shape)
    known = tuple(slice(min(cell - 9, n)) for n in shape)
    starts = [(0,) * len(shape), (*(0,) * (len(shape) - 1), cell)]
    for image, start in zip(images, starts, strict=False):
        place = tuple(slice(a, min(a + cell - 9, n)) for a, n in zip(start, shape, strict=True))
        np.testing.assert_array_equal(mosaic[(slice(None), *place)], image[(slice(None), *known)])


@pytest.mark.parametrize("shape", [(3, 40, 50), (1, 40, 50), (1, 20, 30, 40)])
def test_a_tif_is_mapped_and_equal(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    np.save(tmp_path / "mosaic.npy", pixels)
    subjects.save_as_tif(tmp_path / "mosaic.npy")
    for name in ("mosaic.npy", "mosaic.tif"):
        opened = contenders.open_mapped(tmp_path / name, len(shape) - 1)
        np.testing.assert_array_equal(opened, pixels)
        owner = opened
        while not isinstance(owner, np.memmap):
            owner = owner.base
            assert owner is not None


@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40), st.integers(1, 30))
def test_images_are_mirrored_or_cut(channels: int, height: int, width: int, side: int) -> None:
    image = np.arange(channels * height * width).reshape(channels, height, width)
    fitted = subjects.fit(image, side)
    assert fitted.shape == (channels, side, side)
    rows, columns = (np.concatenate([np.arange(n), np.arange(n)[::-1]]) for n in (height, width))
    across = np.ix_(range(channels), np.resize(rows, side), np.resize(columns, side))
    np.testing.assert_array_equal(fitted, image[across])


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32])
def test_bytes_span_the_range(dtype: type[np.generic]) -> None:
    pixels = subjects.as_bytes(np.arange(100, 1100, dtype=dtype).reshape(1, 10, 100))
    assert (pixels.min(), pixels.max(), pixels.dtype) == (0, 255, np.uint8)
    assert (np.diff(pixels.ravel().astype(int)) >= 0).all()
    assert not subjects.as_bytes(np.full((1, 2, 2), 7.0, np.float32)).any()


def test_overlap_is_dice() -> None:
    random = np.random.default_rng(0)
    truth, labels = random.integers(0, 3, (2, 40, 50))
    for index, dice in enumerate(segment.overlap(truth, labels)):
        a, b = truth == index, labels == index
        assert dice == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
    assert segment.overlap(truth, truth) == (1.0, 1.0, 1.0)
