"""A cut takes away exactly what it names, for exactly one reader, and Dice is the package's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from unetscope.errors import SpecError
from unetscope.information.ablation import Cut, ablate, lost_dice, measure_dice
from unetscope.information.capture import capture, split_sources
from unetscope.information.observation import Moments, observe
from unetscope.information.pixels import PixelSettings, sample_pixels
from unetscope.information.subject import Subject
from unetscope.information.views import view_arrays
from unetscope.model.geometry import fitting_shape, margin, smallest_size
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet, class_scores
from unetscope.scores.overlap import score_image
from unetscope.wiring import Wiring

SPECS = {
    "padded": UNetSpec.by_level((3, 4, 5)),
    "valid": UNetSpec.by_level((3, 4), padded=False, norm="batch"),
    "three classes": UNetSpec.by_level((3, 4, 5), classes=3),
    "one score": UNetSpec.by_level((3, 4), classes=1),
    "3d": UNetSpec.by_level((2, 3), ndim=3),
}


def make(spec, empty=()):
    torch.manual_seed(2)
    network = UNet(spec).eval()
    chance = np.random.default_rng(0)
    images, labels = [], []
    for index, extra in enumerate((0, 8, 3)):
        shape = fitting_shape(spec, tuple(n + extra + 6 for n in smallest_size(spec)))
        images.append(chance.normal(size=(1, *shape)).astype(np.float32))
        known = np.full(shape, -1)
        inside = tuple(slice(side, n - side) for side, n in zip(margin(spec), shape, strict=True))
        known[inside] = 0 if index in empty else chance.integers(-1, max(2, spec.classes), known[inside].shape)
        labels.append(known)
    with torch.no_grad():  # so that every class is predicted somewhere
        scores = network(torch.from_numpy(images[0])[None])
        network.get_submodule("head").conv.bias -= scores.flatten(2).median(2).values[0]
    names = ("background", *(f"class {index}" for index in range(1, max(2, spec.classes))))
    return Subject("test", network, spec.wiring, lambda seed: network), view_arrays(images, labels, names)


def observe_all(subject, views):
    pixels = sample_pixels(views, (1,) * views.ndim, PixelSettings(blocks=4, pixels=4))
    return observe(subject.module, subject.wiring, views, pixels)


def cuts_of(wiring):
    return [Cut(join, source) for join in wiring.joins() for source in wiring.sources[join]]


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_dice_is_that_of_the_scores(spec):
    subject, views = make(spec, empty=(1,))
    tally = measure_dice(subject.module, views)
    for index, view in enumerate(views):
        with torch.no_grad():
            found = class_scores(subject.module(torch.from_numpy(view.image)[None]))[0].argmax(0).numpy()
        inside = tuple(slice(side, n - side) for side, n in zip(margin(spec), view.labels.shape, strict=True))
        whole = np.full(view.labels.shape, 0)
        whole[tuple(slice(s, s + n) for s, n in zip(margin(spec), found.shape, strict=True))] = found
        expected = score_image(view.labels[inside], whole[inside], views.classes).dice
        assert (expected is None) == (tally.counts[index] == 0) == (index == 1)
        assert tally.sums[index] == pytest.approx(expected or 0.0)
    assert tally.images == 2


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_lost_dice_is_the_difference_that_a_cut_makes(spec):
    subject, views = make(spec, empty=(2,))
    moments = observe_all(subject, views).join_moments
    cuts, done = cuts_of(subject.wiring), []
    lost = lost_dice(subject, views, moments, cuts, lambda *at: done.append(at))
    assert list(lost) == cuts
    assert done == [(1, 3), (2, 3), (3, 3)]
    whole = measure_dice(subject.module, views)
    for cut, tally in lost.items():
        with ablate(subject.module, subject.wiring, cut, moments[cut.join][cut.source].mean):
            lessened = measure_dice(subject.module, views)
        np.testing.assert_allclose(tally.sums, (whole - lessened).sums)
        assert tally.counts.tolist() == [1, 1, 0]
    assert any(tally.mean != 0 for tally in lost.values())
    np.testing.assert_array_equal(measure_dice(subject.module, views).sums, whole.sums)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_only_the_named_part_of_the_named_join_changes(spec):
    subject, views = make(spec)
    image = torch.from_numpy(views[0].image)[None]
    for cut in cuts_of(subject.wiring):
        part = split_sources(subject.wiring, cut.join)[cut.source]
        mean = np.random.default_rng(1).normal(size=part.stop - part.start)
        before, plain = read_input(subject.module, cut.join, image)
        with ablate(subject.module, subject.wiring, cut, mean):
            after, changed = read_input(subject.module, cut.join, image)
            layers = capture(subject.module, subject.wiring.layers, image)
        expected = before.clone()
        expected[:, part] = torch.as_tensor(mean, dtype=torch.float32).reshape(-1, *[1] * views.ndim)
        torch.testing.assert_close(after, expected, rtol=0, atol=0)
        untouched = subject.wiring.layers[: subject.wiring.layers.index(cut.join)]
        normal = capture(subject.module, subject.wiring.layers, image)
        for layer in untouched:
            torch.testing.assert_close(layers[layer], normal[layer], rtol=0, atol=0)
        assert not torch.equal(plain, changed)


def read_input(module, layer, image):
    """What a layer reads, seen by a hook that comes after those there are, and what the network puts out."""
    found = []
    handle = module.get_submodule(layer).register_forward_pre_hook(
        lambda _module, inputs: found.append(inputs[0].clone())
    )
    with torch.no_grad():
        output = module(image)
    handle.remove()
    return found[0], output


def test_another_reader_of_the_same_layer_still_sees_it():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1)
            self.join, self.again = nn.Conv2d(4, 2, 1), nn.Conv2d(4, 2, 1)

        def forward(self, x):
            a = self.a(x)
            joined = torch.cat([a, self.b(a)], 1)
            return self.join(joined) + self.again(joined)

    torch.manual_seed(0)
    network, image = Twice().eval(), torch.randn(1, 1, 5, 5)
    wiring = Wiring(
        {"a": ("image",), "b": ("a",), "join": ("a", "b"), "again": ("a", "b")},
        {},
        {"image": 1, "a": 2, "b": 2, "join": 2, "again": 2},
    )
    normal = capture(network, wiring.layers, image)
    with ablate(network, wiring, Cut("join", "a"), np.ones(2)):
        cut = capture(network, wiring.layers, image)
    for layer in ("a", "b", "again"):
        torch.testing.assert_close(cut[layer], normal[layer], rtol=0, atol=0)
    assert not torch.equal(cut["join"], normal["join"])


def test_putting_a_constant_in_place_of_itself_loses_nothing():
    subject, views = make(SPECS["padded"])
    with torch.no_grad():
        subject.module.get_submodule("decoder.1.up").conv.weight.zero_()
        subject.module.get_submodule("decoder.1.up").conv.bias.uniform_(-1, 1)
    moments = observe_all(subject, views).join_moments
    cut = Cut("decoder.1.conv1", "decoder.1.up")
    assert (moments[cut.join][cut.source].variance == 0).all()
    image = torch.from_numpy(views[0].image)[None]
    with torch.no_grad():
        normal = subject.module(image)
        with ablate(subject.module, subject.wiring, cut, moments[cut.join][cut.source].mean):
            torch.testing.assert_close(subject.module(image), normal, rtol=0, atol=0)
    assert lost_dice(subject, views, moments, [cut])[cut].sums.tolist() == [0, 0, 0]


def test_a_part_that_is_not_weighted_loses_nothing():
    subject, views = make(SPECS["padded"])
    cut = Cut("decoder.0.conv1", "encoder.0.conv2")
    part = split_sources(subject.wiring, cut.join)[cut.source]
    with torch.no_grad():
        subject.module.get_submodule("decoder.0.conv1").conv.weight[:, part] = 0
    means = {cut.join: {cut.source: Moments(np.full(3, 7.0), np.ones(3))}}
    assert lost_dice(subject, views, means, [cut])[cut].sums.tolist() == [0, 0, 0]


def test_hooks_are_gone_after_an_error():
    subject, _ = make(SPECS["padded"])
    cut = Cut("decoder.0.conv1", "decoder.0.up")
    with pytest.raises(KeyboardInterrupt), ablate(subject.module, subject.wiring, cut, np.zeros(3)):
        raise KeyboardInterrupt
    assert not any(part._forward_pre_hooks for part in subject.module.modules())


@pytest.mark.parametrize(
    ("cut", "mean", "message"),
    [
        (Cut("decoder.0.conv1", "image"), 3, "does not read 'image'; cut one of encoder.0.conv2, decoder.0.up"),
        (Cut("decoder.9.conv1", "image"), 3, "does not read"),
        (Cut("decoder.0.conv1", "decoder.0.up"), 4, "means of shape .4,. came for 3 channels"),
    ],
)
def test_cuts_of_what_is_not_there_are_refused(cut, mean, message):
    subject, _ = make(SPECS["padded"])
    with pytest.raises(SpecError, match=message), ablate(subject.module, subject.wiring, cut, np.zeros(mean)):
        pass


def test_networks_with_several_outputs_are_refused():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    _, views = make(SPECS["padded"])
    with pytest.raises(SpecError, match="the network put out tuple; wrap it"):
        measure_dice(Pair(), views)
