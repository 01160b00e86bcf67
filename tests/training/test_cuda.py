"""Training on a CUDA card: the same laws as on a processor, for those machines that have one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.data.scenes import write_dataset
from unetscope.model.spec import UNetSpec
from unetscope.segmentation import Segmenter, Tiling
from unetscope.training.loop import train
from unetscope.training.progress import Epoch
from unetscope.training.recipe import Recipe
from unetscope.training.state import load_state

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA card")

RECIPE = Recipe(epochs=3, epoch_steps=4, batch=4, patch=32, warmup=2, learning_rate=1e-2)
SPEC = UNetSpec.by_level((8, 16), norm="batch", dropout=0.3)


class StoppedError(Exception):
    """What stops a run from outside."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("cells")
    write_dataset(folder, "cells", train=6, test=2, shape=(64, 64))
    return Dataset.open(folder)


def last_of(out: Path) -> dict[str, Any]:
    """The tensors in which a run ended."""
    state = load_state(out)
    assert state is not None
    return {name: tensor.tolist() for name, tensor in state.tensors.items()}


@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_a_few_steps_learn_and_a_seed_gives_the_same_weights(dataset: Dataset, tmp_path: Path, precision: Any) -> None:
    recipe = replace(RECIPE, precision=precision)
    epochs = list[Epoch]()
    for name in "ab":
        train(dataset, tmp_path / name, SPEC, recipe, on_epoch=lambda epoch, _: epochs.append(epoch))
    assert last_of(tmp_path / "a") == last_of(tmp_path / "b")
    assert all(np.isfinite(epoch.loss) for epoch in epochs)
    assert epochs[2].loss < epochs[0].loss
    assert Checkpoint.load(tmp_path / "a").provenance["device"] == torch.cuda.get_device_name()


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_resumed_run_is_the_uninterrupted_one(dataset: Dataset, tmp_path: Path, optimizer: Any) -> None:
    recipe = replace(RECIPE, optimizer=optimizer)

    def stop(epoch: Epoch, _: Checkpoint) -> None:
        if epoch.epoch == 2:
            raise StoppedError

    train(dataset, tmp_path / "whole", SPEC, recipe)
    with pytest.raises(StoppedError):
        train(dataset, tmp_path / "parts", SPEC, recipe, on_epoch=stop)
    train(dataset, tmp_path / "parts", resume="exactly")
    assert last_of(tmp_path / "parts") == last_of(tmp_path / "whole")


def test_volumes_are_trained_too(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", "cells", train=4, test=1, shape=(16, 16, 16))
    recipe = replace(RECIPE, patch=16, epochs=1)
    train(Dataset.open(tmp_path / "data"), tmp_path / "run", UNetSpec.by_level((4, 8), ndim=3, norm="batch"), recipe)
    assert all(np.isfinite(values).all() for values in last_of(tmp_path / "run").values())


def test_the_card_segments_as_the_processor_does(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = train(dataset, tmp_path, SPEC, replace(RECIPE, epochs=8))
    image, _ = dataset.read(dataset.items[-1])
    tiling = Tiling(engine="torch", precision="float32")
    on_card = Segmenter(checkpoint, tiling).labels(image)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    on_processor = Segmenter(checkpoint, tiling).labels(image)
    assert np.mean(on_card == on_processor) > 0.999
