"""What is observed at a pixel is what stands in every layer's map at that pixel, and nothing of a network changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from unetscope.errors import DataError, SpecError
from unetscope.information.capture import capture, split_sources
from unetscope.information.observation import (
    estimate_sizes,
    first_pixel,
    observe,
    observe_in_passes,
    observe_windows,
)
from unetscope.information.pixels import PixelSettings, sample_pixels
from unetscope.information.reading import join_readings
from unetscope.information.subject import Subject
from unetscope.information.views import Views, view_arrays
from unetscope.model.geometry import Crop, Window, fitting_shape, margin, smallest_size, steps
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet, class_scores
from unetscope.wiring import Wiring

SPECS = {
    "depth 0": UNetSpec.by_level((4,)),
    "depth 0, valid": UNetSpec.by_level((4,), padded=False),
    "depth 1": UNetSpec.by_level((3, 4), norm="batch"),
    "depth 2, valid": UNetSpec.by_level((3, 4, 5), padded=False),
    "depth 3": UNetSpec.by_level((2, 3, 4, 5), skips=(0, 2), convolutions=1),
    "depth 3, valid": UNetSpec.by_level((2, 3, 4, 5), padded=False, up="nearest", convolutions=1),
    "strided, linear, valid": UNetSpec.by_level((2, 3, 4), padded=False, up="linear", down="strided"),
    "subpixel, threes, valid": UNetSpec.by_level((2, 3, 4), padded=False, up="subpixel", strides=((3, 2), (1, 3))),
    "one score": UNetSpec.by_level((2, 3), classes=1, up="unpool"),
    "3d": UNetSpec.by_level((2, 3, 4), ndim=3, convolutions=1),
    "3d, valid": UNetSpec.by_level((2, 3), ndim=3, padded=False, up="linear"),
    "3d, uneven": UNetSpec.by_level((2, 3, 4), ndim=3, strides=((1, 2, 2), (2, 2, 2)), convolutions=1),
}
FEW = PixelSettings(blocks=10, pixels=100, most_offsets=4)


def make_views(spec, sizes=(0, 5)):
    """Random images of accepted sizes, labelled where the network has scores."""
    chance = np.random.default_rng(0)
    images, labels = [], []
    for extra in sizes:
        shape = fitting_shape(spec, tuple(n + extra + axis for axis, n in enumerate(smallest_size(spec))))
        images.append(chance.normal(size=(spec.image_channels, *shape)).astype(np.float32))
        known = np.full(shape, -1)
        inside = tuple(slice(side, n - side) for side, n in zip(margin(spec), shape, strict=True))
        known[inside] = chance.integers(0, 2, known[inside].shape)
        labels.append(known)
    return view_arrays(images, labels)


def make_network(spec):
    torch.manual_seed(0)
    return UNet(spec).eval()


def starts_of(spec):
    """Where every layer's map begins in fed coordinates, walked step by step from the image."""
    starts = {"image": (0,) * spec.ndim}
    for layer in spec.wiring.layers:
        source = spec.sources(layer)[0]
        starts[layer] = tuple(walk(spec, source, layer, axis, starts[source][axis]) for axis in range(spec.ndim))
    return starts


def walk(spec, source, layer, axis, start):
    stride = spec.stride(source)[axis]
    for step in steps(spec, source, layer, axis):
        if isinstance(step, Window) and step.stride == 1:
            start += stride * (step.kernel // 2 - step.padding)
        elif isinstance(step, Window):
            stride *= step.stride
        elif isinstance(step, Crop):
            start += stride * step.count
        else:
            stride //= step.scale
    assert stride == spec.stride(layer)[axis]
    return start


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_readings_are_the_maps_at_the_pixels(spec):
    network, views = make_network(spec), make_views(spec)
    pixels = sample_pixels(views, spec.total_stride, FEW)
    seen = observe(network, spec.wiring, views, pixels)
    assert tuple(seen.layers) == spec.wiring.layers
    starts = starts_of(spec)
    for index, view in enumerate(views):
        maps = capture(network, spec.wiring.layers, torch.from_numpy(view.image)[None])
        maps["head"] = class_scores(maps["head"])
        chosen = pixels.of(index)
        for layer, reading in seen.layers.items():
            stride, place = spec.stride(layer), pixels.place[chosen]
            position, offset = np.divmod(place - starts[layer], stride)
            np.testing.assert_array_equal(
                reading.features[reading.row[chosen]], maps[layer][0].numpy()[(slice(None), *position.T)].T
            )
            # pixels have one offset in common exactly if they have the same place within their blocks
            pairs = {(number, *each) for number, each in zip(reading.offset[chosen], offset.tolist(), strict=True)}
            assert len(pairs) == len({pair[0] for pair in pairs}) == len({pair[1:] for pair in pairs})
            assert seen.strides[layer] == stride


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("ndim", [2, 3])
def test_a_network_that_hands_the_image_on_says_the_image(ndim, padded):
    """Every convolution copies the pixel at its center, through the skips, and max pooling does the rest."""
    spec = UNetSpec.by_level((1, 1, 1), ndim=ndim, padded=padded, classes=1)
    network, views = make_network(spec), make_views(spec)
    with torch.no_grad():
        for layer in spec.wiring.layers:
            weight = network.get_submodule(layer).conv.weight
            weight.zero_()
            weight[(0, 0, *(size // 2 for size in weight.shape[2:]))] = 1
    positive = view_arrays([abs(view.image) for view in views], [view.labels for view in views])
    pixels = sample_pixels(positive, spec.total_stride, FEW)
    seen = observe(network, spec.wiring, positive, pixels)
    start = np.array(starts_of(spec)["bottleneck.conv2"])
    for index, view in enumerate(positive):
        chosen = pixels.of(index)
        own = view.image[(0, *pixels.place[chosen].T)]
        for layer in ("encoder.0.conv1", "encoder.0.conv2", "decoder.0.conv1", "decoder.0.conv2"):
            reading = seen.layers[layer]
            np.testing.assert_array_equal(reading.features[reading.row[chosen], 0], own)
        head, deepest = seen.layers["head"], seen.layers["bottleneck.conv2"]
        np.testing.assert_array_equal(head.features[head.row[chosen]], np.stack([0 * own, own], 1))
        corners = (pixels.place[chosen] - start) // 4 * 4 + start
        blocks = [view.image[0][tuple(slice(at, at + 4) for at in corner)].max() for corner in corners]
        np.testing.assert_array_equal(deepest.features[deepest.row[chosen], 0], blocks)


def test_images_are_never_written_to():
    class Careless(nn.Module):
        def forward(self, x):
            return x.mul_(2)

    views = make_views(SPECS["depth 0"])
    images = [view.image.copy() for view in views]
    for image in images:
        image.flags.writeable = False
    frozen = view_arrays(images, [view.labels for view in views])
    wiring = Wiring({"0": ("image",)}, {"0": (1, 1)}, {"image": 1, "0": 1})
    seen = observe(nn.Sequential(Careless()), wiring, frozen, sample_pixels(frozen, (1, 1), FEW))
    assert seen.moments["0"].mean[-1] == pytest.approx(2 * np.concatenate([image.ravel() for image in images]).mean())


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_every_layer_reads_every_pixel_and_no_position_twice(spec):
    views = make_views(spec)
    pixels = sample_pixels(views, spec.total_stride, FEW)
    seen = observe(make_network(spec), spec.wiring, views, pixels)
    for layer, reading in seen.layers.items():
        assert len(reading.row) == len(reading.offset) == len(pixels)
        assert set(reading.row) == set(range(len(reading.features)))
        assert reading.offsets <= min(FEW.offsets, np.prod(spec.stride(layer)))
        assert set(reading.offset) == set(range(reading.offsets))
        assert (np.diff(pixels.view) >= 0).all()
    deepest = seen.layers[f"bottleneck.conv{spec.convolutions}"]
    blocks = np.column_stack([pixels.view, (pixels.place - starts_of(spec)["bottleneck.conv1"]) // spec.total_stride])
    assert len(deepest.features) == len(np.unique(blocks, axis=0))


@pytest.mark.parametrize("name", ["depth 2, valid", "depth 3", "strided, linear, valid", "3d", "3d, valid"])
def test_the_parts_of_a_join_are_its_input(name):
    spec = SPECS[name]
    network, views = make_network(spec), make_views(spec)
    pixels = sample_pixels(views, spec.total_stride, FEW)
    seen = observe(network, spec.wiring, views, pixels)
    assert tuple(seen.joins) == spec.wiring.joins()
    inputs = read_inputs(network, spec.wiring.joins(), views)
    for join, parts in seen.joins.items():
        assert tuple(parts) == spec.sources(join)
        both = join_readings(list(parts.values()))
        start = starts_of(spec)[spec.sources(join)[-1]]  # the skip is cropped to the up path
        for index in range(len(views)):
            chosen = pixels.of(index)
            position = (pixels.place[chosen] - start) // spec.stride(join)
            expected = inputs[join][index][(slice(None), *position.T)].T
            np.testing.assert_array_equal(both.features[both.row[chosen]], expected)
        for source, part in parts.items():
            np.testing.assert_array_equal(
                part.features[part.row], seen.layers[source].features[seen.layers[source].row]
            )
            moments = seen.join_moments[join][source]
            values = np.concatenate(
                [each[split_sources(spec.wiring, join)[source]].reshape(part.width, -1) for each in inputs[join]], 1
            )
            np.testing.assert_allclose(moments.mean, values.mean(1, dtype=float), rtol=1e-6, atol=1e-7)
            np.testing.assert_allclose(moments.variance, values.var(1, dtype=float), rtol=1e-5, atol=1e-12)


def read_inputs(network, layers, views):
    found = {layer: [] for layer in layers}
    handles = [
        network.get_submodule(layer).register_forward_pre_hook(
            lambda _module, inputs, layer=layer: found[layer].append(inputs[0][0].numpy().copy())
        )
        for layer in layers
    ]
    for view in views:
        with torch.no_grad():
            network(torch.from_numpy(view.image)[None])
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("name", ["depth 3", "depth 2, valid", "3d"])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_windows_at_a_join_are_cut_from_its_input(name, size):
    spec = SPECS[name]
    network, views = make_network(spec), make_views(spec)
    pixels = sample_pixels(views, spec.total_stride, FEW)
    subject = Subject("test", network, spec.wiring, lambda seed: network)
    plain = observe(network, spec.wiring, views, pixels)
    for join in spec.wiring.joins():
        inputs = read_inputs(network, [join], views)[join]
        start = starts_of(spec)[spec.sources(join)[-1]]
        parts = observe_windows(subject, views, pixels, join, size)
        for source, reading in parts.items():
            part = split_sources(spec.wiring, join)[source]
            for pixel in range(0, len(pixels), 3):
                index = pixels.view[pixel]
                at = (pixels.place[pixel] - start) // spec.stride(join)
                framed = np.pad(inputs[index][part], [(0, 0), *[(size // 2, size // 2)] * spec.ndim])
                window = framed[(slice(None), *(slice(place, place + size) for place in at))]
                np.testing.assert_array_equal(reading.features[reading.row[pixel]], window.ravel())
            np.testing.assert_array_equal(reading.row, plain.joins[join][source].row)
            np.testing.assert_array_equal(reading.offset, plain.joins[join][source].offset)


def test_windows_need_a_join():
    network, views = make_network(SPECS["depth 1"]), make_views(SPECS["depth 1"])
    subject = Subject("test", network, SPECS["depth 1"].wiring, lambda seed: network)
    with pytest.raises(SpecError, match=r"reads no more than one source; use a join: decoder\.0\.conv1"):
        observe_windows(subject, views, sample_pixels(views, (2, 2), FEW), "head", 3)


@pytest.mark.parametrize("name", ["depth 1", "depth 2, valid", "one score", "3d, uneven"])
def test_moments_are_those_of_the_whole_maps(name):
    spec = SPECS[name]
    network, views = make_network(spec), make_views(spec)
    seen = observe(network, spec.wiring, views, sample_pixels(views, spec.total_stride, FEW))
    maps = [capture(network, spec.wiring.layers, torch.from_numpy(view.image)[None]) for view in views]
    for layer, moments in seen.moments.items():
        outputs = [class_scores(each[layer]) if layer == "head" else each[layer] for each in maps]
        values = np.concatenate([output[0].flatten(1).numpy() for output in outputs], axis=1).astype(float)
        np.testing.assert_allclose(moments.mean, values.mean(1), rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(moments.variance, values.var(1), rtol=1e-5, atol=1e-12)


def test_what_never_varies_has_no_variance_at_all():
    spec = SPECS["depth 1"]
    network, views = make_network(spec), make_views(spec)
    with torch.no_grad():
        network.encoder.get_submodule("0.conv2.after.norm").weight.zero_()
        network.encoder.get_submodule("0.conv2.after.norm").bias.fill_(0.1)
    seen = observe(network, spec.wiring, views, sample_pixels(views, spec.total_stride, FEW))
    assert (seen.moments["encoder.0.conv2"].variance == 0).all()
    np.testing.assert_array_equal(seen.moments["encoder.0.conv2"].mean, np.float32(0.1))
    assert (seen.moments["encoder.0.conv1"].variance > 0).all()


def test_variance_survives_a_large_mean():
    module = nn.Sequential(nn.Identity())
    views = make_views(SPECS["depth 0"])
    lifted = view_arrays([view.image + 1000 for view in views], [view.labels for view in views])
    wiring = Wiring({"0": ("image",)}, {"0": (1, 1)}, {"image": 1, "0": 1})
    seen = observe(module, wiring, lifted, sample_pixels(lifted, (1, 1), FEW))
    values = np.concatenate([view.image.ravel() for view in lifted]).astype(float)
    np.testing.assert_allclose(seen.moments["0"].variance[-1], values.var(), rtol=1e-5)


def test_passes_together_are_one_pass():
    spec = SPECS["depth 3"]
    network, views = make_network(spec), make_views(spec)
    pixels = sample_pixels(views, spec.total_stride, FEW)
    whole = observe(network, spec.wiring, views, pixels)
    most = max(estimate_sizes(spec.wiring, views, pixels).values())
    steps_done = []
    parts = list(observe_in_passes(network, spec.wiring, views, pixels, most, lambda *at: steps_done.append(at)))
    assert len(parts) > 2
    total = len(parts) * len(views)
    assert steps_done == [(done, total) for done in range(1, total + 1)]
    assert [layer for part in parts for layer in part.layers] == list(spec.wiring.layers)
    for part in parts:
        for layer, reading in part.layers.items():
            for name in ("features", "row", "offset"):
                np.testing.assert_array_equal(getattr(reading, name), getattr(whole.layers[layer], name))
            np.testing.assert_array_equal(part.moments[layer].variance, whole.moments[layer].variance)
        for join, readings in part.joins.items():
            assert join in part.layers
            for source, reading in readings.items():
                np.testing.assert_array_equal(reading.features, whole.joins[join][source].features)


@pytest.mark.parametrize("name", ["depth 2, valid", "depth 3", "3d, uneven"])
def test_the_estimate_of_memory_is_what_readings_take(name):
    spec = SPECS[name]
    views = make_views(spec)
    # view_arrays knows no origin; pixels are drawn on the network's grid as for a dataset
    origin = tuple(
        start % step for start, step in zip(starts_of(spec)["bottleneck.conv1"], spec.total_stride, strict=True)
    )
    views = Views(views.names, views.groups, views.classes, origin, views.read)
    pixels = sample_pixels(views, spec.total_stride, FEW)
    seen = observe(make_network(spec), spec.wiring, views, pixels)
    for layer, size in estimate_sizes(spec.wiring, views, pixels).items():
        parts = seen.joins.get(layer, {}).values()
        assert size == seen.layers[layer].features.nbytes + sum(part.features.nbytes for part in parts)


def test_too_little_memory_is_refused():
    spec = SPECS["depth 1"]
    views = make_views(spec)
    with pytest.raises(DataError, match="allow more memory, draw fewer pixels, or observe in several passes"):
        observe(make_network(spec), spec.wiring, views, sample_pixels(views, (2, 2), FEW), memory_bytes=100)


def test_what_a_source_brings_unchanged_is_held_once():
    spec = SPECS["depth 1"]
    views = make_views(spec)
    seen = observe(make_network(spec), spec.wiring, views, sample_pixels(views, (2, 2), FEW))
    for source, part in seen.joins["decoder.0.conv1"].items():
        assert part is seen.layers[source]


def hooks(module):
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules())


def test_the_network_stays_as_it_was():
    spec = SPECS["depth 1"]
    network, views = make_network(spec), make_views(spec)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    done = []
    observe(network, spec.wiring, views, sample_pixels(views, (2, 2), FEW), on_view=lambda *at: done.append(at))
    assert done == [(1, 2), (2, 2)]
    assert hooks(network) == 0
    assert not network.training
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


class Foreign(nn.Module):
    """Somebody's network: in-place activations, ceiling sizes, one join."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 3, 3, padding=1)
        self.down = nn.Conv2d(3, 5, 3, stride=2, padding=1)
        self.fuse = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(8, 2, 1))

    def forward(self, x):
        first = self.first(x)
        up = functional.interpolate(self.down(first), size=first.shape[2:])
        return self.fuse(torch.cat([first, up], 1))


WIRING = Wiring(
    {"first": ("image",), "down": ("first",), "fuse": ("first", "down")},
    {},
    {"image": 1, "first": 3, "down": 5, "fuse": 2},
)


def test_other_networks_are_observed_without_known_strides():
    torch.manual_seed(0)
    network = Foreign().eval()
    views = make_views(SPECS["depth 0"], (10, 13))
    pixels = sample_pixels(views, (2, 2), FEW)
    seen = observe(network, WIRING, views, pixels)
    assert seen.strides == {"first": (1, 1), "down": (2, 2), "fuse": (1, 1)}
    assert seen.layers["down"].offsets == 4
    for index, view in enumerate(views):
        maps = capture(network, WIRING.layers, torch.from_numpy(view.image)[None])
        chosen = pixels.of(index)
        place = pixels.place[chosen]
        for layer, stride in seen.strides.items():
            reading = seen.layers[layer]
            expected = maps[layer][0].numpy()[(slice(None), *(place // stride).T)].T
            np.testing.assert_array_equal(reading.features[reading.row[chosen]], expected)
        up = seen.joins["fuse"]["down"]
        assert (up.features.min(), up.width) < (0, 5)  # heard before the activation worked in place


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({"first": ("image",), "fuse": ("image", "first")}, "reads 8 channels, and its sources image and first have 4"),
        ({"other": ("image",)}, "no layer 'other'"),
        ({"unused": ("image",)}, "put out 0 tensors for 1 images"),
        ({"pair": ("image",)}, "put out tuple"),
    ],
)
def test_a_wiring_of_another_network_is_refused(sources, message):
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    class Wider(Foreign):
        def __init__(self):
            super().__init__()
            self.unused, self.pair = nn.Conv2d(1, 1, 1), Pair()

        def forward(self, x):
            self.pair(x)
            return super().forward(x)

    network = Wider().eval()
    views = make_views(SPECS["depth 0"])
    widths = {"image": 1, "first": 3, "fuse": 2, "other": 1, "unused": 1, "pair": 1}
    with pytest.raises(SpecError, match=message):
        observe(network, Wiring(sources, {}, widths), views, sample_pixels(views, (1, 1), FEW))
    assert hooks(network) == 0


def test_hooks_are_gone_after_an_error():
    spec = SPECS["depth 1"]
    network, views = make_network(spec), make_views(spec)
    pixels = sample_pixels(views, (2, 2), FEW)

    def stop(_done, _count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        observe(network, spec.wiring, views, pixels, on_view=stop)
    assert hooks(network) == 0


def test_maps_that_reach_beyond_the_end_begin_at_the_first_pixel():
    assert first_pixel((15, 16, 17), (8, 8, 8), (2, 2, 2)).tolist() == [0, 0, 0]
    assert first_pixel((188,), (4,), (1,)).tolist() == [92]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_network_on_a_gpu_says_the_same():
    spec = SPECS["depth 2, valid"]
    network, views = make_network(spec), make_views(spec)
    pixels = sample_pixels(views, spec.total_stride, FEW)
    here = observe(network, spec.wiring, views, pixels)
    there = observe(network.cuda(), spec.wiring, views, pixels)
    for layer, reading in here.layers.items():
        np.testing.assert_allclose(there.layers[layer].features, reading.features, rtol=1e-2, atol=1e-3)
        np.testing.assert_array_equal(there.layers[layer].row, reading.row)
