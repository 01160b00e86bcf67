"""Networks on which the instrument's predictions are judged, and the same networks retrained without a part.

    python benchmarks/population.py --data ../shared/data [--sets nuclei hippocampus] [--threads 1]

Trains what is missing and scores it on the test images; stopped, it goes on where it was. Knows which networks there
are; `benchmarks/prediction.py` profiles them and compares.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dsb2018 import PUBLISHED, shrink_dataset
from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.evaluation import evaluate
from unetscope.files import write_json
from unetscope.model.spec import UNetSpec
from unetscope.training.loop import train
from unetscope.training.recipe import Recipe

VOLUMES = Recipe(
    epochs=4, epoch_steps=50, batch=4, patch=32, learning_rate=2e-3, flip=0, rotation=15, validation=0.25, warmup=10
)
SETS = ("nuclei", "hippocampus")


@dataclass(frozen=True)
class Member:
    """One training.

    Attributes:
        name: Set it learns.
        widths: Channels of every level, the bottleneck last.
        seed: Seed of weights, patches and of which training images validate; the test images are always the same.
        epochs: How long.
        skips: Levels with a skip; all if None.
    """

    name: str
    widths: tuple[int, ...]
    seed: int
    epochs: int
    skips: tuple[int, ...] | None = None

    @property
    def folder(self) -> str:
        """Name of its run folder."""
        skips = "" if self.skips is None else f"-skips{''.join(map(str, self.skips)) or 'none'}"
        return f"{self.name}-{'-'.join(map(str, self.widths))}{skips}-seed{self.seed}-epochs{self.epochs}"

    @property
    def depth(self) -> int:
        """Number of poolings."""
        return len(self.widths) - 1

    def without_up(self, level: int) -> Member:
        """Retrained without what comes up to a level: a network whose bottleneck that level is."""
        skips = None if self.skips is None else tuple(other for other in self.skips if other < level)
        return replace(self, widths=self.widths[: level + 1], skips=skips)

    def without_skip(self, level: int) -> Member:
        """Retrained without the skip of a level."""
        return replace(self, skips=tuple(other for other in range(self.depth) if other != level))


NUCLEI = (
    Member("nuclei", (16, 32, 64, 128, 256), 0, 24),
    Member("nuclei", (16, 32, 64), 0, 12),
    Member("nuclei", (16, 16, 16, 16), 0, 12),
    Member("nuclei", (8, 16, 24, 32), 0, 12),
    Member("nuclei", (8, 8, 8, 8), 0, 12),
    Member("nuclei", (8, 16, 16), 0, 12),
    Member("nuclei", (16, 32, 64, 128, 256), 1, 24),
    Member("nuclei", (16, 32, 64, 128), 0, 12),
    Member("nuclei", (16, 32, 64), 1, 12),
    Member("nuclei", (16, 16, 16, 16), 1, 12),
    Member("nuclei", (16, 32, 64, 128, 256), 2, 24),
    Member("nuclei", (16, 32, 64, 128, 256), 0, 6),
    Member("nuclei", (8, 16, 24, 32), 0, 6),
    Member("nuclei", (8, 8, 8, 8), 1, 12),
)
HIPPOCAMPUS = (
    Member("hippocampus", (8, 16, 32), 0, 4),
    Member("hippocampus", (8, 8, 8), 0, 4),
    Member("hippocampus", (8, 16, 32, 64), 0, 4),
    Member("hippocampus", (4, 8, 16), 0, 4),
    Member("hippocampus", (8, 16, 32), 1, 4),
    Member("hippocampus", (8, 8, 8), 1, 4),
    Member("hippocampus", (12, 12, 12), 0, 4),
    Member("hippocampus", (8, 16, 32), 0, 2),
    Member("hippocampus", (8, 8, 8, 8), 0, 4),
    Member("hippocampus", (4, 8, 16), 1, 4),
    Member("hippocampus", (8, 16, 32), 0, 8),
    Member("hippocampus", (8, 8, 8), 0, 2),
)
LONG = 24  # epochs
USUAL = {"nuclei": 12, "hippocampus": 4}  # epochs of those retrained without a skip
DEEPEST = {"nuclei": 3, "hippocampus": 2}  # poolings that they have at most
POPULATION = {"nuclei": NUCLEI, "hippocampus": HIPPOCAMPUS}


def main() -> None:
    """Train and score what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("runs/population"))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--only-members", action="store_true", help="leave out the retrained ones")
    parser.add_argument("--threads", type=int, help="threads to compute with; all cores if not given")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    opened = {name: open_set(name, arguments.data, arguments.work) for name in arguments.sets}
    wanted = [member for name in arguments.sets for member in POPULATION[name]]
    if not arguments.only_members:
        wanted += [part for name in arguments.sets for part in list_retrained(name)]
    for member in dict.fromkeys(wanted):
        dice = train_member(member, opened[member.name], arguments.work)
        print(f"{member.folder}: test Dice {dice:.4f}", flush=True)


def open_set(name: str, data: Path, work: Path) -> Dataset:
    """The images of a set: nuclei at 128x128 as published, hippocampus as stored."""
    if name == "nuclei":
        return Dataset.open(shrink_dataset(data / "dsb2018", work / "data-128"))
    return Dataset.open(data / name)


def list_retrained(name: str) -> Iterator[Member]:
    """What is retrained without a part: every up path, and skips where training is short.

    Of the long trainings only the first seed is retrained, for time.
    """
    members = [member for member in POPULATION[name] if member.epochs < LONG or member.seed == 0]
    for member in members:
        for level in range(member.depth):
            yield member.without_up(level)
    for member in members:
        if member.epochs == USUAL[name] and member.seed == 0 and member.depth <= DEEPEST[name]:
            for level in range(member.depth):
                yield member.without_skip(level)


def train_member(member: Member, dataset: Dataset, work: Path) -> float:
    """Mean test Dice of a member, trained where it was not yet."""
    out = work / member.folder
    scores = out / "test.json"
    if not scores.exists():
        checkpoint = train(dataset, out, describe(member, dataset), choose_recipe(member), resume="exactly")
        write_json(scores, evaluate(checkpoint, dataset).to_json())
    return float(json.loads(scores.read_text())["dice"])


def load_member(member: Member, work: Path) -> Checkpoint:
    """The checkpoint of a member that was trained."""
    return Checkpoint.load(work / member.folder)


def describe(member: Member, dataset: Dataset) -> UNetSpec:
    """The network of a member."""
    if member.name == "nuclei":
        return UNetSpec.preset("lee2021", widths=member.widths, skips=member.skips)
    classes = len(dataset.classes)
    return UNetSpec.preset("default", ndim=3, classes=classes, widths=member.widths, skips=member.skips)


def choose_recipe(member: Member) -> Recipe:
    """How a member is trained."""
    recipe = PUBLISHED if member.name == "nuclei" else VOLUMES
    return replace(recipe, epochs=member.epochs, seed=member.seed)


if __name__ == "__main__":
    main()
