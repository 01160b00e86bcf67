"""The whole way, images to U-Plot, in 2D and 3D, with two and more classes, padded and valid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import unetscope
from unetscope.data.scenes import write_dataset
from unetscope.information.profiling import ProfileSettings
from unetscope.information.published.paper import PaperSettings, profile_as_published
from unetscope.reporting.pictures import save_pictures

SCENES = [("cells", (32, 32)), ("aerial", (48, 40)), ("nuclei", (8, 24, 24))]


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize(("scene", "shape"), SCENES)
def test_images_to_uplot(scene: str, shape: tuple[int, ...], padded: bool, tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", scene, train=10, test=2, shape=shape)
    dataset = unetscope.Dataset.open(tmp_path / "data")
    spec = unetscope.UNetSpec.by_level(
        (4, 6),
        ndim=len(shape),
        image_channels=dataset.channels,
        classes=len(dataset.classes),
        padded=padded,
        norm="batch",
        up="transposed" if padded else "linear",
    )
    recipe = unetscope.Recipe(epochs=2, batch=4, learning_rate=1e-2, warmup=0)
    checkpoint = unetscope.train(dataset, tmp_path / "run", spec, recipe)

    scores = unetscope.evaluate(checkpoint, dataset)
    assert len(scores.images) == 2
    assert {each.name for each in scores.classes} == set(dataset.classes[1:])
    assert scores.dice is not None

    image, truth = dataset.read(dataset.items[0])
    labels = unetscope.segment(unetscope.Checkpoint.load(tmp_path / "run"), image)
    assert labels.shape == truth.shape
    assert labels.max() < len(dataset.classes)
    assert np.array_equal(labels, unetscope.segment(checkpoint, image))

    profiled = unetscope.profile(checkpoint, dataset, ProfileSettings(role="train", effort="brief"))
    assert [layer.layer for layer in profiled.layers] == list(spec.wiring.layers)
    assert all(layer.linear.value <= profiled.prior.value + 1e-9 for layer in profiled.layers)
    profiled.save(tmp_path / "profile.json")
    assert all(path.stat().st_size for path in save_pictures(tmp_path / "profile.json", tmp_path))

    published = profile_as_published(checkpoint, dataset, PaperSettings(role="train"))
    assert [layer.layer for layer in published.layers[1:]] == list(spec.wiring.layers)
    assert all(layer.trained.input.upper <= published.input_ceiling + 1e-9 for layer in published.layers)


def test_a_network_with_one_foreground_score_learns_the_same_classes(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", "cells", train=6, test=2, shape=(32, 32))
    dataset = unetscope.Dataset.open(tmp_path / "data")
    spec = unetscope.UNetSpec.preset("lee2021", widths=(6, 8), image_channels=1, norm="batch")
    recipe = unetscope.Recipe(epochs=15, batch=4, learning_rate=1e-2, warmup=0, elastic=0)
    checkpoint = unetscope.train(dataset, tmp_path / "run", spec, recipe)
    dice = unetscope.evaluate(checkpoint, dataset).dice
    assert dice is not None
    assert dice > 0.6
