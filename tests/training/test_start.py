"""A training begins with what it was given, goes on as if it had not been stopped, and says what it began from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from unetscope.checkpoint import Checkpoint, digest_weights
from unetscope.data.dataset import Dataset
from unetscope.data.images import write_image, write_labels
from unetscope.data.scenes import write_dataset
from unetscope.errors import CheckpointError, RecipeError
from unetscope.evaluation import evaluate
from unetscope.files import digest
from unetscope.model.geometry import context
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.training.distillation import Teacher
from unetscope.training.loop import Resume, train
from unetscope.training.progress import Epoch, Progress
from unetscope.training.recipe import Recipe
from unetscope.training.start import Start, continue_start
from unetscope.training.state import LAST, STATE, load_state

SPEC = UNetSpec.by_level((3, 4), norm="batch")
WIDER = UNetSpec.by_level((5, 6, 7), norm="batch")
RECIPE = Recipe(epochs=2, epoch_steps=3, batch=2, patch=16, warmup=2, learning_rate=1e-2)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("cells")
    write_dataset(folder, "cells", train=3, test=1, shape=(32, 32))
    return Dataset.open(folder)


def make_weights(spec: UNetSpec, seed: int) -> dict[str, np.ndarray]:
    torch.manual_seed(seed)
    return {name: tensor.numpy() for name, tensor in UNet(spec).state_dict().items()}


def make_teacher(seed: int = 7, **settings: float) -> Teacher:
    torch.manual_seed(seed)
    return Teacher(UNet(WIDER), **settings)


STARTS: dict[str, Callable[[], Start]] = {
    "weights": lambda: Start(SPEC, make_weights(SPEC, 5), origin={"name": "elsewhere", "kept": (1, 2)}),
    "teacher": lambda: Start(SPEC, teacher=make_teacher(attention=0.5)),
    "both": lambda: Start(SPEC, make_weights(SPEC, 5), make_teacher(share=1.0, temperature=4.0)),
}


class StoppedError(Exception):
    """What stops a run from outside."""


def stop_at(step: int) -> Callable[[Progress], None]:
    def look(progress: Progress) -> None:
        if progress.step == step:
            raise StoppedError

    return look


def begin(dataset: Dataset, out: Path, start: Start, step: int = 4) -> None:
    """A run that is stopped within its second epoch."""
    with pytest.raises(StoppedError):
        train(dataset, out, start, RECIPE, on_step=stop_at(step))


def result_of(out: Path) -> dict[str, Any]:
    """All that two equal runs have in common."""
    state, checkpoint = load_state(out), Checkpoint.load(out)
    assert state is not None
    timed = ("seconds", "waited")
    history = [{key: value for key, value in line.items() if key not in timed} for line in state.facts["history"]]
    provenance = {key: value for key, value in checkpoint.provenance.items() if key != "validation"}
    last = {name: tensor.tolist() for name, tensor in state.tensors.items()}
    return {"best": checkpoint.digest(), "last": last, "history": history, "provenance": provenance}


# --- what it begins from -----------------------------------------------------------------------------------------


def test_training_begins_with_the_given_weights(dataset: Dataset, tmp_path: Path) -> None:
    weights = make_weights(SPEC, 5)
    before = {name: array.copy() for name, array in weights.items()}
    with pytest.raises(StoppedError):
        train(dataset, tmp_path / "run", Start(SPEC, weights), RECIPE, on_step=stop_at(0))
    state = load_state(tmp_path / "run")
    assert state is not None
    for name, array in before.items():
        np.testing.assert_array_equal(state.tensors[f"weights.{name}"], array)
    train(dataset, tmp_path / "run", resume="exactly")
    for name, array in before.items():
        np.testing.assert_array_equal(weights[name], array)


def test_a_plain_network_is_a_plain_start(dataset: Dataset, tmp_path: Path) -> None:
    first = train(dataset, tmp_path / "a", SPEC, RECIPE)
    train(dataset, tmp_path / "b", Start(SPEC), RECIPE)
    assert result_of(tmp_path / "a") == result_of(tmp_path / "b")
    assert not {"start", "teacher", "teacher_steps"} & first.provenance.keys()


def test_without_steps_the_weights_stay_the_given_ones(dataset: Dataset, tmp_path: Path) -> None:
    spec, recipe = replace(SPEC, norm="none"), replace(RECIPE, learning_rate=0, epochs=1)
    weights = make_weights(spec, 9)
    checkpoint = train(dataset, tmp_path, Start(spec, weights), recipe)
    assert checkpoint.digest() == digest_weights(weights) == checkpoint.provenance["start"]["weights"]


def test_the_teacher_alone_decides_where_labels_have_no_share(dataset: Dataset, tmp_path: Path) -> None:
    """The student whose teacher has its own weights is at the goal, and has nothing to learn."""
    spec, recipe = replace(SPEC, norm="none"), replace(RECIPE, epochs=1, weight_decay=0, precision="float32")
    weights = make_weights(spec, 9)
    torch.manual_seed(9)
    teacher = Teacher(UNet(spec), share=1.0)
    losses = list[float]()
    train(
        dataset,
        tmp_path / "run",
        Start(spec, weights, teacher),
        replace(recipe, optimizer="sgd"),
        on_step=lambda now: losses.append(now.loss or 0.0),
    )
    assert max(map(abs, losses)) < 1e-6
    other = list[float]()
    train(
        dataset,
        tmp_path / "other",
        Start(spec, make_weights(spec, 8), teacher),
        replace(recipe, optimizer="sgd"),
        on_step=lambda now: other.append(now.loss or 0.0),
    )
    assert max(other) > 1e-3


@pytest.mark.parametrize("spec", [WIDER, replace(SPEC, norm="none"), UNetSpec.by_level((3, 5), norm="batch")])
def test_weights_of_another_network_are_refused(dataset: Dataset, tmp_path: Path, spec: UNetSpec) -> None:
    with pytest.raises(CheckpointError, match=r"the weights to begin with do not fit the network .* one array"):
        train(dataset, tmp_path / "run", Start(SPEC, make_weights(spec, 0)), RECIPE)
    assert not (tmp_path / "run").exists()


def test_a_teacher_of_other_classes_is_refused_before_anything_is_written(dataset: Dataset, tmp_path: Path) -> None:
    teacher = Teacher(UNet(replace(WIDER, classes=3)))
    with pytest.raises(RecipeError, match="3 classes apart and the student 2"):
        train(dataset, tmp_path / "run", Start(SPEC, teacher=teacher), RECIPE)
    assert not (tmp_path / "run").exists()


# --- stopped and resumed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", STARTS)
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(dataset: Dataset, tmp_path: Path, kind: str) -> None:
    train(dataset, tmp_path / "whole", STARTS[kind](), RECIPE)
    begin(dataset, tmp_path / "parts", STARTS[kind]())
    train(dataset, tmp_path / "parts", STARTS[kind](), RECIPE, "exactly")
    assert result_of(tmp_path / "parts") == result_of(tmp_path / "whole")


def test_weights_need_not_be_given_again(dataset: Dataset, tmp_path: Path) -> None:
    train(dataset, tmp_path / "whole", STARTS["weights"](), RECIPE)
    begin(dataset, tmp_path / "parts", STARTS["weights"]())
    train(dataset, tmp_path / "parts", resume="exactly")
    assert result_of(tmp_path / "parts") == result_of(tmp_path / "whole")


@pytest.mark.parametrize("resume", ["exactly", "drifting"])
@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("teacher", None, r"learns from a teacher \(weights .*\), which its folder does not hold"),
        ("weights", SPEC, r"begun with weights [0-9a-f]{12}, and none came"),
        ("weights", Start(SPEC, make_weights(SPEC, 6)), "begun with weights [0-9a-f]{12}, and [0-9a-f]{12} came"),
        ("weights", Start(SPEC, make_weights(SPEC, 5)), "begun with the origin name elsewhere, kept .*, and none came"),
        ("weights", replace(STARTS["weights"](), teacher=make_teacher()), "with the teacher none, and module UNet, "),
        ("teacher", Start(SPEC, teacher=make_teacher(8, attention=0.5)), "with the teacher module UNet, weights "),
        ("teacher", Start(SPEC, teacher=make_teacher(attention=0.25)), "attention 0.5, and module .* attention 0.25"),
        ("teacher", Start(WIDER, teacher=make_teacher()), "begun with another network"),
    ],
)
def test_another_start_is_refused(
    dataset: Dataset, tmp_path: Path, kind: str, given: Any, message: str, resume: Resume
) -> None:
    with pytest.raises(StoppedError):
        train(dataset, tmp_path, STARTS[kind](), RECIPE, on_step=stop_at(0))
    before = {path: digest(path) for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match=message):
        train(dataset, tmp_path, given, resume=resume)
    assert {path: digest(path) for path in tmp_path.rglob("*") if path.is_file()} == before


def test_states_that_know_nothing_of_starts_go_on(dataset: Dataset, tmp_path: Path) -> None:
    train(dataset, tmp_path / "whole", SPEC, RECIPE)
    begin(dataset, tmp_path / "parts", Start(SPEC))
    path = tmp_path / "parts" / LAST / STATE
    path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "start"}))
    train(dataset, tmp_path / "parts", SPEC, RECIPE, "exactly")
    assert result_of(tmp_path / "parts") == result_of(tmp_path / "whole")
    state = load_state(tmp_path / "whole")
    assert state is not None
    assert continue_start(state, None) == Start(SPEC)


# --- what is recorded --------------------------------------------------------------------------------------------


def test_the_checkpoint_says_what_it_began_from(dataset: Dataset, tmp_path: Path) -> None:
    start, weights = STARTS["both"](), make_weights(SPEC, 5)
    epochs = list[Epoch]()
    start = replace(start, origin={"name": "elsewhere"})
    checkpoint = train(dataset, tmp_path, start, RECIPE, on_epoch=lambda epoch, _: epochs.append(epoch))
    known = Checkpoint.load(tmp_path).provenance
    assert known["start"] == {"weights": digest_weights(weights), "origin": {"name": "elsewhere"}}
    assert start.teacher is not None
    teacher = start.teacher.module
    assert known["teacher"] == {
        "module": "UNet",
        "weights": digest_weights(teacher.state_dict()),
        "temperature": 4.0,
        "share": 1.0,
        "attention": 0.0,
        "layers": [],
    }
    assert known["teacher_steps"] == known["step"] == 3 * max(epoch.epoch for epoch in epochs if epoch.best)
    assert known["steps"] == 6
    assert checkpoint.provenance == known


def test_the_layers_that_were_compared_are_recorded(dataset: Dataset, tmp_path: Path) -> None:
    checkpoint = train(dataset, tmp_path, STARTS["teacher"](), replace(RECIPE, epochs=1))
    assert checkpoint.provenance["teacher"]["layers"] == ["encoder.0.conv2", "decoder.0.conv2"]


def test_the_teacher_sees_every_step_once(dataset: Dataset, tmp_path: Path) -> None:
    passes = list[int]()

    class Counting(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            passes.append(len(images))
            return images.repeat(1, 2, 1, 1)

    checkpoint = train(dataset, tmp_path, Start(SPEC, teacher=Teacher(Counting())), replace(RECIPE, epochs=1))
    assert len(passes) == 1 + checkpoint.provenance["teacher_steps"]  # the first finds out about sizes


@pytest.mark.parametrize("kind", ["arrays", "tensors", "half"])
def test_weights_have_the_digest_of_their_checkpoint(kind: str) -> None:
    weights: dict[str, Any] = make_weights(SPEC, 2)
    if kind != "arrays":
        weights = {name: torch.from_numpy(array) for name, array in weights.items()}
    if kind == "half":
        halved = {name: tensor.bfloat16() for name, tensor in weights.items()}
        assert digest_weights(halved) != digest_weights(weights)
        return
    from unetscope.data.normalization import Normalization

    assert digest_weights(weights) == Checkpoint(SPEC, weights, Normalization("image"), ("a", "b")).digest()


@pytest.mark.parametrize("turned", [False, True])
def test_blocks_cut_for_another_network_are_found_again(tmp_path: Path, turned: bool) -> None:
    """The gap that is recorded is the one that lies between the blocks, whichever network they were cut for."""
    for index in range(2):
        shape = (40, 160) if turned else (160, 40)
        truth = (np.random.default_rng(index).random(shape) < 0.3).astype(np.uint8)
        write_image(tmp_path / "data" / "images" / f"{index}.tif", truth * np.uint8(100 + index))
        write_labels(tmp_path / "data" / "labels" / f"{index}.tif", truth)
    dataset = Dataset.open(tmp_path / "data")
    cut = dataset.in_blocks(context(WIDER))
    checkpoint = train(cut, tmp_path / "run", SPEC, replace(RECIPE, epochs=1))
    axis = int(turned)
    assert checkpoint.provenance["gap"][axis] == context(WIDER)[axis] != context(SPEC)[axis]
    scores = evaluate(checkpoint, dataset)
    assert [image.name for image in scores.images] == [item.name for item in cut.items if item.part == "test"]
    whole = train(dataset, tmp_path / "own", SPEC, replace(RECIPE, epochs=1))
    assert whole.provenance["gap"] == list(context(SPEC))
