"""Networks trained for comparison, each once, in a folder that a stopped search goes on from; knows no strategy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.errors import DivergenceError, SlimError
from unetscope.files import write_text
from unetscope.model.spec import UNetSpec
from unetscope.slimming.scoring import find_images, score_run
from unetscope.slimming.slim import How, begin, cut_out, give_same_roles, repeat_recipe
from unetscope.training.loop import train
from unetscope.training.progress import OnStep
from unetscope.training.recipe import Recipe
from unetscope.training.start import Start

DONE, ORIGIN = "done", "origin"

OnTrial = Callable[["Trial"], None]


@dataclass(frozen=True)
class Trial:
    """A training.

    Attributes:
        spec: The network.
        seed: Of its weights and patches.
        share: Of the steps of a whole training, from above 0 to 1.
        again: The origin trained on from its own weights: what others gain that begin with slices of them, without
            being smaller.
    """

    spec: UNetSpec
    seed: int
    share: float = 1.0
    again: bool = False

    @property
    def name(self) -> str:
        """Name of its folder: widths for people, a digest of the rest."""
        text = json.dumps([self.spec.to_json(), self.share], sort_keys=True)
        widths = "-".join(map(str, self.spec.level_widths))
        return f"{widths}-{hashlib.sha256(text.encode()).hexdigest()[:8]}-seed{self.seed}"


class Trials:
    """Trainings of one recipe on one division of the images, kept in a folder.

    Every network learns from the same images, is chosen by the same and scored on the same, whatever its seed.

    Args:
        folder: Where the run folders are kept.
        dataset: Annotated images.
        origin: The run folder of the network to be slimmed, whose recipe and division all others take over.
        on_trial: Called before a training begins, and not for those that are there.
        on_step: As of `train`.
        how: As of `slim`, from the origin of the same seed; what is no part of the origin begins as born.

    Raises:
        SlimError: The folder holds trainings to compare with another network, or the origin does not say what it saw.
        DataError: The images are not those that the origin was trained on.
    """

    def __init__(
        self,
        folder: Path,
        dataset: Dataset,
        origin: Path,
        on_trial: OnTrial | None = None,
        on_step: OnStep | None = None,
        how: How = "scratch",
    ) -> None:
        checkpoint = Checkpoint.load(origin)
        self.folder, self.origin, self.origin_spec = folder, origin, checkpoint.spec
        self.recipe = _repeat_length(repeat_recipe(checkpoint), origin)
        self.dataset = give_same_roles(checkpoint, dataset)
        self.on_trial, self.on_step, self.how = on_trial, on_step, how
        _claim(folder, checkpoint.digest())

    @property
    def _first(self) -> Trial:
        """The training that is there already."""
        return Trial(self.origin_spec, self.recipe.seed)

    def run(self, trial: Trial) -> Path:
        """The run folder of a trial, trained where it was not yet, and further where it was stopped."""
        if trial == self._first:
            return self.origin
        out = self._folder_of(trial)
        if not self.is_done(trial):
            start = self._begin(trial)
            if self.on_trial:
                self.on_trial(trial)
            train(self.dataset, out, start, self.recipe_of(trial), "drifting", self.on_step)
            (out / DONE).touch()
        return out

    def _folder_of(self, trial: Trial) -> Path:
        """Where a trial is kept: trainings that begin otherwise are others."""
        if trial == self._first:
            return self.origin
        return self.folder / (f"{self.how}-{trial.name}" if self._is_cut(trial) else trial.name)

    def _is_cut(self, trial: Trial) -> bool:
        """Whether a training begins with what was learned before."""
        return self.how != "scratch" and (trial.again or trial.spec != self.origin_spec)

    def _begin(self, trial: Trial) -> UNetSpec | Start:
        """What a training begins from."""
        if not self._is_cut(trial):
            return trial.spec
        whole = Checkpoint.load(self.run(Trial(self.origin_spec, trial.seed)))
        plan = cut_out(whole, trial.spec)
        return trial.spec if plan is None else begin(whole, plan, self.how)

    def is_done(self, trial: Trial) -> bool:
        """Whether a trial is trained to its end."""
        return trial == self._first or (self._folder_of(trial) / DONE).exists()

    def dice(self, trial: Trial) -> NDArray[np.float64]:
        """Validation Dice of a trial.

        Returns:
            (images,) in the order of their names; not-a-number where an image has no foreground, and 0 everywhere for
            a training that diverged.
        """
        try:
            scores = score_run(self.run(trial), self.dataset, "validation")
        except DivergenceError:
            return np.zeros(len(self.units))
        found = {image.name: image.dice for image in scores.images}
        return np.array([np.nan if found[name] is None else found[name] for name in sorted(found)])

    @cached_property
    def units(self) -> tuple[str, ...]:
        """What each scored image belongs to, in the order of `dice`."""
        checkpoint = Checkpoint.load(self.origin)
        _, items = find_images(checkpoint, self.dataset, "validation")
        groups = {item.name: item.group for item in items}
        return tuple(groups[name] for name in sorted(groups))

    def steps(self, trial: Trial) -> int:
        """Optimizer steps of a trial that was trained, or of those until it diverged."""
        history = read_history(self._folder_of(trial))
        return int(history[-1]["step"]) if history else 0

    def recipe_of(self, trial: Trial) -> Recipe:
        """The origin's recipe with the seed and the share of the epochs of a trial."""
        return replace(self.recipe, seed=trial.seed, epochs=max(1, round(self.recipe.epochs * trial.share)))


def read_history(run: Path) -> list[dict[str, Any]]:
    """What every epoch of a run brought; nothing where none was finished."""
    path = run / "history.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def _repeat_length(recipe: Recipe, run: Path) -> Recipe:
    """A recipe for as many epochs as a run took that may have lost its patience."""
    stopped = len(read_history(run)) if recipe.patience else 0
    return replace(recipe, epochs=stopped or recipe.epochs, patience=0)


def _claim(folder: Path, weights: str) -> None:
    """Keep a folder for the trainings that belong to one origin: others have another recipe, or other roles."""
    path = folder / ORIGIN
    if path.exists() and path.read_text(encoding="utf-8", errors="replace") != weights:
        raise SlimError(f"{folder} holds trainings to compare with another network; choose another folder")
    write_text(path, weights)
