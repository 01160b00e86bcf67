"""The tile law: scores do not depend on the tile size, whatever the network and the image."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from unetscope import segmentation
from unetscope.checkpoint import Checkpoint
from unetscope.data.normalization import Normalization
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.segmentation import Segmenter, Tiling

DOWN_UP = [*product(("max", "strided"), ("transposed", "nearest", "linear", "subpixel")), ("max", "unpool")]
SIZES = {2: [(1, 1), (3, 2), (37, 61)], 3: [(1, 1, 1), (5, 9, 20)]}


def random_checkpoint(spec: UNetSpec, seed: int = 0) -> Checkpoint:
    """Random weights, and norms that do something."""
    torch.manual_seed(seed)
    network = UNet(spec)
    for name, buffer in network.state_dict().items():
        if "norm" in name and buffer.is_floating_point():
            buffer.copy_(torch.rand_like(buffer) + 0.5)
        elif "bias" in name:
            buffer.copy_(torch.randn_like(buffer) * 0.1)
    return Checkpoint(spec, network.state_dict(), Normalization("image"), tuple(map(str, range(max(2, spec.classes)))))


def all_scores(checkpoint: Checkpoint, image: np.ndarray, **tiling: object) -> np.ndarray:
    """The scores of the whole image, put together."""
    segmenter = Segmenter(checkpoint, Tiling(**tiling))
    whole = np.full((max(2, checkpoint.spec.classes), *image.shape[1:]), np.nan)
    for box, scores in segmenter.scores(image):
        assert np.isnan(whole[(slice(None), *box)]).all(), "written twice"
        whole[(slice(None), *box)] = scores
    assert not np.isnan(whole).any(), "not written"
    return whole


def check_law(spec: UNetSpec, sizes: list[tuple[int, ...]], tiles: list[int]) -> None:
    """Tiled scores equal those of one tile, to rounding in float64."""
    checkpoint = random_checkpoint(spec)
    rng = np.random.default_rng(0)
    for size in sizes:
        image = rng.random((spec.image_channels, *size))
        whole = all_scores(checkpoint, image, whole=True, precision="float64")
        for tile in tiles:
            tiled = all_scores(checkpoint, image, tile=tile, precision="float64")
            np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-10 * max(1, np.abs(whole).max()))


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize(("down", "up"), DOWN_UP)
def test_2d(padded: bool, norm: str, down: str, up: str, depth: int) -> None:
    spec = UNetSpec.by_level((2, 3, 2, 3, 2)[: depth + 1], padded=padded, norm=norm, down=down, up=up)
    check_law(spec, SIZES[2], [12, 32] if depth < 4 else [16, 48])


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize(("down", "up"), DOWN_UP)
def test_3d(padded: bool, down: str, up: str, depth: int) -> None:
    deep = depth == 3  # one convolution a level keeps valid networks of this depth small
    spec = UNetSpec.by_level(
        (2, 2, 2, 2)[: depth + 1], ndim=3, padded=padded, norm="batch", down=down, up=up, convolutions=1 if deep else 2
    )
    check_law(spec, [(3, 9, 17)] if deep else SIZES[3], [16] if deep else [8])


@pytest.mark.parametrize("padded", [True, False])
def test_tiles_of_one_stride(padded: bool) -> None:
    check_law(UNetSpec.by_level((2, 3, 2), padded=padded, up="linear"), [(13, 22)], [1])
    check_law(UNetSpec.by_level((2,), padded=padded), [(7, 9)], [1, 4])


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("up", ["transposed", "nearest", "linear", "subpixel", "unpool"])
def test_other_strides_skips_and_convolutions(padded: bool, up: str) -> None:
    check_law(
        UNetSpec.by_level((2, 3, 2), strides=((3, 1), (1, 4)), skips=(1,), convolutions=3, padded=padded, up=up),
        [(25, 30), (2, 1)],
        [1, 12],
    )
    check_law(UNetSpec.by_level((2, 2, 2), convolutions=1, skips=(), padded=padded, up=up), [(25, 30)], [8])


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("up", ["transposed", "nearest", "linear", "subpixel", "unpool"])
def test_without_skips_in_3d(padded: bool, up: str) -> None:
    """The ablation in the manner of fully convolutional networks: an encoder, a decoder, and nothing between them."""
    strides = ((1, 2, 2), (2, 1, 3))
    spec = UNetSpec.by_level((2, 3, 2), ndim=3, skips=(), convolutions=1, padded=padded, up=up, strides=strides)
    check_law(spec, [(7, 9, 25)], [6])


@pytest.mark.parametrize("padded", [True, False])
def test_unpooling_where_the_image_is_flat(padded: bool) -> None:
    """Maxima that tie: their places must not depend on the tile either. Eighths are summed without rounding."""
    spec = UNetSpec.by_level((4, 6, 5), padded=padded, up="unpool", skips=(0,))
    eighths = {name: (8 * array).round() / 8 for name, array in random_checkpoint(spec).weights.items()}
    checkpoint = Checkpoint(spec, eighths, Normalization.range(0, 1), ("a", "b"))
    image = np.random.default_rng(0).integers(0, 9, (1, 70, 90)) / 8
    image[:, 5:60, 20:70] = 0.25
    whole = all_scores(checkpoint, image, whole=True, precision="float64")
    assert len(np.unique(whole[0])) > 500
    for tile in (4, 16, 24):
        np.testing.assert_array_equal(all_scores(checkpoint, image, tile=tile, precision="float64"), whole)


@pytest.mark.parametrize("padded", [True, False])
def test_float32_to_rounding_of_the_scale(padded: bool) -> None:
    checkpoint = random_checkpoint(UNetSpec.by_level((4, 8, 8), padded=padded, norm="batch"))
    image = np.random.default_rng(1).random((1, 90, 70), np.float32)
    whole = all_scores(checkpoint, image, whole=True, precision="float32")
    tiled = all_scores(checkpoint, image, tile=16, precision="float32")
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5 * np.abs(whole).max())


def test_bfloat16_labels_differ_only_at_near_ties() -> None:
    checkpoint = random_checkpoint(UNetSpec.by_level((8, 16, 16), norm="batch", classes=3))
    image = np.random.default_rng(1).random((1, 90, 70), np.float32)
    whole = all_scores(checkpoint, image, whole=True, precision="bfloat16")
    tiled = all_scores(checkpoint, image, tile=32, precision="bfloat16")
    top = np.sort(whole, axis=0)
    unit = 2.0**-8 * np.abs(top[-1])
    differing = whole.argmax(0) != tiled.argmax(0)
    assert (top[-1] - top[-2])[differing].max(initial=0) <= 2 * unit.max()
    assert ((top[-1] - top[-2])[differing] <= 2 * unit[differing]).all()


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("ndim", [2, 3])
def test_averaging_over_views_obeys_the_law_and_the_symmetry(padded: bool, ndim: int) -> None:
    checkpoint = random_checkpoint(UNetSpec.by_level((2, 3), ndim=ndim, padded=padded))
    image = np.random.default_rng(2).random((1, *(12,) * ndim))
    whole = all_scores(checkpoint, image, whole=True, precision="float64", average=True)
    tiled = all_scores(checkpoint, image, tile=4, precision="float64", average=True)
    np.testing.assert_allclose(tiled, whole, atol=1e-10)
    np.testing.assert_allclose(whole.sum(axis=0), 1)
    flipped = all_scores(checkpoint, image[..., ::-1].copy(), whole=True, precision="float64", average=True)
    np.testing.assert_allclose(flipped[..., ::-1], whole, atol=1e-10)
    turned = all_scores(checkpoint, np.rot90(image, axes=(-2, -1)).copy(), precision="float64", average=True)
    np.testing.assert_allclose(np.rot90(turned, -1, axes=(-2, -1)), whole, atol=1e-10)


def test_instance_norm_is_no_part_of_the_law_and_says_so() -> None:
    checkpoint = random_checkpoint(UNetSpec.by_level((4, 8), norm="instance"))
    image = np.random.default_rng(1).random((1, 64, 64))
    whole = all_scores(checkpoint, image, whole=True, precision="float64")
    tiled = all_scores(checkpoint, image, tile=16, precision="float64")
    assert np.abs(tiled - whole).max() > 1e-3
    assert not Segmenter(checkpoint, Tiling(tile=16)).plan((64, 64)).seamless
    assert Segmenter(checkpoint, Tiling(whole=True)).plan((64, 64)).seamless
    assert all_scores(checkpoint, image[:, :1, :1], whole=True).shape == (2, 1, 1)


def short_of_context(first: int, last: int, start: int) -> tuple[int, int]:
    """One stride less than the network needs before the tile."""
    return (first + 4 if start else first), last


def off_the_grid(first: int, last: int, start: int) -> tuple[int, int]:
    """More than enough context, but pooled on another grid than the neighbors."""
    return (first - 1, last + 3) if start else (first, last)


@pytest.mark.parametrize(("padded", "mistake"), [(True, short_of_context), (False, off_the_grid)])
def test_the_law_can_fail(padded: bool, mistake: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a wrong read box the same comparison finds a difference."""
    original = segmentation.read_box

    def wrong(spec: UNetSpec, axis: int, start: int, stop: int, length: int) -> tuple[int, int]:
        return mistake(*original(spec, axis, start, stop, length), start)

    spec = UNetSpec.by_level((2, 3, 2), padded=padded, up="linear")
    check_law(spec, [(64, 64)], [16])
    monkeypatch.setattr(segmentation, "read_box", wrong)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_law(spec, [(64, 64)], [16])


def test_ties_take_the_lowest_class() -> None:
    spec = UNetSpec.by_level((2,), classes=3)
    weights = {name: torch.zeros_like(tensor) for name, tensor in UNet(spec).state_dict().items()}
    checkpoint = Checkpoint(spec, weights, Normalization.range(0, 1), ("a", "b", "c"))
    assert not Segmenter(checkpoint).labels(np.ones((1, 8, 8))).any()
