"""Cross-validation: every image is scored and segmented once, by a network that never saw it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.data.images import read_labels
from unetscope.data.scenes import write_dataset
from unetscope.errors import CheckpointError, DataError
from unetscope.model.spec import UNetSpec
from unetscope.scores.overlap import Scores, score_image
from unetscope.training.folds import FOLDS, PREDICTIONS, Watcher, train_folds
from unetscope.training.recipe import Recipe

SPEC = UNetSpec.by_level((4, 8), norm="batch", classes=2)
SHORT = Recipe(epochs=1, epoch_steps=2, batch=2, patch=16)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("nuclei")
    write_dataset(folder, "nuclei", train=5, test=2, shape=(32, 32))
    return Dataset.open(folder)


def test_every_image_is_predicted_by_the_network_that_never_saw_it(dataset: Dataset, tmp_path: Path) -> None:
    told = list[tuple[int, int]]()
    scores = train_folds(dataset, tmp_path, 3, SPEC, SHORT, watcher=Watcher(lambda *both: told.append(both)))
    assert told == [(0, 3), (1, 3), (2, 3)]
    assert sorted(image.name for image in scores.images) == sorted(dataset.names)
    written = json.loads((tmp_path / FOLDS).read_text())
    assert Scores.from_json(written["scores"]) == scores
    assert written["provenance"]["data"]["sha256"] == dataset.digest()
    by_name = {image.name: image for image in scores.images}
    for number, fold in enumerate(written["folds"]):
        checkpoint = Checkpoint.load(tmp_path / f"fold-{number}")
        assert checkpoint.digest() == fold["weights"]
        known = {each for digests in checkpoint.provenance["seen"].values() for each in digests}
        for name in fold["split"]["test"]:
            assert dataset.item(name).digest() not in known
            found = read_labels(tmp_path / PREDICTIONS / f"{name}{dataset.item(name).image.suffix}")
            truth = dataset.read_labels(dataset.item(name))
            assert score_image(truth, found, dataset.classes, name=name).classes == by_name[name].classes


def test_a_stopped_cross_validation_goes_on_where_it_was(dataset: Dataset, tmp_path: Path) -> None:
    whole = train_folds(dataset, tmp_path / "whole", 2, SPEC, SHORT)

    class StoppedError(Exception):
        pass

    def stop(fold: int, _: int) -> None:
        if fold == 1:
            raise StoppedError

    with pytest.raises(StoppedError):
        train_folds(dataset, tmp_path / "parts", 2, SPEC, SHORT, watcher=Watcher(stop))
    with pytest.raises(CheckpointError, match="already holds a run"):
        train_folds(dataset, tmp_path / "parts", 2, SPEC, SHORT)
    before = (tmp_path / "parts" / "fold-0" / "model.safetensors").stat().st_mtime_ns
    assert train_folds(dataset, tmp_path / "parts", 2, SPEC, SHORT, "exactly") == whole
    assert (tmp_path / "parts" / "fold-0" / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize("folds", [0, 1, 8])
def test_impossible_numbers_of_folds_are_refused(dataset: Dataset, tmp_path: Path, folds: int) -> None:
    with pytest.raises(DataError, match="fold"):
        train_folds(dataset, tmp_path, folds, SPEC, SHORT)
    assert not list(tmp_path.iterdir())


def test_objects_are_put_together_out_of_fold(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", "nuclei", train=4, test=0, shape=(32, 32))
    dataset = Dataset.open(tmp_path / "data").as_objects()
    spec = UNetSpec.by_level((4, 8), norm="batch", classes=3)
    scores = train_folds(dataset, tmp_path / "out", 2, spec, SHORT)
    assert scores.objects is not None
    truth = [dataset.read_instances(item) for item in dataset.items]
    assert scores.objects.true == sum(len(np.unique(each[each > 0])) for each in truth)
