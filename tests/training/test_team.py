"""Several processes train one network, write one run folder, and learn as well as one process does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.data.images import write_image, write_labels
from unetscope.data.scenes import write_dataset
from unetscope.errors import RecipeError
from unetscope.model.spec import UNetSpec
from unetscope.training import loop
from unetscope.training.loop import HISTORY, train
from unetscope.training.recipe import Recipe
from unetscope.training.team import Team, gather_team

CPU = torch.device("cpu")
RUN_FOLDER = ["checkpoint.json", "crops.safetensors", HISTORY, "last", "model.safetensors"]


@pytest.mark.parametrize(("batch", "size"), [(1, 1), (8, 1), (8, 2), (12, 4)])
def test_shares_are_equal_disjoint_and_complete(batch: int, size: int) -> None:
    shares = [list(range(batch))[Team(rank, size, CPU).share(batch)] for rank in range(size)]
    assert {len(share) for share in shares} == {batch // size}
    assert sorted(chain.from_iterable(shares)) == list(range(batch))


@pytest.mark.parametrize(("batch", "size"), [(3, 2), (2, 4), (1, 2)])
def test_a_batch_that_does_not_divide_is_refused(batch: int, size: int) -> None:
    with pytest.raises(RecipeError, match=f"^batch is {batch} for {size} processes; use a multiple of {size}$"):
        Team(0, size, CPU).share(batch)


def test_one_process_is_a_team_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    with gather_team() as team:
        assert (team.rank, team.size, team.leads) == (0, 1, True)
        network = nn.Conv2d(1, 1, 1)
        assert team.wrap(network) is network
        assert team.agree(0.1) == 0.1
        assert team.mean(0.1) == 0.1
        team.wait()
    assert not Team(1, 2, CPU).leads


def test_processes_wait_before_the_first_writes_and_until_it_has_written_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise another one would find a run where there was none, or load a checkpoint that is half written."""
    written = list[list[str]]()

    class Watching(Team):
        def wait(self) -> None:
            written.append(sorted(path.name for path in (tmp_path / "run").glob("*")))

    @contextmanager
    def watch() -> Iterator[Team]:
        yield Watching(0, 1, CPU)

    write_dataset(tmp_path / "data", "cells", train=2, test=0, shape=(16, 16))
    monkeypatch.setattr(loop, "gather_team", watch)
    train(Dataset.open(tmp_path / "data"), tmp_path / "run", UNetSpec.by_level((2,)), Recipe(epochs=1))
    assert written == [[], RUN_FOLDER]


def write_blobs(folder: Path) -> None:
    """Noisy images of blobs that cover half of them."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        blobs = (gaussian_filter(rng.standard_normal((32, 32)), 3) > 0).astype(np.uint8)
        write_labels(folder / "labels" / f"{seed}.png", blobs)
        write_image(
            folder / "images" / f"{seed}.png", (100 + 60 * blobs + rng.normal(0, 20, (32, 32))).astype(np.uint8)
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
def test_two_processes_learn_as_well_as_one(tmp_path: Path) -> None:
    write_blobs(tmp_path / "data")
    settings = {"epochs": 10, "batch": 4, "patch": 16, "learning_rate": 0.02, "warmup": 2, "elastic": 0}
    words = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    launcher = ["torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    command = [sys.executable, "-m", *launcher, "--master-port", str(free_port()), "--module", "unetscope", "train"]
    command += [str(tmp_path / "data"), "--out", str(tmp_path / "two"), "--widths", "4,8", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    two = Checkpoint.load(tmp_path / "two")
    assert two.provenance["processes"] == 2
    assert len((tmp_path / "two" / HISTORY).read_text().splitlines()) == 10
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == RUN_FOLDER

    dataset = Dataset.open(tmp_path / "data")
    spec = UNetSpec.preset("default", widths=(4, 8), classes=2)
    one = train(dataset, tmp_path / "one", spec, Recipe(**settings))  # type: ignore[arg-type]
    assert json.loads(json.dumps(one.recipe)) == two.recipe
    assert one.spec == two.spec
    dice = [each.provenance["validation"]["dice"] for each in (one, two)]
    assert min(dice) > 0.85  # one class everywhere would have about 2/3
    assert dice[0] == pytest.approx(dice[1], abs=0.05)
