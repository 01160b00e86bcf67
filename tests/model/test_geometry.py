"""Sizes and intervals in closed form against what torch returns and what autograd says was read."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from unetscope.errors import SizeError
from unetscope.model import unet
from unetscope.model.geometry import (
    fitting_shape,
    layer_shapes,
    margin,
    output_shape,
    read_box,
    read_interval,
    receptive_field,
    skip_crop,
    smallest_size,
    steps,
)
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet

DOWN_UP = [*product(("max", "strided"), ("transposed", "nearest", "linear", "subpixel")), ("max", "unpool")]
PADDED_DOWN_UP = [(padded, down, up) for padded, (down, up) in product((True, False), DOWN_UP)]


@st.composite
def specs(draw, deepest=5, norms=("none", "instance")):
    """A network of any geometry."""
    depth, ndim = draw(st.integers(0, deepest)), draw(st.sampled_from([2, 3]))
    strides = st.lists(st.tuples(*[st.integers(1, 4)] * ndim), min_size=depth, max_size=depth)
    down, up = draw(st.sampled_from(DOWN_UP))
    return UNetSpec.by_level(
        [1] * (depth + 1),
        ndim=ndim,
        strides=draw(st.none() | strides),
        convolutions=draw(st.integers(1, 4)),
        skips=draw(st.none() | st.just(())),
        padded=draw(st.booleans()),
        norm=draw(st.sampled_from(norms)),
        down=down,
        up=up,
    )


def simulate(spec: UNetSpec, axis: int, size: int) -> int | None:
    """The size that comes out when one axis runs through the network step by step, None where a step is impossible."""
    lost = 0 if spec.padded else 2
    least = 2 if spec.norm == "instance" else 1
    factors = [level[axis] for level in spec.level_strides]
    kept = []
    for factor in factors:
        size -= lost * spec.convolutions
        if size < least or size % factor:
            return None
        kept.append(size)
        size //= factor
    size -= lost * spec.convolutions
    for factor, skip in zip(reversed(factors), reversed(kept), strict=True):
        if size < least:
            return None
        cropped = 0 if spec.padded else 2 * (factor // 2)
        size = {
            "transposed": size * factor,
            "unpool": size * factor,
            "subpixel": (size - lost) * factor,
            "nearest": size * factor - lost,
            "linear": size * factor - cropped - lost,
        }[spec.up]
        assert skip >= size
        assert (skip - size) % 2 == 0, "a skip cannot be cropped at its center"
        size -= lost * spec.convolutions
    return size if size >= least else None


# -------------------------------------------------------------------------------------------------------------- sizes

SHAPES = [
    {"ndim": 2},
    {"ndim": 2, "depth": 0},
    {"ndim": 2, "depth": 3, "convolutions": 1, "skips": (1,)},
    {"ndim": 2, "convolutions": 3, "skips": (), "strides": ((3, 1), (2, 4))},
    {"ndim": 2, "strides": ((1, 2), (5, 2)), "norm": "instance"},
    {"ndim": 3, "depth": 1},
    {"ndim": 3, "convolutions": 1, "strides": ((1, 2, 2), (2, 1, 3)), "skips": (0,)},
]


@pytest.mark.parametrize("form", SHAPES, ids=str)
@pytest.mark.parametrize(("padded", "down", "up"), PADDED_DOWN_UP)
def test_torch_returns_the_foretold_shapes(padded, down, up, form):
    rest = {name: value for name, value in form.items() if name != "depth"}
    spec = UNetSpec.by_level([1] * (form.get("depth", 2) + 1), padded=padded, down=down, up=up, **rest)
    network, seen = UNet(spec), {}
    for layer in spec.wiring.layers:
        network.get_submodule(layer).register_forward_hook(
            lambda module, inputs, output, layer=layer: seen.update({layer: tuple(output.shape[2:])})
        )
    for further in ((0,) * spec.ndim, tuple(range(spec.ndim))):
        shape = tuple(
            least + step * stride
            for least, step, stride in zip(smallest_size(spec), further, spec.total_stride, strict=True)
        )
        with torch.no_grad():
            scores = network(torch.rand(1, 1, *shape))
        assert output_shape(spec, shape) == scores.shape[2:]
        assert layer_shapes(spec, shape) == {"image": shape, **seen}
        assert tuple(n - 2 * lost for n, lost in zip(shape, margin(spec), strict=True)) == scores.shape[2:]


@settings(deadline=None)
@given(specs(deepest=3), st.data())
def test_accepted_sizes_are_exactly_those_that_can_be_computed(spec, data):
    axis = data.draw(st.integers(0, spec.ndim - 1))
    smallest, stride = smallest_size(spec)[axis], spec.total_stride[axis]
    accepted = [size for size in range(1, smallest + 2 * stride + 1) if simulate(spec, axis, size) is not None]
    assert accepted == [smallest, smallest + stride, smallest + 2 * stride]


@settings(deadline=None)
@given(specs(), st.data())
def test_fitting_shapes_are_minimal(spec, data):
    wanted = tuple(data.draw(st.integers(1, least + 3 * spec.total_stride[0])) for least in smallest_size(spec))
    fitting = fitting_shape(spec, wanted)
    for axis, (want, fit) in enumerate(zip(wanted, fitting, strict=True)):
        assert fit >= want
        assert simulate(spec, axis, fit) == output_shape(spec, fitting)[axis]
        assert all(simulate(spec, axis, size) is None for size in range(want, fit))
    assert fitting_shape(spec, fitting) == fitting
    assert fitting_shape(spec, (1,) * spec.ndim) == smallest_size(spec)


@settings(deadline=None)
@given(specs(), st.data())
def test_other_sizes_are_refused_with_the_nearest_that_work(spec, data):
    axis = data.draw(st.integers(0, spec.ndim - 1))
    smallest, stride = smallest_size(spec)[axis], spec.total_stride[axis]
    size = data.draw(st.integers(0, smallest + 3 * stride))
    size += data.draw(st.sampled_from([-1, 1])) * (size >= smallest and (size - smallest) % stride == 0)
    shape = tuple(size if each == axis else least for each, least in enumerate(smallest_size(spec)))
    if size >= smallest and stride == 1:
        return
    with pytest.raises(SizeError, match=rf"^input size {size} along {'zyx'[-spec.ndim :][axis]} leaves ") as caught:
        output_shape(spec, shape)
    low, high = re.search(r"; use (\d+)(?: or (\d+))?$", str(caught.value)).groups()
    assert (high is None) == (size < smallest)
    for named in (int(low), int(high or low)):
        assert simulate(spec, axis, named) is not None
    assert all(simulate(spec, axis, between) is None for between in range(size, int(high or low)))
    assert int(low) < size or int(low) == smallest


@settings(deadline=None)
@given(specs(), st.integers(0, 200))
def test_the_message_says_where_the_size_fails(spec, size):
    if simulate(spec, 0, size) is not None:
        return
    with pytest.raises(SizeError) as caught:
        output_shape(spec, (size, *smallest_size(spec)[1:]))
    left, failed = size, None
    for level, factors in enumerate(spec.level_strides, start=1):
        left -= 0 if spec.padded else 2 * spec.convolutions
        if left <= 0 or left % factors[0]:
            failed = f"leaves {left} pixels before pooling {level} of {spec.depth}, which must be a positive "
            break
        left //= factors[0]
    least = "2 pixels" if spec.norm == "instance" else "1 pixel"
    assert (failed or f"leaves too little where a level ends, which must be at least {least};") in str(caught.value)


def test_a_shape_needs_all_axes():
    with pytest.raises(SizeError, match=r"^shape \(16, 16, 16\) has 3 axes; this network needs 2, without channels$"):
        output_shape(UNetSpec.by_level((2, 2)), (16, 16, 16))


def test_torch_cannot_standardize_what_is_smaller_with_instance_norm():
    spec = UNetSpec.by_level((1, 1), convolutions=4, strides=((3, 3),), padded=False, norm="instance")
    assert UNet(spec)(torch.rand(1, 1, *smallest_size(spec))).isfinite().all()
    bare = UNetSpec.by_level((1, 1), convolutions=4, strides=((3, 3),), padded=False)
    assert UNet(bare)(torch.rand(1, 1, *smallest_size(bare))).shape == (1, 2, 1, 1)
    assert smallest_size(bare) < smallest_size(spec)


def test_the_network_of_2015_crops_its_skips_as_in_the_figure():
    spec = UNetSpec.preset("ronneberger2015")
    shapes = layer_shapes(spec, (572, 572))
    assert [shapes[f"encoder.{level}.conv2"][0] for level in range(4)] == [568, 280, 136, 64]
    assert [shapes[f"decoder.{level}.up"][0] for level in range(4)] == [392, 200, 104, 56]
    assert [skip_crop(spec, level) for level in range(4)] == [(88, 88), (40, 40), (16, 16), (4, 4)]


# ---------------------------------------------------------------------------------------------------------- intervals


def make_sensitive(network: UNet) -> UNet:
    """Weights and biases above zero, so that no path is closed and no two cancel."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.rand_like(parameter) + 0.1)
    return network.double()


def unpool_everywhere(x, pooled_map, factors):
    """A smooth stand-in for unpooling: every place depends on every pixel of its window, and every value goes there."""
    places = functional.avg_pool2d(pooled_map, factors)
    lost = [(n - m) // 2 for n, m in zip(places.shape[2:], x.shape[2:], strict=True)]
    kept = (slice(count, n - count) for n, count in zip(places.shape[2:], lost, strict=True))
    return functional.interpolate(x * places[(..., *kept)], scale_factor=[float(factor) for factor in factors])


def find_read(network: UNet, size: int, start: int, stop: int) -> tuple[int, int]:
    """First and one past the last input row with a gradient from output rows `start` to `stop`."""
    image = torch.rand(1, 1, size, smallest_size(network.spec)[1], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(image)[:, :, start:stop].sum(), image)
    rows = gradient[0, 0].abs().amax(dim=1).nonzero().flatten().tolist()
    return min(rows), max(rows) + 1


FORMS = [
    ((1, 1), {}),
    ((1, 1, 1), {}),
    ((1, 1, 1), {"convolutions": 1, "skips": ()}),
    ((1, 1, 1), {"convolutions": 1, "strides": ((4, 1), (1, 1)), "skips": (1,)}),
    ((1, 1, 1), {"convolutions": 3, "strides": ((2, 1), (4, 1))}),
    ((1, 1, 1), {"convolutions": 1, "strides": ((3, 1), (5, 1))}),
]


@pytest.mark.parametrize(("widths", "form"), FORMS, ids=str)
@pytest.mark.parametrize(("padded", "down", "up"), PADDED_DOWN_UP)
def test_the_interval_is_what_autograd_says_was_read(padded, down, up, widths, form, monkeypatch):
    """Max pooling can depend on each of its inputs, on one at a time: mean pooling depends on the same ones at once."""
    monkeypatch.setattr(functional, "max_pool2d", functional.avg_pool2d)
    monkeypatch.setattr(unet, "unpool", unpool_everywhere)
    spec = UNetSpec.by_level(widths, padded=padded, down=down, up=up, **form)
    torch.manual_seed(0)
    network, stride = make_sensitive(UNet(spec)), spec.total_stride[0]
    size = fitting_shape(spec, (2 * margin(spec)[0] + 3 * receptive_field(spec)[0], 1))[0]
    last = output_shape(spec, (size, smallest_size(spec)[1]))[0]
    middle = last // (2 * stride) * stride
    for outputs in [(0, 1), (last - 1, last), (middle, middle + stride), (1, middle + 2), (0, last)]:
        assert_read(network, size, outputs, exact=True)
    reads = [assert_read(network, size, (at, at + 1), exact=True) for at in range(middle, middle + stride)]
    assert receptive_field(spec)[0] == max(stop - start for start, stop in reads)


def assert_read(network: UNet, size: int, outputs: tuple[int, int], exact: bool) -> tuple[int, int]:
    """Compare the truth with the interval, clipped to what is there."""
    first, last = read_interval(network.spec, 0, *outputs)
    told, truth = (max(0, first), min(size, last)), find_read(network, size, *outputs)
    assert network.spec.padded or told == (first, last), "a valid network reads no padding"
    assert told[0] <= truth[0] < truth[1] <= told[1]
    assert told == truth or not exact
    return truth


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("padded", "down", "up"), PADDED_DOWN_UP)
def test_nothing_outside_of_the_interval_is_ever_read(padded, down, up, seed):
    """Random weights, ReLU and max pooling as they are; strided networks reach both ends nevertheless."""
    spec = UNetSpec.by_level((8, 8, 8), padded=padded, down=down, up=up, activation="leaky", slope=0.5)
    torch.manual_seed(seed)
    network = UNet(spec).double()
    size = fitting_shape(spec, (160, 1))[0]
    last = output_shape(spec, (size, smallest_size(spec)[1]))[0]
    for at in (0, last // 2, last // 2 + 1, last - 1):
        assert_read(network, size, (at, at + 1), exact=down == "strided")


@settings(deadline=None, max_examples=50)
@given(specs(), st.integers(0, 3), st.data())
def test_the_places_of_an_unpooling_are_read_in_whole_windows(spec, level, data):
    """And with one size for both inputs of a layer, or they would not be aligned."""
    if spec.up != "unpool" or level >= spec.depth:
        return
    layer, axis = f"decoder.{level}.up", data.draw(st.integers(0, spec.ndim - 1))
    factor, lost = spec.level_strides[level][axis], skip_crop(spec, level)[axis]
    start = data.draw(st.integers(0, 30))
    interval = (start, start + data.draw(st.integers(1, 30)))
    for step in reversed(steps(spec, spec.placed_by(layer), layer, axis)):
        interval = step.reads(*interval)
    assert lost % factor == 0
    assert all((end - lost) % factor == 0 for end in interval)
    shapes = layer_shapes(spec, fitting_shape(spec, (60,) * spec.ndim))
    assert shapes[layer][axis] == shapes[spec.placed_by(layer)][axis] - 2 * lost


def test_axes_are_kept_apart():
    spec = UNetSpec.by_level((2, 2), ndim=3, strides=((1, 2, 4),), convolutions=1)
    flat = [UNetSpec.by_level((2, 2), strides=((stride, 1),), convolutions=1) for stride in (1, 2, 4)]
    assert receptive_field(spec) == tuple(receptive_field(each)[0] for each in flat)
    assert [read_interval(spec, axis, 8, 16) for axis in range(3)] == [read_interval(each, 0, 8, 16) for each in flat]


# -------------------------------------------------------------------------------------------------------- boxes to read


@st.composite
def writes(draw):
    """A network, an axis, an image's length and an interval to write that starts on the grid."""
    spec = draw(specs())
    axis = draw(st.integers(0, spec.ndim - 1))
    stride = spec.total_stride[axis]
    length = draw(st.integers(1, 5 * stride + 50))
    start = draw(st.integers(0, (length - 1) // stride)) * stride
    return spec, axis, start, draw(st.integers(start + 1, length)), length


@settings(deadline=None, max_examples=300)
@given(writes())
def test_a_box_to_read_serves_what_is_written(write):
    spec, axis, start, stop, length = write
    first, last = read_box(spec, axis, start, stop, length)
    needed = read_interval(spec, axis, start, stop)
    written = simulate(spec, axis, last - first)
    assert first % spec.total_stride[axis] == 0, "pooled on another grid"
    assert written is not None, "refused by the network"
    assert first <= start
    assert first + written >= stop
    if spec.padded:
        whole = fitting_shape(spec, (length,) * spec.ndim)[axis]
        assert 0 <= first <= max(0, needed[0])
        assert min(whole, needed[1]) <= last <= whole
    else:
        assert first <= needed[0] < needed[1] <= last


@settings(deadline=None)
@given(writes())
def test_a_box_to_read_is_not_larger_than_the_grid_demands(write):
    spec, axis, start, stop, length = write
    first, last = read_box(spec, axis, start, stop, length)
    needed, stride = read_interval(spec, axis, start, stop), spec.total_stride[axis]
    wanted = needed[1] - needed[0] + 2 * (stride - 1)
    assert last - first <= fitting_shape(spec, (wanted,) * spec.ndim)[axis]


@settings(deadline=None)
@given(specs(), st.data())
def test_an_image_in_one_piece_reads_its_whole_frame(spec, data):
    axis = data.draw(st.integers(0, spec.ndim - 1))
    length = data.draw(st.integers(1, 3 * spec.total_stride[axis] + 50))
    frame = fitting_shape(spec, (length + 2 * margin(spec)[axis],) * spec.ndim)[axis]
    assert read_box(spec, axis, 0, length, length) == (0, frame)


def test_the_tile_of_2015_reads_572_for_388():
    spec = UNetSpec.preset("ronneberger2015")
    assert read_box(spec, 0, 0, 388, 388) == (0, 572)
    assert np.diff(read_box(spec, 0, 384, 768, 5000)).item() == 572
