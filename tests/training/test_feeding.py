"""Batches come in order, ahead of time and as the patches make them; waiting is noticed."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import torch

from unetscope.data.dataset import Dataset
from unetscope.data.normalization import Normalization
from unetscope.data.scenes import write_dataset
from unetscope.errors import ImageError
from unetscope.model.spec import UNetSpec
from unetscope.training.feeding import LONG, STARVED, feed, name_starvation
from unetscope.training.patches import Batch, Patches
from unetscope.training.recipe import Recipe
from unetscope.training.team import Team

CPU = torch.device("cpu")
ALONE = Team(0, 1, CPU)


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Patches:
    folder = tmp_path_factory.mktemp("cells")
    write_dataset(folder, "cells", train=4, test=1, shape=(32, 32))
    dataset = Dataset.open(folder)
    recipe = Recipe(batch=4, patch=16)
    return Patches(dataset, dataset.names, UNetSpec.by_level((4, 8)), recipe, Normalization.range(0, 1))


@pytest.mark.parametrize("team", [ALONE, Team(1, 2, CPU)])
def test_the_batches_of_the_steps_come_in_their_order(patches: Patches, team: Team) -> None:
    share = team.share(4)
    for step, (batch, seconds) in enumerate(feed(patches, range(3, 9), team), 3):
        assert torch.equal(batch.images, patches.batch(step, share).images)
        assert torch.equal(batch.labels, patches.batch(step, share).labels)
        assert seconds >= 0
    assert list(feed(patches, range(3, 3), team)) == []


class Slow:
    """Patches that take their time."""

    recipe = Recipe(batch=1)

    def __init__(self, patches: Patches, seconds: float) -> None:
        self.batch_of_one, self.seconds = patches.batch(0, slice(1)), seconds
        self.threads = list[str]()

    def batch(self, step: int, share: slice) -> Batch:
        time.sleep(self.seconds)
        self.threads.append(threading.current_thread().name)
        return self.batch_of_one


def test_the_next_batches_are_made_while_one_is_used(patches: Patches) -> None:
    """The first one is waited for; then steps that take longer than a batch wait no more."""
    slow = Slow(patches, 0.05)
    waits = []
    for _, seconds in feed(slow, range(5), ALONE):  # type: ignore[arg-type]
        waits.append(seconds)
        time.sleep(0.1)
    assert waits[0] >= 0.05
    assert sum(waits[1:]) < 0.05
    assert threading.current_thread().name not in slow.threads


def test_a_step_that_is_faster_than_its_batches_is_seen_to_wait(patches: Patches) -> None:
    assert sum(seconds for _, seconds in feed(Slow(patches, 0.05), range(6), ALONE)) >= 0.29  # type: ignore[arg-type]


def test_what_goes_wrong_in_a_thread_comes_to_light_in_its_turn(
    patches: Patches, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = patches.batch

    def fail_at_2(step: int, share: slice) -> Batch:
        if step == 2:
            raise ImageError("image 2 is gone")
        return made(step, share)

    monkeypatch.setattr(patches, "batch", fail_at_2)
    coming = feed(patches, range(4), ALONE)
    assert len([next(coming), next(coming)]) == 2
    with pytest.raises(ImageError, match="image 2 is gone"):
        next(coming)


@pytest.mark.parametrize(
    ("waited", "seconds", "told"),
    [
        (0.0, 100.0, False),
        (100 * STARVED - 1, 100.0, False),
        (100 * STARVED + 1, 100.0, True),
        (LONG - 1, LONG - 0.5, False),  # of so short an epoch nothing follows
    ],
)
def test_only_much_waiting_in_a_long_epoch_is_told(waited: float, seconds: float, told: bool) -> None:
    assert bool(name_starvation(waited, seconds)) == told


def test_the_warning_says_how_much_and_what_to_do() -> None:
    (text,) = name_starvation(33.0, 100.0)
    assert text.startswith("33% of the time went by waiting for patches: ")


def test_a_run_notes_how_long_it_waited(tmp_path: Path) -> None:
    from unetscope.training.loop import train
    from unetscope.training.progress import Epoch

    write_dataset(tmp_path / "data", "cells", train=3, test=1, shape=(32, 32))
    epochs = list[Epoch]()
    recipe = Recipe(epochs=2, epoch_steps=3, batch=2, patch=16)
    spec = UNetSpec.by_level((4, 8))
    train(Dataset.open(tmp_path / "data"), tmp_path / "run", spec, recipe, on_epoch=lambda e, _: epochs.append(e))
    assert all(0 < epoch.waited < 1 for epoch in epochs)
