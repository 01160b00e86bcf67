"""A slim network is trained on the same images in the same roles for as many steps, and says what it came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from unetscope.checkpoint import Checkpoint, digest_weights
from unetscope.data.dataset import Dataset
from unetscope.data.images import write_image, write_labels
from unetscope.data.scenes import write_dataset
from unetscope.errors import CheckpointError, DataError, SlimError
from unetscope.evaluation import evaluate
from unetscope.model.spec import UNetSpec
from unetscope.slimming.plan import SlimPlan
from unetscope.slimming.slim import ATTENTION, How, begin, give_same_roles, repeat_recipe, slim
from unetscope.slimming.surgery import slice_weights
from unetscope.training.loop import train
from unetscope.training.progress import Progress
from unetscope.training.recipe import Recipe
from unetscope.training.state import load_state

SPEC = UNetSpec.by_level((4, 6, 8), norm="batch")
RECIPE = Recipe(epochs=2, epoch_steps=3, batch=2, patch=16, warmup=2, learning_rate=1e-2, validation=0.3)
HOWS = get_args(How)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("cells")
    write_dataset(folder, "cells", train=4, test=1, shape=(32, 32))
    return Dataset.open(folder)


@pytest.fixture(scope="module")
def origin(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return train(dataset, tmp_path_factory.mktemp("runs") / "origin", SPEC, RECIPE)


def make_plan(checkpoint: Checkpoint, **changes: Any) -> SlimPlan:
    plan = SlimPlan.keep_all(checkpoint.spec, checkpoint.digest())
    widths = {layer: max(1, width // 2) for layer, width in plan.widths.items()}
    return plan.with_changes(**{"depth": 1, "skips": (0,), "widths": widths, **changes})


class StoppedError(Exception):
    """What stops a run from outside."""


def stop_at(step: int) -> Callable[[Progress], None]:
    def look(progress: Progress) -> None:
        if progress.step == step:
            raise StoppedError

    return look


def last_weights(out: Path) -> dict[str, Any]:
    state = load_state(out)
    assert state is not None
    return {name: tensor.tolist() for name, tensor in state.tensors.items()}


# --- what it begins from, and what is recorded -------------------------------------------------------------------


@pytest.mark.parametrize("how", HOWS)
def test_every_way_ends_in_a_network_that_says_how(
    origin: Checkpoint, dataset: Dataset, tmp_path: Path, how: How
) -> None:
    plan = make_plan(origin)
    checkpoint = slim(origin, plan, dataset, tmp_path, how)
    sliced = digest_weights(slice_weights(origin, plan))
    assert checkpoint.spec == plan.spec
    assert checkpoint.split == origin.split
    assert checkpoint.normalization == origin.normalization
    known = checkpoint.provenance
    assert known["start"] == {
        "weights": None if how == "scratch" else sliced,
        "origin": {"how": how, "plan": plan.digest(), "weights": origin.digest()},
    }
    assert known["steps"] == origin.provenance["steps"] == 6
    if how == "distill":
        assert known["teacher"]["weights"] == origin.digest()
        assert known["teacher"]["attention"] == ATTENTION
        assert known["teacher_steps"] == known["step"]
    else:
        assert not {"teacher", "teacher_steps"} & known.keys()


def test_slices_alone_begin_where_the_original_stopped(origin: Checkpoint) -> None:
    plan = make_plan(origin)
    assert begin(origin, plan, "scratch").weights is None
    for how in ("slice", "distill"):
        weights = begin(origin, plan, how).weights
        assert weights is not None
        assert digest_weights(weights) == digest_weights(slice_weights(origin, plan))


@pytest.mark.parametrize("how", HOWS)
def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    origin: Checkpoint, dataset: Dataset, tmp_path: Path, how: How
) -> None:
    plan = make_plan(origin)
    slim(origin, plan, dataset, tmp_path / "whole", how)
    with pytest.raises(StoppedError):
        slim(origin, plan, dataset, tmp_path / "parts", how, on_step=stop_at(4))
    steps = list[int]()
    slim(origin, plan, dataset, tmp_path / "parts", how, resume="exactly", on_step=lambda now: steps.append(now.step))
    assert steps == [3, 4, 5, 6]
    assert last_weights(tmp_path / "parts") == last_weights(tmp_path / "whole")


@pytest.mark.parametrize("how", HOWS)
def test_a_run_goes_on_by_its_own_plan_alone(origin: Checkpoint, dataset: Dataset, tmp_path: Path, how: How) -> None:
    plan = make_plan(origin)
    with pytest.raises(StoppedError):
        slim(origin, plan, dataset, tmp_path, how, on_step=stop_at(0))
    order = {layer: tuple(reversed(channels)) for layer, channels in plan.order.items()}
    with pytest.raises(CheckpointError, match=r"was begun with (weights|the origin) .* came"):
        slim(origin, plan.with_changes(order=order), dataset, tmp_path, how, resume="exactly")


def test_a_plan_for_another_network_is_refused(origin: Checkpoint, dataset: Dataset, tmp_path: Path) -> None:
    for how in HOWS:
        with pytest.raises(SlimError, match="the plan is for another network"):
            slim(origin.untrained(), make_plan(origin), dataset, tmp_path / "run", how)
    assert not (tmp_path / "run").exists()


# --- the same images in the same roles ---------------------------------------------------------------------------


def test_another_seed_keeps_the_roles(origin: Checkpoint, dataset: Dataset, tmp_path: Path) -> None:
    recipe = replace(repeat_recipe(origin), seed=5, epochs=1)
    assert dataset.split(5, recipe.validation, recipe.test).validation != origin.split["validation"]
    checkpoint = slim(origin, make_plan(origin), dataset, tmp_path, "scratch", recipe)
    assert checkpoint.split == origin.split
    assert checkpoint.provenance["seed"] == 5
    assert checkpoint.provenance["seen"] == origin.provenance["seen"]


def test_more_images_change_nothing(origin: Checkpoint, dataset: Dataset, tmp_path: Path) -> None:
    write_dataset(tmp_path / "more", "cells", train=6, test=1, shape=(32, 32))
    more = Dataset.open(tmp_path / "more")
    assert len(more.items) > len(dataset.items)
    same = give_same_roles(origin, more)
    assert {role: names for role, names in same.split().to_json().items() if names} == {
        role: list(names) for role, names in origin.split.items()
    }


def test_other_images_of_the_same_names_are_refused(origin: Checkpoint, dataset: Dataset, tmp_path: Path) -> None:
    write_dataset(tmp_path / "other", "cells", train=4, test=1, shape=(32, 32), seed=1)
    with pytest.raises(DataError, match="holds other train images under the names"):
        slim(origin, make_plan(origin), Dataset.open(tmp_path / "other"), tmp_path / "run")
    fewer = dataset.subset([item.name for item in dataset.items if item.name not in origin.split["validation"]])
    with pytest.raises(DataError, match="there is no such image"):
        slim(origin, make_plan(origin), fewer, tmp_path / "run")
    with pytest.raises(SlimError, match="does not say which images it was trained on"):
        give_same_roles(replace(origin, split={}), dataset)
    assert not (tmp_path / "run").exists()


def write_strips(folder: Path) -> Dataset:
    for index in range(2):
        truth = (np.random.default_rng(index).random((160, 32)) < 0.3).astype(np.uint8)
        write_image(folder / "images" / f"{index}.tif", truth * np.uint8(100 + index))
        write_labels(folder / "labels" / f"{index}.tif", truth)
    return Dataset.open(folder)


def test_few_images_keep_their_blocks_whatever_the_slim_network_sees(tmp_path: Path) -> None:
    """A network of other context would by itself cut elsewhere, and learn from rows that the original is tested on."""
    dataset, recipe = write_strips(tmp_path / "data"), replace(RECIPE, epochs=1)
    checkpoint = train(dataset, tmp_path / "origin", SPEC, recipe)
    smaller = slim(checkpoint, make_plan(checkpoint), dataset, tmp_path / "slim")
    assert smaller.split == checkpoint.split
    assert smaller.provenance["seen"] == checkpoint.provenance["seen"]
    assert smaller.provenance["gap"][0] == checkpoint.provenance["gap"][0]
    tested = [[image.name for image in evaluate(each, dataset).images] for each in (checkpoint, smaller)]
    assert tested[0] == tested[1] == list(checkpoint.split["test"])


# --- as many steps -----------------------------------------------------------------------------------------------


def with_provenance(recipe: Recipe, **known: Any) -> Checkpoint:
    from unetscope.data.normalization import Normalization
    from unetscope.model.unet import UNet

    return Checkpoint(
        SPEC,
        UNet(SPEC).state_dict(),
        Normalization("image"),
        ("background", "cell"),
        recipe=recipe.to_json(),
        provenance=known,
    )


@pytest.mark.parametrize(
    ("recipe", "known", "expected"),
    [
        (Recipe(epochs=7), {"step": 120, "epoch": 3, "steps": 280}, {"epochs": 7, "epoch_steps": 40}),
        (Recipe(epochs=7), {"step": 120, "epoch": 3}, {"epochs": 7, "epoch_steps": 40}),
        (Recipe(minutes=3), {"step": 120, "epoch": 3, "steps": 200}, {"minutes": None, "epochs": 5, "epoch_steps": 40}),
        (Recipe(minutes=3), {"step": 120, "epoch": 3, "steps": 201}, {"minutes": None, "epochs": 6, "epoch_steps": 40}),
        (Recipe(seed=4), {}, {}),
    ],
)
def test_the_recipe_is_repeated_for_as_many_steps(
    recipe: Recipe, known: dict[str, int], expected: dict[str, Any]
) -> None:
    assert repeat_recipe(with_provenance(recipe, **known)) == replace(recipe, **expected)


def test_minutes_of_unknown_steps_are_refused() -> None:
    with pytest.raises(SlimError, match="trained for 3 minutes and does not say how many steps"):
        repeat_recipe(with_provenance(Recipe(minutes=3), step=120, epoch=3))


def test_the_steps_do_not_follow_the_size_of_the_network(dataset: Dataset, tmp_path: Path) -> None:
    """A valid network reads larger patches, so that by itself an epoch of another network has other steps."""
    spec, recipe = replace(SPEC, padded=False), replace(RECIPE, epochs=1, epoch_steps=None, patch=None, batch=1)
    checkpoint = train(dataset, tmp_path / "origin", spec, recipe)
    smaller = slim(checkpoint, make_plan(checkpoint), dataset, tmp_path / "slim", "distill")
    assert smaller.provenance["steps"] == checkpoint.provenance["steps"]
    assert smaller.recipe["batch"] == checkpoint.recipe["batch"]


@pytest.mark.parametrize("how", ["slice", "distill"])
def test_weights_are_shown_what_they_were_trained_on(
    origin: Checkpoint, dataset: Dataset, tmp_path: Path, how: How
) -> None:
    recipe = replace(repeat_recipe(origin), normalization="image")
    with pytest.raises(SlimError, match="the recipe's normalization is image, and the weights were trained with auto"):
        slim(origin, make_plan(origin), dataset, tmp_path / "run", how, recipe)
    slim(origin, make_plan(origin), dataset, tmp_path / "run", "scratch", replace(recipe, epochs=1))
