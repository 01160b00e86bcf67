"""Unpooling against windows looked at one by one, and against torch where torch has the same case."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch.nn import functional

from unetscope.model.geometry import fitting_shape, skip_crop
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet, unpool

FACTORS = [(2, 2), (3, 1), (2, 4), (2, 2, 2), (1, 2, 3)]
POOL = {2: functional.max_pool2d, 3: functional.max_pool3d}
UNPOOL = {2: functional.max_unpool2d, 3: functional.max_unpool3d}
LAST = {2: torch.channels_last, 3: torch.channels_last_3d}


def place_one_by_one(values: np.ndarray, pooled_map: np.ndarray, factors: tuple[int, ...]) -> np.ndarray:
    """Every value at the first maximum of its window, the map cut to the windows at its center."""
    enlarged = np.zeros(values.shape[:2] + tuple(n * f for n, f in zip(values.shape[2:], factors, strict=True)))
    cut = [(n - m) // 2 for n, m in zip(pooled_map.shape[2:], enlarged.shape[2:], strict=True)]
    for place in np.ndindex(values.shape):
        corner = [index * factor for index, factor in zip(place[2:], factors, strict=True)]
        window = pooled_map[place[:2]][
            tuple(slice(a + c, a + c + f) for a, c, f in zip(corner, cut, factors, strict=True))
        ]
        found = np.unravel_index(window.argmax(), window.shape)
        enlarged[(*place[:2], *(a + b for a, b in zip(corner, found, strict=True)))] = values[place]
    return enlarged


def random_pair(factors, lost, dtype=torch.float64, levels=None):
    """A pooled map and the values to place, smaller by `lost` windows at both ends."""
    torch.manual_seed(0)
    windows = (7, 6, 5)[: len(factors)]
    size = [n * factor for n, factor in zip(windows, factors, strict=True)]
    pooled_map = torch.randn(2, 3, *size) if levels is None else torch.randint(levels, (2, 3, *size))
    return torch.randn(2, 3, *(n - 2 * lost for n in windows)).to(dtype), pooled_map.to(dtype)


@pytest.mark.parametrize("levels", [None, 2], ids=["distinct", "ties"])
@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("lost", [0, 1, 2])
@pytest.mark.parametrize("factors", FACTORS)
def test_values_go_where_the_first_maximum_was(factors, lost, dtype, last, levels):
    values, pooled_map = random_pair(factors, lost, dtype, levels)
    expected = place_one_by_one(values.double().numpy(), pooled_map.double().numpy(), factors)
    layout = LAST[len(factors)] if last else torch.contiguous_format
    placed = unpool(values.to(memory_format=layout), pooled_map.to(memory_format=layout), factors)
    assert placed.dtype == dtype
    np.testing.assert_array_equal(placed.double().numpy(), expected)


@pytest.mark.parametrize("factors", FACTORS)
def test_unpooling_the_maxima_leaves_every_maximum_in_its_place(factors):
    _, pooled_map = random_pair(factors, 0)
    maxima, places = POOL[len(factors)](pooled_map, factors, return_indices=True)
    placed = unpool(maxima, pooled_map, factors)
    assert torch.equal(placed, UNPOOL[len(factors)](maxima, places, factors))
    assert torch.equal(placed[placed != 0], pooled_map[placed != 0])
    assert (placed != 0).sum() == maxima.numel()
    assert torch.equal(POOL[len(factors)](placed.abs(), factors), maxima.abs())


@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("factors", [(2, 2), (1, 2, 3)])
def test_the_gradient_reaches_values_and_no_places(factors, lost):
    values, pooled_map = (tensor[:1, :1].clone() for tensor in random_pair(factors, lost))
    values.requires_grad_(), pooled_map.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: unpool(x, pooled_map, factors), values)
    unpool(values, pooled_map, factors).square().sum().backward()
    torch.testing.assert_close(values.grad, 2 * values)
    assert pooled_map.grad is None


STRIDES = {2: [None, ((3, 1), (1, 4))], 3: [None, ((1, 2, 2), (2, 1, 3))]}


@pytest.mark.parametrize(("ndim", "strides"), [(ndim, each) for ndim in (2, 3) for each in STRIDES[ndim]])
@pytest.mark.parametrize("skips", [None, ()])
@pytest.mark.parametrize("padded", [True, False])
def test_what_comes_up_is_aligned_with_the_cropped_skip(padded, skips, ndim, strides):
    """In the running network: each window of the up path holds one value, where the cropped skip has its maximum."""
    torch.manual_seed(0)
    form = {"ndim": ndim, "strides": strides, "padded": padded, "skips": skips}
    spec = UNetSpec.by_level((3, 4, 2), convolutions=1, activation="leaky", slope=0.5, up="unpool", **form)
    network, seen = UNet(spec).double(), {}
    for level, name in product(range(spec.depth), ("encoder.{}.conv1", "decoder.{}.up")):
        layer = network.get_submodule(name.format(level))
        layer.register_forward_hook(lambda _m, _i, output, key=name.format(level): seen.update({key: output.clone()}))
    network.get_submodule("decoder.0.up").conv.register_forward_hook(lambda _m, _i, output: seen.update(values=output))
    network(torch.randn(1, 1, *fitting_shape(spec, (30,) * ndim), dtype=torch.float64))
    for level in range(spec.depth):
        factors, crop = spec.level_strides[level], skip_crop(spec, level)
        skip, placed = seen[f"encoder.{level}.conv1"], seen[f"decoder.{level}.up"]
        kept = skip[(..., *(slice(c, n - c) for c, n in zip(crop, skip.shape[2:], strict=True)))]
        assert kept.shape == placed.shape
        assert any(crop) != padded
        assert torch.equal(POOL[ndim]((placed != 0).double(), factors), torch.ones_like(POOL[ndim](kept, factors)))
        maxima = torch.where(placed != 0, kept, -torch.inf)
        assert torch.equal(POOL[ndim](maxima, factors), POOL[ndim](kept, factors))
    assert (seen["decoder.0.up"] != 0).sum() == seen["values"].numel()


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("padded", [True, False])
def test_training_in_bfloat16_with_channels_last_descends(padded, ndim):
    torch.manual_seed(0)
    spec = UNetSpec.by_level((4, 8, 8), ndim=ndim, padded=padded, norm="batch", up="unpool")
    network = UNet(spec).to(memory_format=LAST[ndim])
    image = torch.randn(2, 1, *fitting_shape(spec, (44,) * ndim)).to(memory_format=LAST[ndim])
    optimizer, losses = torch.optim.Adam(network.parameters(), 0.02), []
    for _ in range(8):
        with torch.autocast("cpu", torch.bfloat16):
            scores = network(image)
        losses.append(functional.cross_entropy(scores.float(), torch.ones_like(scores[:, 0], dtype=torch.long)))
        optimizer.zero_grad()
        losses[-1].backward()
        assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
        assert all(network.get_submodule(f"decoder.{level}.up").conv.weight.grad.any() for level in (0, 1))
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]
