"""A run that was stopped and resumed is the run that never stopped; what does not fit is refused before it starts."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.data.scenes import write_dataset
from unetscope.errors import CheckpointError, DataError, RecipeError
from unetscope.evaluation import evaluate
from unetscope.files import digest
from unetscope.model.spec import UNetSpec
from unetscope.scores.overlap import Scores, score_image
from unetscope.training import loop as module
from unetscope.training.loop import HISTORY, Resume, train
from unetscope.training.optimization import learning_rate
from unetscope.training.progress import Epoch, Progress
from unetscope.training.recipe import Recipe
from unetscope.training.state import LAST, STATE, load_state
from unetscope.training.team import Team

SPEC = UNetSpec.by_level((4, 8), norm="batch")
RECIPE = Recipe(epochs=3, epoch_steps=4, batch=2, patch=16, warmup=2, learning_rate=1e-2)
STEPS = 4  # an epoch


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("cells")
    write_dataset(folder, "cells", train=3, test=1, shape=(32, 32))
    return Dataset.open(folder)


@pytest.fixture(scope="module")
def finished(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run; not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    train(dataset, out, SPEC, RECIPE)
    return out


class StoppedError(Exception):
    """What stops a run from outside."""


def stop_at(step: int) -> Callable[[Progress], None]:
    def look(progress: Progress) -> None:
        if progress.step == step:
            raise StoppedError

    return look


def stop_after(epoch: int) -> Callable[[Epoch, Checkpoint], None]:
    def look(done: Epoch, _: Checkpoint) -> None:
        if done.epoch == epoch:
            raise StoppedError

    return look


def run_in_parts(dataset: Dataset, out: Path, stops: Sequence[float], **given: Any) -> Checkpoint:
    """Train, stop after each of some epochs (or in the middle of one), and resume."""
    resume: Resume = "never"
    for stop in stops:
        hooks = {"on_epoch": stop_after(int(stop))} if stop == int(stop) else {"on_step": stop_at(int(STEPS * stop))}
        with pytest.raises(StoppedError):
            train(dataset, out, resume=resume, **hooks, **given)  # type: ignore[arg-type]
        resume = "exactly"
    return train(dataset, out, resume=resume, **given)


def result_of(out: Path) -> dict[str, Any]:
    """All that two equal runs have in common."""
    state = load_state(out)
    assert state is not None
    lines = [json.loads(line) for line in (out / HISTORY).read_text().splitlines()]
    assert lines == state.facts["history"]
    return {
        "best": {name: tensor.tolist() for name, tensor in Checkpoint.load(out).weights.items()},
        "last": {name: tensor.tolist() for name, tensor in state.tensors.items()},
        "history": [{key: value for key, value in line.items() if key not in ("seconds", "waited")} for line in lines],
        "steps": (state.facts["step"], state.facts["steps"], state.facts["best"], state.facts["best_epoch"]),
    }


STOPS = ([1], [1.5], [0.5, 1, 2.25])
CONFIGURATIONS = [
    (*configuration, STOPS[index % 3])
    for index, configuration in enumerate(product(("adamw", "sgd"), ("none", "batch", "instance"), (0.0, 0.5)))
]


@pytest.mark.parametrize(("optimizer", "norm", "dropout", "stops"), CONFIGURATIONS)
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(
    dataset: Dataset, tmp_path: Path, optimizer: Any, dropout: float, norm: Any, stops: list[float]
) -> None:
    spec = UNetSpec.by_level((4, 8), norm=norm, dropout=dropout)
    recipe = replace(RECIPE, optimizer=optimizer)
    train(dataset, tmp_path / "whole", spec, recipe)
    run_in_parts(dataset, tmp_path / "parts", stops, spec=spec, recipe=recipe)
    assert result_of(tmp_path / "parts") == result_of(tmp_path / "whole")


@pytest.mark.parametrize("stops", STOPS)
def test_it_does_not_matter_where_a_run_was_stopped(
    dataset: Dataset, finished: Path, tmp_path: Path, stops: list[float]
) -> None:
    run_in_parts(dataset, tmp_path, stops, spec=SPEC, recipe=RECIPE)
    assert result_of(tmp_path) == result_of(finished)


def test_the_seed_alone_decides(dataset: Dataset, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=2)
    for name, each in (("a", recipe), ("b", recipe), ("c", replace(recipe, seed=1))):
        torch.manual_seed(ord(name))
        train(dataset, tmp_path / name, SPEC, each)
    assert result_of(tmp_path / "a") == result_of(tmp_path / "b")
    assert result_of(tmp_path / "a")["last"] != result_of(tmp_path / "c")["last"]


def test_resuming_a_finished_run_changes_nothing(dataset: Dataset, finished: Path) -> None:
    before = {path: digest(path) for path in finished.rglob("*") if path.is_file()}
    checkpoint = train(dataset, finished, SPEC, RECIPE, resume="exactly")
    assert {path: digest(path) for path in finished.rglob("*") if path.is_file()} == before
    assert checkpoint.provenance == Checkpoint.load(finished).provenance


def test_the_checkpoint_is_that_of_the_best_epoch(dataset: Dataset, finished: Path) -> None:
    history = [json.loads(line) for line in (finished / HISTORY).read_text().splitlines()]
    assert [line["epoch"] for line in history] == [1, 2, 3]
    assert [line["step"] for line in history] == [STEPS, 2 * STEPS, 3 * STEPS]
    dice = [line["dice"] for line in history]
    assert [line["best"] for line in history] == [value > max([-1, *dice[:i]]) for i, value in enumerate(dice)]
    checkpoint = Checkpoint.load(finished)
    assert checkpoint.provenance["validation"]["dice"] == max(dice)
    assert checkpoint.provenance["epoch"] == 1 + int(np.argmax(dice))
    assert evaluate(checkpoint, dataset, "validation").dice == max(dice)


def test_the_checkpoint_says_how_it_came_about(dataset: Dataset, finished: Path) -> None:
    checkpoint = Checkpoint.load(finished)
    split = dataset.split(RECIPE.seed, RECIPE.validation, RECIPE.test)
    assert Recipe.from_json(checkpoint.recipe) == RECIPE
    assert {role: list(names) for role, names in checkpoint.split.items()} == split.to_json()
    assert checkpoint.spec == SPEC
    assert checkpoint.classes == dataset.classes
    assert checkpoint.provenance["data"]["sha256"] == dataset.digest()
    assert checkpoint.provenance["threads"] == torch.get_num_threads()
    assert checkpoint.provenance["seen"]["train"] == [digest(dataset.item(name).image) for name in split.train]


def test_callbacks_hear_of_every_step_and_epoch(dataset: Dataset, tmp_path: Path) -> None:
    steps, epochs = list[Progress](), list[tuple[Epoch, Checkpoint]]()
    recipe = replace(RECIPE, epochs=2)
    train(dataset, tmp_path / "run", SPEC, recipe, on_step=steps.append, on_epoch=lambda *both: epochs.append(both))
    assert [(each.step, each.steps) for each in steps] == [(step, 2 * STEPS) for step in range(2 * STEPS + 1)]
    assert steps[0].loss is None
    for number, (epoch, checkpoint) in enumerate(epochs):
        losses = [each.loss or 0.0 for each in steps[1 + number * STEPS :][:STEPS]]
        assert epoch.loss == pytest.approx(math.fsum(losses) / STEPS)
        assert evaluate(checkpoint, dataset, "validation").dice == epoch.dice
    lines = [json.loads(line) for line in (tmp_path / "run" / HISTORY).read_text().splitlines()]
    assert lines == [json.loads(json.dumps(asdict(epoch))) for epoch, _ in epochs]


# --- what is refused ---------------------------------------------------------------------------------------------


@contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """Nothing below the folder is written, changed or removed."""
    before = {path: path.is_file() and digest(path) for path in folder.rglob("*")}
    yield
    assert {path: path.is_file() and digest(path) for path in folder.rglob("*")} == before


def test_an_existing_run_is_never_written_over(dataset: Dataset, finished: Path) -> None:
    with untouched(finished), pytest.raises(CheckpointError, match=r"already holds a run; continue it with --resume"):
        train(dataset, finished, SPEC, RECIPE)


def test_a_network_without_its_state_is_never_written_over(dataset: Dataset, finished: Path, tmp_path: Path) -> None:
    for name in ("checkpoint.json", "model.safetensors"):
        (tmp_path / name).write_bytes((finished / name).read_bytes())
    with untouched(tmp_path), pytest.raises(CheckpointError, match="not the state to go on from"):
        train(dataset, tmp_path, SPEC, RECIPE, resume="exactly")


@pytest.mark.parametrize("resume", ["exactly", "drifting"])
@pytest.mark.parametrize("change", [{"epochs": 9}, {"learning_rate": 0.5}, {"class_weights": (1.0, 2.0)}, {"seed": 3}])
def test_a_changed_recipe_is_refused(dataset: Dataset, finished: Path, change: dict[str, Any], resume: Resume) -> None:
    ((name, value),) = change.items()
    with untouched(finished), pytest.raises(CheckpointError) as caught:
        train(dataset, finished, SPEC, replace(RECIPE, **change), resume=resume)
    kept = getattr(RECIPE, name)
    assert str(caught.value) == f"the run was begun with {name} {kept}, and {value} came; drop it or train anew"


def test_a_changed_network_is_refused(dataset: Dataset, finished: Path) -> None:
    with untouched(finished), pytest.raises(CheckpointError, match="begun with another network"):
        train(dataset, finished, UNetSpec.by_level((4, 9), norm="batch"), RECIPE, resume="exactly")


@pytest.mark.parametrize("resume", ["exactly", "drifting"])
def test_changed_data_are_refused(finished: Path, tmp_path: Path, resume: Resume) -> None:
    write_dataset(tmp_path, "cells", train=3, test=1, shape=(32, 32), seed=1)
    with untouched(finished), pytest.raises(CheckpointError, match=r"has changed since .* began"):
        train(Dataset.open(tmp_path), finished, SPEC, RECIPE, resume=resume)


@pytest.mark.parametrize("key", ["threads", "versions", "device"])
def test_another_environment_is_refused_unless_drift_is_allowed(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    with pytest.raises(StoppedError):
        train(dataset, tmp_path, SPEC, RECIPE, on_epoch=stop_after(1))
    real = module._environment
    monkeypatch.setattr(module, "_environment", lambda team: {**real(team), key: "other"})
    with untouched(tmp_path), pytest.raises(CheckpointError, match=rf"was begun with {key} .* is other, .*allow-drift"):
        train(dataset, tmp_path, resume="exactly")
    checkpoint = train(dataset, tmp_path, resume="drifting")
    assert len((tmp_path / HISTORY).read_text().splitlines()) == RECIPE.epochs
    assert checkpoint.provenance["threads" if key == "threads" else key] in (
        "other",
        real(Team(0, 1, torch.device("cpu")))[key],
    )


def test_a_lost_checkpoint_is_noticed(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        train(dataset, tmp_path, SPEC, RECIPE, on_epoch=stop_after(1))
    (tmp_path / "checkpoint.json").unlink()
    with pytest.raises(CheckpointError, match=r"has lost its checkpoint\.json"):
        train(dataset, tmp_path, resume="exactly")


@pytest.mark.parametrize(
    "spec",
    [
        UNetSpec.by_level((4, 8), classes=3),
        UNetSpec.by_level((4, 8), image_channels=3),
        UNetSpec.by_level((4, 8), ndim=3),
    ],
)
def test_a_network_for_other_images_is_refused(dataset: Dataset, tmp_path: Path, spec: UNetSpec) -> None:
    with untouched(tmp_path), pytest.raises(DataError, match=r"change the network to match"):
        train(dataset, tmp_path / "run", spec, RECIPE)


@pytest.mark.parametrize(("batch", "patch", "fits"), [(1, 2, False), (1, 4, True), (2, 2, True)])
def test_batch_norm_needs_two_values(dataset: Dataset, tmp_path: Path, batch: int, patch: int, fits: bool) -> None:
    recipe = replace(RECIPE, epochs=1, batch=batch, patch=patch)
    if fits:
        train(dataset, tmp_path / "run", SPEC, recipe)
    else:
        with untouched(tmp_path), pytest.raises(RecipeError, match="patches of 2x2 pixels leaves a single value"):
            train(dataset, tmp_path / "run", SPEC, recipe)
        train(dataset, tmp_path / "run", UNetSpec.by_level((4, 8)), recipe)


def test_weights_for_other_classes_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    with untouched(tmp_path), pytest.raises(RecipeError, match="3 class_weights came; give 2, for background, cell"):
        train(dataset, tmp_path / "run", SPEC, replace(RECIPE, class_weights=(1.0, 2.0, 3.0)))


def test_a_batch_that_the_processes_cannot_share_is_refused(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def two() -> Iterator[Team]:
        yield Team(0, 2, torch.device("cpu"))

    monkeypatch.setattr(module, "gather_team", two)
    with untouched(tmp_path), pytest.raises(RecipeError, match="batch is 3 for 2 processes; use a multiple of 2"):
        train(dataset, tmp_path / "run", SPEC, replace(RECIPE, batch=3))


@pytest.mark.parametrize("warmup", [0, 2])
def test_a_run_that_diverges_ends_with_advice_and_keeps_no_broken_weights(
    dataset: Dataset, tmp_path: Path, warmup: int
) -> None:
    recipe = replace(RECIPE, learning_rate=100, clip=0, optimizer="sgd", warmup=warmup)
    advice = r"diverged by step \d+ \(mean loss .*\); .* smaller learning_rate than 100, or --precision float32"
    with pytest.raises(RecipeError, match=advice):
        # With a plain ReLU the network may die instead: all zeros, and a finite loss.
        train(dataset, tmp_path, UNetSpec.by_level((4, 8), activation="leaky"), recipe)
    state = load_state(tmp_path)
    assert state is not None
    kept = {**state.tensors, **(Checkpoint.load(tmp_path).weights if state.facts["step"] else {})}
    assert all(bool(torch.isfinite(torch.as_tensor(values)).all()) for values in kept.values())


# --- when it ends ------------------------------------------------------------------------------------------------


def test_minutes_are_turned_into_steps_once(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(RECIPE, minutes=0.01, epochs=1)
    with pytest.raises(StoppedError):
        train(dataset, tmp_path / "run", SPEC, recipe, on_step=stop_at(1))
    planned = json.loads((tmp_path / "run" / LAST / STATE).read_text())["steps"]
    assert isinstance(planned, int)
    assert planned >= 1
    monkeypatch.setattr(module._Run, "_count_steps", lambda _: pytest.fail("steps are counted once"))
    train(dataset, tmp_path / "run", resume="exactly", on_epoch=lambda *_: None)
    state = load_state(tmp_path / "run")
    assert state is not None
    assert state.facts["step"] == state.facts["steps"] == planned


def test_timing_the_first_steps_does_not_train(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = module._Run._count_steps

    def count(run: Any) -> int:
        original(run)
        return RECIPE.epochs * STEPS

    monkeypatch.setattr(module._Run, "_count_steps", count)
    train(dataset, tmp_path / "timed", SPEC, replace(RECIPE, minutes=0.01))
    train(dataset, tmp_path / "plain", SPEC, RECIPE)
    assert result_of(tmp_path / "timed") == result_of(tmp_path / "plain")


@pytest.mark.parametrize("patience", [1, 2])
def test_training_stops_when_nothing_gets_better(dataset: Dataset, tmp_path: Path, patience: int) -> None:
    train(dataset, tmp_path, SPEC, replace(RECIPE, learning_rate=0, epochs=6, patience=patience, patch=32))
    history = [json.loads(line) for line in (tmp_path / HISTORY).read_text().splitlines()]
    best = max(line["epoch"] for line in history if line["best"])
    assert len(history) == min(6, best + patience)
    assert len(history) < 6
    train(dataset, tmp_path, resume="exactly")
    assert len((tmp_path / HISTORY).read_text().splitlines()) == len(history)


def scores_of(*pairs: tuple[list[int], list[int]]) -> Scores:
    names = ("background", "cell", "debris")
    return Scores(tuple(score_image(np.array([truth]), np.array([given]), names) for truth, given in pairs))


@pytest.mark.parametrize(
    ("pairs", "missing"),
    [
        ([([0, 1, 2], [0, 1, 2])], ""),
        ([([0, 1, 2], [0, 1, 1])], "debris"),
        ([([0, 1, 2], [0, 0, 0])], "cell, debris"),
        ([([0, 1, 1], [0, 1, 1])], ""),  # no debris to be predicted
        ([([0, 1, 2], [0, 1, 1]), ([0, 1, 1], [0, 2, 1])], ""),  # predicted, though in the wrong image
        ([([0, 1, 2], [0, 1, 1]), ([0, 0, 2], [0, 0, 2])], ""),
    ],
)
def test_classes_that_are_never_predicted_are_named_from_the_second_epoch(pairs: Any, missing: str) -> None:
    scores = scores_of(*pairs)
    assert module._never_predicted(scores, 1) == ()
    warnings = module._never_predicted(scores, 2)
    assert [text.split(":")[0] for text in warnings] == [missing] * bool(missing)


def test_a_network_that_stays_at_background_is_warned_of(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.nn.init, "normal_", lambda tensor, **_: torch.nn.init.zeros_(tensor))
    epochs = list[Epoch]()
    recipe = replace(RECIPE, learning_rate=0, epochs=3)
    train(dataset, tmp_path, SPEC, recipe, on_epoch=lambda epoch, _: epochs.append(epoch))
    assert [len(epoch.warnings) for epoch in epochs] == [0, 1, 1]
    assert "cell: not predicted in any validation image by epoch 3" in epochs[2].warnings[0]


# --- the schedule ------------------------------------------------------------------------------------------------

SCHEDULES = st.builds(
    Recipe,
    learning_rate=st.floats(0, 100),
    warmup=st.integers(0, 60),
    schedule=st.sampled_from(["cosine", "constant"]),
)


@settings(deadline=None)
@given(SCHEDULES, st.integers(1, 300))
def test_the_learning_rate_rises_then_stays_or_falls_to_nothing(recipe: Recipe, steps: int) -> None:
    rates = [learning_rate(recipe, step, steps) for step in range(steps)]
    assert all(0 <= rate <= recipe.learning_rate for rate in rates)
    rising = np.diff(rates[: recipe.warmup])
    falling = np.diff(rates[max(0, recipe.warmup - 1) :])
    assert (rising >= 0).all()
    np.testing.assert_allclose(rising, recipe.learning_rate / max(1, recipe.warmup), rtol=1e-6, atol=1e-9)
    assert (falling <= 1e-12).all()
    if recipe.schedule == "constant":
        assert all(rate == recipe.learning_rate for rate in rates[recipe.warmup :])
    elif steps > recipe.warmup:
        assert rates[-1] == pytest.approx(0, abs=1e-9)
    if steps >= recipe.warmup > 0:
        assert rates[recipe.warmup - 1] == recipe.learning_rate


# --- killed ------------------------------------------------------------------------------------------------------

SCRIPT = """
import sys
import torch
from unetscope.data.dataset import Dataset
from unetscope.model.spec import UNetSpec
from unetscope.training.loop import train
from unetscope.training.recipe import Recipe

torch.set_num_threads(1)
print("ready", flush=True)
recipe = Recipe(epochs=3, epoch_steps=4, batch=2, patch=16, warmup=2, learning_rate=1e-2)
spec = UNetSpec.by_level((4, 8), norm="batch")
train(Dataset.open(sys.argv[1]), sys.argv[2], spec, recipe, "exactly", lambda now: print(now.step, flush=True))
"""


@pytest.mark.slow
def test_a_run_that_was_killed_twice_ends_as_the_uninterrupted_one(
    dataset: Dataset, finished: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng()
    moments = (int(rng.integers(1, STEPS + 3)), int(rng.integers(1, 2 * STEPS)))
    for lines in moments:
        command = [sys.executable, "-c", SCRIPT, str(dataset.root), str(tmp_path / "run")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(lines + 1):
                assert process.stdout.readline()
            process.kill()
    train(dataset, tmp_path / "run", SPEC, RECIPE, resume="exactly")
    assert result_of(tmp_path / "run") == result_of(finished), f"killed after {moments} steps"
