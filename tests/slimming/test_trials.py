"""Trainings are done once, by one recipe on one division of the images, and go on where they were stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.data.images import write_labels
from unetscope.data.scenes import write_dataset
from unetscope.errors import CheckpointError, DivergenceError, SlimError
from unetscope.model.spec import UNetSpec
from unetscope.slimming.trials import Trial, Trials
from unetscope.training.loop import train
from unetscope.training.progress import Progress
from unetscope.training.recipe import Recipe

SPEC, SMALL = UNetSpec.by_level((3, 4), convolutions=1), UNetSpec.by_level((2, 2), convolutions=1)
RECIPE = Recipe(seed=3, epochs=4, epoch_steps=2, batch=2, patch=16, warmup=2, validation=0.3)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Five images to learn from, and one to test."""
    folder = tmp_path_factory.mktemp("cells")
    write_dataset(folder, "cells", train=5, test=1, shape=(32, 32))
    return Dataset.open(folder)


@pytest.fixture(scope="module")
def origin(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "origin"
    train(dataset, out, SPEC, RECIPE)
    return out


class StoppedError(Exception):
    """What stops a training from outside."""


def stop_at(step: int) -> object:
    def look(progress: Progress) -> None:
        if progress.step == step:
            raise StoppedError

    return look


def test_the_origins_own_seed_is_the_origin(dataset: Dataset, origin: Path, tmp_path: Path) -> None:
    begun = list[Trial]()
    trials = Trials(tmp_path, dataset, origin, begun.append)
    assert trials.origin_spec == SPEC
    assert trials.is_done(Trial(SPEC, 3))
    assert trials.run(Trial(SPEC, 3)) == origin
    assert trials.steps(Trial(SPEC, 3)) == 8
    for other in (Trial(SPEC, 4), Trial(SPEC, 3, 0.5), Trial(SMALL, 3)):
        assert not trials.is_done(other)
    assert not begun


def test_every_trial_is_trained_once_on_the_same_images(dataset: Dataset, origin: Path, tmp_path: Path) -> None:
    begun, wanted = list[Trial](), [Trial(SPEC, 4), Trial(SMALL, 3), Trial(SMALL, 3, 0.5)]
    for _ in range(2):
        trials = Trials(tmp_path, dataset, origin, begun.append)
        runs = [trials.run(trial) for trial in wanted for _ in range(2)]
    assert begun == wanted
    assert len(set(runs)) == 3
    assert [trials.steps(trial) for trial in wanted] == [8, 8, 4]
    known = Checkpoint.load(origin)
    for trial in wanted:
        found = Checkpoint.load(trials.run(trial))
        assert (found.spec, found.split) == (trial.spec, known.split)
        assert found.provenance["seen"] == known.provenance["seen"]
        assert found.recipe == {**known.recipe, "seed": trial.seed, "epochs": round(4 * trial.share)}
    scores = trials.dice(wanted[0])
    assert scores.shape == (len(known.split["validation"]),) == (len(trials.units),)
    assert trials.dice(Trial(SPEC, 3)).shape == scores.shape


def test_names_tell_trials_apart() -> None:
    trials = [Trial(spec, seed, share) for spec in (SPEC, SMALL, replace(SPEC, norm="batch"), replace(SPEC, skips=()))
              for seed in (0, 1) for share in (0.25, 1.0)]  # fmt: skip
    assert len({trial.name for trial in trials}) == len(trials)
    assert Trial(SPEC, 7).name.startswith("3-4-")
    assert Trial(SPEC, 7).name.endswith("-seed7")


@pytest.mark.parametrize("step", [0, 1, 5])
def test_a_stopped_training_goes_on_as_if_it_had_not_been(
    dataset: Dataset, origin: Path, tmp_path: Path, step: int
) -> None:
    trial = Trial(SMALL, 4)
    with pytest.raises(StoppedError):
        Trials(tmp_path / "parts", dataset, origin, on_step=stop_at(step)).run(trial)  # type: ignore[arg-type]
    parts, whole = (Trials(tmp_path / name, dataset, origin) for name in ("parts", "whole"))
    assert not parts.is_done(trial)
    first, second = (Checkpoint.load(each.run(trial)) for each in (parts, whole))
    assert first.digest() == second.digest()
    assert parts.is_done(trial)
    assert parts.steps(trial) == whole.steps(trial)


def test_an_image_without_any_cell_has_no_dice(dataset: Dataset, origin: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", "cells", train=5, test=1, shape=(32, 32))
    known = Checkpoint.load(origin)
    empty, *others = sorted(known.split["validation"])
    opened = Dataset.open(tmp_path / "data")
    write_labels(opened.root / opened.item(empty).labels, np.zeros((32, 32), np.uint8))
    out = tmp_path / "origin"
    train(Dataset.open(tmp_path / "data"), out, SPEC, replace(RECIPE, epochs=1))
    scores = Trials(tmp_path / "trials", Dataset.open(tmp_path / "data"), out).dice(Trial(SPEC, 3))
    assert np.isnan(scores).tolist() == [True] + [False] * len(others)


def test_a_folder_belongs_to_one_origin(dataset: Dataset, origin: Path, tmp_path: Path) -> None:
    Trials(tmp_path / "trials", dataset, origin)
    Trials(tmp_path / "trials", dataset, origin)
    train(dataset, tmp_path / "other", SPEC, replace(RECIPE, epochs=1))
    with pytest.raises(SlimError, match="holds trainings to compare with another network; choose another folder"):
        Trials(tmp_path / "trials", dataset, tmp_path / "other")
    with pytest.raises(CheckpointError):
        Trials(tmp_path / "none", dataset, tmp_path / "nothing")
    assert not (tmp_path / "none").exists()


def test_progress_is_told(dataset: Dataset, origin: Path, tmp_path: Path) -> None:
    steps = list[int]()
    trials = Trials(tmp_path, dataset, origin, on_step=lambda now: steps.append(now.step))
    history = trials.run(Trial(SMALL, 3, 0.25)) / "history.jsonl"
    assert steps == [0, 1, 2]
    assert json.loads(history.read_text())["step"] == 2


def test_a_training_that_diverges_has_no_dice_and_no_run(
    dataset: Dataset, origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*_: object) -> None:
        raise DivergenceError("numbers were lost")

    monkeypatch.setattr("unetscope.slimming.trials.train", diverge)
    trials = Trials(tmp_path / "trials", dataset, origin)
    trial = Trial(UNetSpec.by_level((2,)), 1)
    assert trials.dice(trial).tolist() == [0.0] * len(trials.units)
    assert not trials.is_done(trial)
    assert trials.steps(trial) == 0


def test_trials_are_as_long_as_an_origin_that_lost_its_patience(dataset: Dataset, origin: Path, tmp_path: Path) -> None:
    known = Checkpoint.load(origin)
    impatient = tmp_path / "impatient"
    replace(known, recipe={**known.recipe, "patience": 1, "epochs": 9}).save(impatient)
    lines = (origin / "history.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (impatient / "history.jsonl").write_text("".join(lines[:1]), encoding="utf-8")
    recipe = Trials(tmp_path / "trials", dataset, impatient).recipe
    assert (recipe.epochs, recipe.patience) == (1, 0)
