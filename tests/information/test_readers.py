"""Readers at one pixel: what a box around it says of every layer is what the whole image says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from unetscope.information import readers
from unetscope.information.capture import capture
from unetscope.information.one_pixel import box_around, read_pixel
from unetscope.information.readers import teach_readers
from unetscope.information.subject import subject_of
from unetscope.information.views import view_dataset
from unetscope.model.geometry import fitting_shape, layer_shapes, margin
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import class_scores
from unetscope.tiles import read_mirrored

SPECS = {
    "padded": UNetSpec.by_level((3, 4, 5)),
    "valid": UNetSpec.by_level((3, 4, 5), padded=False),
    "one score": UNetSpec.by_level((3, 4), classes=1),
    "strided, linear": UNetSpec.by_level((3, 4, 5), down="strided", up="linear"),
    "valid, linear": UNetSpec.by_level((3, 4), up="linear", padded=False),
    "valid, sub-pixel": UNetSpec.by_level((3, 4), up="subpixel", padded=False),
    "unpooled": UNetSpec.by_level((3, 4, 5), up="unpool"),
    "nearest, by 3 and 2": UNetSpec.by_level((3, 4), up="nearest", strides=((3, 2),)),
    "no skips": UNetSpec.by_level((3, 4, 5), skips=()),
    "volume": UNetSpec.by_level((2, 3), ndim=3, strides=((1, 2, 2),)),
    "valid volume": UNetSpec.by_level((2, 3), ndim=3, padded=False),
}


def whole(spec, shape):
    """What feeds the whole image, and where its first pixel lies in that."""
    lost = margin(spec)
    fed = fitting_shape(spec, tuple(size + 2 * side for size, side in zip(shape, lost, strict=True)))
    return tuple(slice(-side, size - side) for size, side in zip(fed, lost, strict=True))


def begin(spec, fed, layer):
    """The fed pixel with which a map begins, from the sizes of the layers alone."""
    strides = np.array(spec.wiring.strides[layer])
    return (np.array(fed) - strides * np.array(layer_shapes(spec, fed)[layer])) // 2


@pytest.mark.parametrize("name", SPECS)
def test_a_box_around_a_pixel_says_of_every_layer_what_the_whole_image_says(name, make_checkpoint):
    spec, chance = SPECS[name], np.random.default_rng(0)
    subject = subject_of(make_checkpoint(spec=spec))
    shape = (61, 58) if spec.ndim == 2 else (13, 30, 27)
    image = chance.normal(size=(1, *shape)).astype(np.float32)
    everything = read_mirrored(image, whole(spec, shape))
    maps = capture(subject.module, spec.wiring.layers, torch.from_numpy(everything[None]))
    maps["head"] = class_scores(maps["head"])
    smaller = False
    for pixel in [(0,) * spec.ndim, tuple(n - 1 for n in shape), *(tuple(chance.integers(shape)) for _ in range(6))]:
        box = box_around(spec, shape, pixel)
        block = read_mirrored(image, box)
        smaller |= block.size < everything.size
        said = read_pixel(subject, block, [at - part.start for at, part in zip(pixel, box, strict=True)])
        assert tuple(said) == spec.wiring.layers
        for layer, vector in said.items():
            place = np.array(pixel) + margin(spec) - begin(spec, everything.shape[1:], layer)
            expected = maps[layer][0].numpy()[(slice(None), *(place // spec.wiring.strides[layer]).tolist())]
            np.testing.assert_allclose(vector, expected, rtol=1e-4, atol=1e-5, err_msg=f"{layer} at {pixel}")
    assert smaller


@pytest.mark.parametrize("name", ["padded", "valid", "one score"])
def test_a_reader_says_the_same_of_a_box_and_of_the_whole_image(name, dataset, make_checkpoint):
    spec = SPECS[name]
    checkpoint = make_checkpoint(dataset.names, spec=spec)
    subject, views = subject_of(checkpoint), view_dataset(checkpoint, dataset)
    taught = teach_readers(subject, views)
    assert tuple(taught) == spec.wiring.layers
    image = checkpoint.normalization.affine(dataset.read(dataset.items[0])[0]).apply(dataset.read(dataset.items[0])[0])
    for pixel in [(0, 0), (7, 9), (15, 15)]:
        box = box_around(spec, (16, 16), pixel)
        near = read_pixel(subject, read_mirrored(image, box), np.array(pixel) - [part.start for part in box])
        far = read_pixel(subject, views[0].image, np.array(pixel) + margin(spec))
        for layer, reader in taught.items():
            chances = reader.chances(near[layer][None])
            assert chances.sum() == pytest.approx(1)
            np.testing.assert_allclose(chances, reader.chances(far[layer][None]), atol=1e-4, err_msg=layer)


def test_hidden_images_teach_nothing(dataset, make_checkpoint):
    checkpoint = make_checkpoint(dataset.names)
    subject, views = subject_of(checkpoint), view_dataset(checkpoint, dataset)

    def other(index):
        view = views.read(index)
        return replace(view, labels=1 - view.labels) if index == 3 else view

    changed, features = replace(views, read=other), np.ones((1, 4), np.float32)
    said = [
        teach_readers(subject, each, hidden)["encoder.0.conv1"].chances(features)
        for each, hidden in [(views, frozenset({3})), (changed, frozenset({3})), (changed, frozenset())]
    ]
    np.testing.assert_array_equal(said[0], said[1])
    assert not np.array_equal(said[0], said[2])


@pytest.mark.parametrize("hidden", [(), (0,), (0, 5), (0, 3), (1, 2, 3, 4)])
def test_some_images_teach_and_others_tune_whichever_are_hidden(hidden, dataset, make_checkpoint, monkeypatch):
    """With none that tune, nothing speaks against the strongest penalty, and readers would say the same everywhere."""
    checkpoint, lessons = make_checkpoint(dataset.names), []
    teach = readers.Logistic.fit
    monkeypatch.setattr(readers.Logistic, "fit", lambda self, lesson: lessons.append(lesson) or teach(self, lesson))
    teach_readers(subject_of(checkpoint), view_dataset(checkpoint, dataset), frozenset(hidden))
    assert lessons
    for lesson in lessons:
        assert 0 < lesson.tuning.sum() < len(lesson.tuning)


def test_steps_are_told_to_the_end(dataset, make_checkpoint):
    checkpoint, told = make_checkpoint(dataset.names), []
    taught = teach_readers(subject_of(checkpoint), view_dataset(checkpoint, dataset), on_step=lambda *a: told.append(a))
    done = [each[0] for each in told]
    assert done == sorted(done)
    assert told[-1] == (2 * len(taught), 2 * len(taught), "head")
    assert [note for _, _, note in told[len(dataset.names) :]] == list(taught)
