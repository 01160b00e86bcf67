"""Searches whose trainings take no time: what a network scores follows from its cost, and its run folder is empty."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known_networks import YES, make_checkpoint, make_profile
from numpy.typing import NDArray

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.data.scenes import write_dataset
from unetscope.information.profile import Profile
from unetscope.information.profiling import ProfileSettings
from unetscope.model.spec import UNetSpec
from unetscope.slimming import evidence, shrinking
from unetscope.slimming.plan import SlimPlan
from unetscope.slimming.shapes import multiply_adds_per_pixel
from unetscope.slimming.trials import DONE, Trial, Trials
from unetscope.training.recipe import Recipe

SPEC = UNetSpec.by_level((16, 32, 64), convolutions=1)
COST = multiply_adds_per_pixel(SPEC)
STEPS = 20


class Truth:
    """What holds of the networks of a simulation.

    Attributes:
        boundary: Multiply-adds per pixel from which networks are as good.
        images: How many are scored.
        seeds: How far the Dice of trainings scatters.
    """

    boundary: float = 0.3 * COST
    images: int = 40
    seeds: float = 0.0


class SimulatedTrials(Trials):
    """Trainings that leave a folder with untrained weights, and score what the truth says."""

    def run(self, trial: Trial) -> Path:
        if self.is_done(trial):
            return self._folder_of(trial)
        if self.on_trial:
            self.on_trial(trial)
        known = Checkpoint.load(self.origin)
        checkpoint = replace(make_checkpoint(trial.spec), split=known.split, recipe=self.recipe_of(trial).to_json())
        return write_run(self._folder_of(trial), checkpoint, int(STEPS * trial.share))

    def dice(self, trial: Trial) -> NDArray[np.float64]:
        self.run(trial)
        chance = np.random.default_rng([trial.seed, int(100 * trial.share), *trial.spec.widths.values()])
        image = np.random.default_rng(0).normal(0.8, 0.05, Truth.images)
        short = 1 - multiply_adds_per_pixel(trial.spec) / Truth.boundary
        luck = chance.normal(0, Truth.seeds) + chance.normal(0, 0.001, Truth.images)
        return image - (0.2 * short + 0.03 if short > 0 else 0.0) + luck

    @property
    def units(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(map(str, range(Truth.images)))


def write_run(out: Path, checkpoint: Checkpoint, steps: int = STEPS) -> Path:
    """What a training leaves behind."""
    checkpoint.save(out)
    (out / "history.jsonl").write_text(json.dumps({"step": steps}) + "\n")
    (out / DONE).touch()
    return out


def write_origin(folder: Path) -> tuple[Dataset, Path]:
    """A dataset, and a network that says it was trained on it."""
    write_dataset(folder / "cells", "cells", train=4, test=2, shape=(32, 32))
    dataset = Dataset.open(folder / "cells")
    split = dataset.split(0, 0.3, 0.2).to_json()
    recipe = Recipe(seed=2, epochs=10, epoch_steps=2).to_json()
    known = {"step": STEPS, "epoch": 10, "steps": STEPS}
    checkpoint = replace(make_checkpoint(SPEC), split=split, recipe=recipe, provenance=known)
    return dataset, write_run(folder / "origin", checkpoint)


def simulate(patch: pytest.MonkeyPatch) -> list[str]:
    """Put simulations in the place of trainings and profiles; returns the list of efforts that profiles take."""
    efforts = list[str]()

    def profile(checkpoint: Checkpoint, dataset: Dataset, settings: ProfileSettings) -> Profile:
        efforts.append(settings.effort)
        known = make_profile(checkpoint, {1: (YES, YES)} if checkpoint.spec.depth > 1 else {})
        return replace(known, settings={"effort": settings.effort})

    for module in (shrinking, evidence):
        patch.setattr(module, "Trials", SimulatedTrials)
    patch.setattr(shrinking, "profile", profile)
    return efforts


def write_pruned(out: Path, checkpoint: Checkpoint, plan: SlimPlan) -> None:
    """What fine-tuning after pruning leaves behind."""
    plan.check_fits(checkpoint)
    known = {"split": checkpoint.split, "recipe": checkpoint.recipe}
    write_run(out, replace(make_checkpoint(plan.spec), **known))
    (out / DONE).unlink()
