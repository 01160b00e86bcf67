"""Small annotated images on disk, and networks for them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.data.normalization import Normalization
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet

COUNT = 10


@pytest.fixture
def write_dataset(tmp_path):
    """Write images (y, x) and masks as a dataset and open it."""

    def write(images, masks):
        for kind in ("images", "labels"):
            (tmp_path / kind).mkdir()
        for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
            Image.fromarray(image).save(tmp_path / "images" / f"{index:02}.png")
            Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "labels" / f"{index:02}.png")
        return Dataset.open(tmp_path)

    return write


@pytest.fixture
def dataset(write_dataset):
    """Ten images of 16 x 16 with a random square of foreground each."""
    chance = np.random.default_rng(0)
    masks = np.zeros((COUNT, 16, 16), bool)
    for mask in masks:
        y, x = chance.integers(0, 10, 2)
        mask[y : y + 6, x : x + 6] = True
    return write_dataset((masks * 100 + chance.integers(0, 60, masks.shape)).astype(np.uint8), masks)


@pytest.fixture
def make_checkpoint():
    """A network with random weights that expects intensities up to 255."""

    def make(names=(), spec=None, weights=None, **split):
        spec = spec or UNetSpec.by_level((4, 8))
        torch.manual_seed(1)
        network = UNet(spec).state_dict() if weights is None else weights
        normalization = Normalization.range(0, 255)
        return Checkpoint(
            spec, network, normalization, ("background", "cell"), split={"profile": tuple(names), **split}
        )

    return make
