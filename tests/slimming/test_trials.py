"""Trainings are done once, by one recipe on one division of the images, and go on where they were stopped."""

from __future__ import annotations

import json
import operator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.data.images import write_labels
from unetscope.data.normalization import Normalization
from unetscope.data.scenes import write_dataset
from unetscope.errors import CheckpointError, DivergenceError, SlimError
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.slimming.slim import How, cut_out
from unetscope.slimming.surgery import slice_weights
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


# --- what trainings begin from -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", get_args(How))
def test_trials_begin_from_the_origin_of_their_seed(dataset: Dataset, origin: Path, tmp_path: Path, how: How) -> None:
    trials = Trials(tmp_path, dataset, origin, how=how)
    for seed, whole in ((3, origin), (4, trials.run(Trial(SPEC, 4)))):
        known = Checkpoint.load(trials.run(Trial(SMALL, seed))).provenance
        plan = cut_out(Checkpoint.load(whole), SMALL)
        assert plan is not None
        expected = {} if how == "scratch" else {"how": how, "plan": plan.digest(), "weights": plan.weights}
        assert known.get("start", {}).get("origin", {}) == expected
        assert ("teacher" in known) == (how == "distill")


def test_what_is_no_part_of_the_origin_begins_as_born(dataset: Dataset, origin: Path, tmp_path: Path) -> None:
    wider = Trial(UNetSpec.by_level((5, 2), convolutions=1), 3)
    runs = [Trials(tmp_path / how, dataset, origin, how=how).run(wider) for how in ("scratch", "slice")]
    born, sliced = map(Checkpoint.load, runs)
    assert born.digest() == sliced.digest()


def test_trainings_that_begin_otherwise_are_others(dataset: Dataset, origin: Path, tmp_path: Path) -> None:
    every = [Trials(tmp_path, dataset, origin, how=how) for how in get_args(How)]
    assert len({trials.run(Trial(SMALL, 3)) for trials in every}) == 3
    assert len({trials.run(Trial(SPEC, 4)) for trials in every}) == 1, "the origin's seeds are the same"


@given(st.data())
def test_a_part_is_cut_out_and_nothing_else(data: st.DataObject) -> None:
    spec = UNetSpec.by_level((4, 6, 5))
    whole = Checkpoint(spec, UNet(spec).state_dict(), Normalization("image"), ("background", "cell"))
    widths = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=4))
    wanted = UNetSpec.by_level(widths, skips=tuple(range(len(widths) - 1))[data.draw(st.integers(0, 1)) :])
    plan, fits = cut_out(whole, wanted), len(widths) <= 3 and all(map(operator.le, widths, (4, 6, 5)))
    assert (plan is not None) == fits
    if plan is not None:
        assert plan.spec == wanted
        assert slice_weights(whole, plan).keys() == UNet(wanted).state_dict().keys()


def test_the_origin_can_be_trained_on(dataset: Dataset, origin: Path, tmp_path: Path) -> None:
    """A control beside slices: as many steps again, from its own weights."""
    trials, again = Trials(tmp_path, dataset, origin, how="slice"), Trial(SPEC, 3, again=True)
    out = trials.run(again)
    assert out != origin
    known = Checkpoint.load(out).provenance["start"]["origin"]
    assert (known["how"], known["weights"]) == ("slice", Checkpoint.load(origin).digest())
    assert trials.steps(again) == trials.steps(Trial(SPEC, 3))
