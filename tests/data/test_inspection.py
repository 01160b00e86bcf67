"""An inspection counts what is there, and tells it in whole sentences."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from unetscope.data.dataset import Dataset
from unetscope.data.images import write_image, write_labels
from unetscope.data.inspection import inspect
from unetscope.data.scenes import write_dataset
from unetscope.errors import DataError


def write_pair(folder: Path, name: str, image: np.ndarray, labels: np.ndarray) -> None:
    write_image(folder / "images" / f"{name}.tif", image)
    write_labels(folder / "labels" / f"{name}.tif", labels)


@pytest.fixture
def mixed(tmp_path: Path) -> Dataset:
    """Three images of two sizes and types, three classes, and some pixels to ignore."""
    (tmp_path / "dataset.toml").write_text('classes = ["sea", "land", "ice"]\nvalues = [0, 1, 2]\nignore = 9\n')
    quarters = np.zeros((8, 8), np.uint8)
    quarters[:4, :4], quarters[:4, 4:], quarters[4:, :4] = 1, 2, 9
    write_pair(tmp_path, "a", np.arange(64, dtype=np.uint8).reshape(8, 8), quarters)
    write_pair(tmp_path, "b", np.arange(64, dtype=np.uint16).reshape(8, 8), np.minimum(quarters, 1))
    write_pair(tmp_path, "c", np.arange(72, dtype=np.uint8).reshape(6, 12), np.zeros((6, 12), np.uint8))
    return Dataset.open(tmp_path)


def test_everything_is_counted(mixed: Dataset) -> None:
    told = list[tuple[int, int]]()
    found = inspect(mixed, lambda *both: told.append(both))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert (found.images, found.ndim, found.channels) == (3, 2, 1)
    assert (found.smallest, found.largest) == ((6, 8), (8, 12))
    assert found.types == {"uint8": 2, "uint16": 1}
    assert found.parts == {"undivided": 3}
    counts = {"sea": 16 + 16 + 72, "land": 16 + 48, "ice": 16}
    total = sum(counts.values())
    assert found.shares == pytest.approx({name: count / total for name, count in counts.items()})
    assert found.without == {"sea": 0, "land": 1, "ice": 2}
    split = mixed.split()
    assert list(found.roles.values()) == [len(split.train), len(split.validation), len(split.test)]
    assert found.normalization == "each image"


def test_it_is_told_in_words_and_as_plain_values(mixed: Dataset) -> None:
    found = inspect(mixed)
    text = "\n".join(found.lines())
    assert "3 annotated 2D images, 6x8 to 8x12 pixels, 1 channel" in text
    assert "2 of type uint8, 1 of type uint16" in text
    assert "missing: land in 1, ice in 2 images" in text
    assert json.loads(json.dumps(found.to_json()))["without"] == found.without


@pytest.mark.parametrize(("scene", "shape"), [("cells", (24, 32)), ("aerial", (32, 32)), ("nuclei", (6, 24, 24))])
def test_simulated_datasets(tmp_path: Path, scene: str, shape: tuple[int, ...]) -> None:
    write_dataset(tmp_path, scene, train=3, test=2, shape=shape)
    dataset = Dataset.open(tmp_path)
    found = inspect(dataset)
    assert found.parts == {"train": 3, "test": 2}
    assert list(found.roles.values()) == [2, 1, 2]
    assert found.smallest == found.largest == shape
    assert sum(found.shares.values()) == pytest.approx(1)
    assert tuple(found.shares) == dataset.classes
    assert f"{len(shape)}D images, {'x'.join(map(str, shape))} pixels" in found.lines()[0]


def test_comparable_images_are_normalized_together_by_those_that_train(tmp_path: Path) -> None:
    """A strange test image does not count."""
    write_dataset(tmp_path, "cells", train=4, test=1, shape=(32, 32))
    assert inspect(Dataset.open(tmp_path)).normalization == "the training images together"
    (test,) = (tmp_path / "test" / "images").iterdir()
    write_image(test, np.tile(np.arange(32, dtype=np.uint16) * 2000, (32, 1)))
    found = inspect(Dataset.open(tmp_path))
    assert found.types == {"uint8": 4, "uint16": 1}
    assert found.normalization == "the training images together"


@pytest.mark.parametrize(
    ("image", "labels", "message"),
    [
        (np.full((8, 8), np.nan, np.float32), np.eye(8, dtype=np.uint8), r"b\.tif holds NaN"),
        (np.ones((8, 9), np.float32), np.eye(8, dtype=np.uint8), r"b\.tif has 8 x 9 pixels and .*b\.tif has 8 x 8"),
    ],
)
def test_what_would_stop_training_is_found(tmp_path: Path, image: np.ndarray, labels: np.ndarray, message: str) -> None:
    for name in "ac":
        write_pair(tmp_path, name, np.ones((8, 8), np.float32), np.eye(8, dtype=np.uint8))
    write_pair(tmp_path, "b", image, labels)
    with pytest.raises(DataError, match=message):
        inspect(Dataset.open(tmp_path))


def test_too_few_images_are_refused_before_any_is_read(tmp_path: Path) -> None:
    write_pair(tmp_path, "a", np.ones((8, 8), np.uint8), np.eye(8, dtype=np.uint8))
    with pytest.raises(DataError, match="1 annotated image came; at least 2"):
        inspect(Dataset.open(tmp_path), lambda *_: pytest.fail("read"))
