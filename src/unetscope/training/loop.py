"""Training that can be stopped at any moment and resumed; the one place where recipe, data and network meet.

It prints nothing: progress goes to the callbacks.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from unetscope.checkpoint import Checkpoint, record_versions
from unetscope.data.dataset import Dataset
from unetscope.engines.torch_engine import choose_dtype, memory_layout
from unetscope.errors import CheckpointError, DivergenceError
from unetscope.evaluation import Measures, fingerprint, score_items
from unetscope.files import write_text
from unetscope.machine import keep_memory
from unetscope.model.cost import count_parameters
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import class_scores
from unetscope.scores.overlap import Scores
from unetscope.segmentation import Segmenter, Tiling
from unetscope.training.feeding import feed, name_starvation
from unetscope.training.loss import compute_loss
from unetscope.training.optimization import learning_rate, make_optimizer
from unetscope.training.patches import Batch, Patches
from unetscope.training.preparation import (
    choose_normalization,
    choose_spacing,
    cut_crops,
    cut_few,
    find_gap,
    find_smallest,
)
from unetscope.training.progress import Epoch, OnEpoch, OnStep, Plan, Progress
from unetscope.training.recipe import Recipe
from unetscope.training.requirements import check_batch, check_classes, check_weights
from unetscope.training.start import Start, continue_recipe, continue_start, recall_start, record_start
from unetscope.training.state import State, gather, load_state, save_state, scatter
from unetscope.training.team import Team, compute_repeatably, gather_team

Resume = Literal["never", "exactly", "drifting"]

HISTORY = "history.jsonl"
TIMED_STEPS = 5


def train(
    dataset: Dataset,
    out: Path | str,
    spec: UNetSpec | Start | None = None,
    recipe: Recipe | None = None,
    resume: Resume = "never",
    on_step: OnStep | None = None,
    on_epoch: OnEpoch | None = None,
) -> Checkpoint:
    """Train a U-Net on annotated images.

    Args:
        dataset: Annotated images; their roles are drawn from the recipe's seed and stored in the run.
        out: Run folder to write.
        spec: The network, or a start that also has weights or a teacher; the default preset for these images if None.
        recipe: How to train; the defaults if None.
        resume: "never" refuses a folder that holds a run; "exactly" continues it and ends with the weights of an
            uninterrupted run; "drifting" continues it with other versions, devices or threads too.
        on_step: Called before the first step and after every one.
        on_epoch: Called after every epoch with what it brought and the network as it is.

    Returns:
        The checkpoint of the best validation score, as it is in the run folder.

    Raises:
        DataError: The images do not fit the network, or are too few.
        RecipeError: The recipe does not fit.
        DivergenceError: Numbers were lost.
        CheckpointError: The folder holds a run that cannot be continued this way.
        OutputError: The folder cannot be written.
    """
    with gather_team() as team, keep_memory(), compute_repeatably():
        run = _Run(dataset, Path(out), spec, recipe or Recipe(), resume, team)
        for epoch in run.epochs(on_step):
            if on_epoch and team.leads:
                on_epoch(epoch, run.checkpoint)
        team.wait()  # the first process may still be writing
        return Checkpoint.load(out)


class _Run:
    """A run in progress: what it was given, and where it stands."""

    def __init__(
        self, dataset: Dataset, out: Path, given: UNetSpec | Start | None, recipe: Recipe, resume: Resume, team: Team
    ) -> None:
        state = None if resume == "never" else load_state(out)
        if resume == "never" and any((out / name).exists() for name in ("last", "checkpoint.json")):
            raise CheckpointError(f"{out} already holds a run; continue it with --resume or choose another folder")
        if state is None and (out / "checkpoint.json").exists():
            raise CheckpointError(f"{out} holds a network but not the state to go on from; choose another folder")
        self.out, self.team = out, team
        start = Start.of(given, dataset) if state is None else continue_start(state, given)
        self.begun = start.describe() if state is None else recall_start(state)
        self.recipe = recipe if state is None else continue_recipe(state, recipe)
        self.spec = start.spec
        check_classes(self.spec, dataset)
        check_weights(self.recipe, dataset)
        team.share(self.recipe.batch)
        self.environment = _environment(team)
        self.dataset = dataset = cut_few(dataset, self.spec)
        self.gap = find_gap(dataset, self.spec)
        self.split = dataset.split(self.recipe.seed, self.recipe.validation, self.recipe.test)
        self.normalization = choose_normalization(dataset, self.split, self.recipe)
        self.spacing = choose_spacing(dataset, self.split, self.recipe)
        self.smallest = find_smallest(dataset, self.split) if dataset.stored is not None else 0
        learned = dataset.at_spacing(self.spacing) if self.spacing else dataset
        self.crops = cut_crops(learned, self.split, self.spec, self.normalization)
        self.patches = Patches(learned, self.split.train, self.spec, self.recipe, self.normalization)
        check_batch(self.spec, self.recipe.batch // team.size, self.patches.shape)
        self.dtype = choose_dtype(self.recipe.precision)
        self.tutor = start.tutor(self.patches.shape, team.device)
        network = start.network(self.recipe.seed)
        self.network = network.to(team.device, memory_format=memory_layout(self.spec))  # type: ignore[call-overload]
        self.optimizer = make_optimizer(self.network, self.recipe)
        self.digest = dataset.digest()
        self.step, self.best, self.best_epoch = 0, -math.inf, 0
        self.history: list[dict[str, Any]] = []
        if state is None:
            self.steps = self._count_steps()
            team.wait()  # until the others have looked into the folder
            self._save()
        else:
            self._restore(state, resume)
        self.trained = team.wrap(self.network)

    @property
    def plan(self) -> Plan:
        """What was decided before the first step."""
        return Plan(
            spec=self.spec,
            parameters=count_parameters(self.spec),
            split=self.split,
            normalization=self.normalization,
            spacing=self.spacing,
            gap=self.gap,
            patch=self.patches.shape,
            batch=self.recipe.batch,
            epoch_steps=self.patches.epoch_steps,
            precision=str(self.dtype).removeprefix("torch."),
            device=self.team.device.type,
        )

    @property
    def checkpoint(self) -> Checkpoint:
        """The network as it is, with all that is known of it."""
        return Checkpoint(
            spec=self.spec,
            weights={name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()},
            normalization=self.normalization,
            classes=self.dataset.classes,
            spacing=self.spacing,
            objects=self.dataset.stored is not None,
            smallest=self.smallest,
            crops=self.crops,
            recipe=self.recipe.to_json(),
            split=self.split.to_json(),
            provenance={
                "seed": self.recipe.seed,
                "step": self.step,
                "steps": self.steps,
                "epoch": len(self.history),
                "validation": self.history[-1] if self.history else {},
                "data": {"path": str(self.dataset.root), "sha256": self.digest},
                "gap": list(self.gap),
                "seen": self._seen,
                **record_start(self.begun, self.tutor, self.step),
                **self.environment,
            },
        )

    @property
    def _seen(self) -> dict[str, list[str]]:
        """Digests of the images that training and the choice of the epoch have seen."""
        if not hasattr(self, "_fingerprints"):
            roles = {"train": self.split.train, "validation": self.split.validation}
            self._fingerprints = {role: fingerprint(self.dataset, names) for role, names in roles.items()}
        return self._fingerprints

    def epochs(self, on_step: OnStep | None) -> Iterator[Epoch]:
        """Train epoch by epoch from where the run stands."""
        self._report(on_step, None)
        while self.step < self.steps and not self._out_of_patience():
            started = time.perf_counter()
            loss, waited = self._train_epoch(on_step)
            epoch = self._validate(loss, started, waited)
            self._save()
            yield epoch

    def _train_epoch(self, on_step: OnStep | None) -> tuple[float, float]:
        """The steps of one epoch; returns their mean loss and the seconds they waited for patches."""
        last = min(self.steps, (self.step // self.patches.epoch_steps + 1) * self.patches.epoch_steps)
        total, waited, count = 0.0, 0.0, last - self.step
        running: Tensor | None = None
        for step, (batch, seconds) in enumerate(feed(self.patches, range(self.step, last), self.team), self.step):
            ahead = self._take_step(self.trained, self.optimizer, step, batch)
            # Only now is the loss of the step before asked for: a card then computes this one meanwhile.
            total += 0.0 if running is None else self._finish_step(running, on_step)
            running, waited = ahead, waited + seconds
        total += 0.0 if running is None else self._finish_step(running, on_step)
        self._check_finite(mean := self.team.mean(total / count))
        return mean, waited

    def _finish_step(self, loss: Tensor, on_step: OnStep | None) -> float:
        """Wait for the loss of a step, and tell of it."""
        self.step += 1
        self._report(on_step, number := float(loss))
        return number

    def _check_finite(self, loss: float) -> None:
        """Refuse to go on, or to keep the weights, after numbers were lost."""
        weights = self.network.state_dict().values()
        if not math.isfinite(loss) or not all(bool(tensor.isfinite().all()) for tensor in weights):
            raise DivergenceError(
                f"training diverged by step {self.step} (mean loss {loss:g}); loss and weights must stay finite: use a "
                f"smaller learning_rate than {self.recipe.learning_rate:g}, or --precision float32"
            )

    def _report(self, on_step: OnStep | None, loss: float | None) -> None:
        if on_step and self.team.leads:
            on_step(Progress(self.step, self.steps, loss, self.plan))

    def _take_step(self, network: nn.Module, optimizer: torch.optim.Optimizer, step: int, batch: Batch) -> Tensor:
        """One step of the optimizer; returns the loss, which a card may still be computing."""
        images, labels, border = batch.to(self.team.device)
        torch.manual_seed((self.recipe.seed * 1_000_003 + step) * self.team.size + self.team.rank)  # dropout
        network.train()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, step, self.steps)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.team.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            images = images.contiguous(memory_format=memory_layout(self.spec))
            scores, lesson = self.tutor.teach(network, images) if self.tutor else (network(images), None)
        loss = compute_loss(class_scores(scores), labels, self.recipe, border)
        if lesson:
            loss = lesson.blend(loss, labels)
        loss.backward()
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(network.parameters(), self.recipe.clip)
        optimizer.step()
        return loss.detach()

    def _validate(self, loss: float, started: float, waited: float) -> Epoch:
        """Score the whole validation images, note the epoch, and keep the network if it is the best so far."""
        number, training = len(self.history) + 1, time.perf_counter() - started
        scores = self._score() if self.team.leads else None
        value = self.team.agree(_figure_of_merit(scores) if scores else 0.0)
        best = value > self.best
        if best:
            self.best, self.best_epoch = value, number
        epoch = Epoch(
            epoch=number,
            step=self.step,
            loss=loss,
            dice=scores.dice if scores else None,
            panoptic=scores.objects.panoptic if scores and scores.objects else None,
            pixel_error=scores.pixel_error if scores else None,
            classes={each.name: each.dice for each in scores.classes} if scores else {},
            best=best,
            seconds=time.perf_counter() - started,
            warnings=(*(_never_predicted(scores, number) if scores else ()), *name_starvation(waited, training)),
            waited=waited / training,
        )
        self.history.append(asdict(epoch))
        if best and self.team.leads:
            self.checkpoint.save(self.out)
        return epoch

    def _score(self) -> Scores:
        segmenter = Segmenter(self.checkpoint, Tiling(precision=self.recipe.precision, engine="torch"))
        items = [self.dataset.item(name) for name in self.split.validation]
        return score_items(segmenter, self.dataset, items, Measures(objects=segmenter.finds_objects))

    def _out_of_patience(self) -> bool:
        waited = len(self.history) - self.best_epoch
        return self.recipe.patience > 0 and bool(self.history) and waited >= self.recipe.patience

    def _save(self) -> None:
        """Write the history, then the state: it is the state that counts."""
        if not self.team.leads:
            return
        if self.history:
            write_text(self.out / HISTORY, "".join(json.dumps(line) + "\n" for line in self.history))
        facts = {
            "step": self.step,
            "steps": self.steps,
            "best": self.best if math.isfinite(self.best) else None,
            "best_epoch": self.best_epoch,
            "history": self.history,
            "recipe": self.recipe.to_json(),
            "spec": self.spec.to_json(),
            "start": self.begun,
            "data": self.digest,
            "environment": self.environment,
        }
        save_state(self.out, State(gather(self.network, self.optimizer), facts))

    def _restore(self, state: State, resume: Resume) -> None:
        """Stand where the state stands, if this is still the same run."""
        if state.facts["data"] != self.digest:
            raise CheckpointError(f"{self.dataset.root} has changed since {self.out} began; restore it or train anew")
        drift = [key for key, value in self.environment.items() if state.facts["environment"].get(key) != value]
        if drift and resume == "exactly":
            then, now = state.facts["environment"].get(drift[0]), self.environment[drift[0]]
            raise CheckpointError(
                f"{self.out} was begun with {drift[0]} {then} and this is {now}, so its weights would differ from an "
                "uninterrupted run's; restore the former or say --allow-drift"
            )
        scatter(state.tensors, self.network, self.optimizer)
        self.step, self.steps = state.facts["step"], state.facts["steps"]
        best = state.facts["best"]
        self.best, self.best_epoch = -math.inf if best is None else best, state.facts["best_epoch"]
        self.history = list(state.facts["history"])
        if self.step and not (self.out / "checkpoint.json").exists():
            raise CheckpointError(f"{self.out} has lost its checkpoint.json; restore it or train anew")

    def _count_steps(self) -> int:
        """All steps of the run; `minutes` are turned into steps here, once."""
        if self.recipe.minutes is None:
            return self.recipe.epochs * self.patches.epoch_steps
        self.steps = TIMED_STEPS
        network = deepcopy(self.network)
        optimizer = make_optimizer(network, self.recipe)
        seconds = []
        for step, (batch, waited) in enumerate(feed(self.patches, range(TIMED_STEPS), self.team)):
            started = time.perf_counter()
            float(self._take_step(network, optimizer, step, batch))
            seconds.append(time.perf_counter() - started + waited)
        started = time.perf_counter()
        if self.team.leads:
            self._score()
        per_step = sorted(seconds)[len(seconds) // 2] + (time.perf_counter() - started) / self.patches.epoch_steps
        return int(self.team.agree(max(1, round(60 * self.recipe.minutes / per_step))))


def _environment(team: Team) -> dict[str, Any]:
    """What the exact weights depend on besides recipe and data."""
    return {
        "versions": record_versions(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if team.device.type == "cuda" else "cpu",
        "processes": team.size,
    }


def _figure_of_merit(scores: Scores) -> float:
    """What the best epoch has the most of: panoptic quality of objects, Dice, or right pixels without foreground."""
    if scores.objects is not None and scores.objects.panoptic is not None:
        return scores.objects.panoptic
    if scores.dice is not None:
        return scores.dice
    return -1.0 if scores.pixel_error is None else -scores.pixel_error


def _never_predicted(scores: Scores, epoch: int) -> tuple[str, ...]:
    """From the second epoch on, the classes that the validation images have and the network never gives."""
    missing = [each.name for each in scores.classes if each.n and each.precision is None and not each.false_alarms]
    if epoch < 2 or not missing:
        return ()
    return (
        f"{', '.join(missing)}: not predicted in any validation image by epoch {epoch}; if this stays, raise the "
        "learning rate, the share of foreground patches or the class weight",
    )
