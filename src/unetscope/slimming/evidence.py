"""Whether the guided search earns its keep: the same search without guidance, and rivals at the winner's cost.

Knows strategies and shapes; every network is trained in one folder, so that none is trained twice, and every strategy
is counted by what it asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.files import write_json
from unetscope.information.intervals import Interval
from unetscope.information.sentences import last_map
from unetscope.model.spec import UNetSpec
from unetscope.slimming.comparison import Comparison, ComparisonSettings, OnStep, compare
from unetscope.slimming.magnitude import prune_by_magnitude
from unetscope.slimming.race import Strategy
from unetscope.slimming.shapes import flat, multiply_adds_per_pixel, paper_style, random_shapes, uniform
from unetscope.slimming.shrinking import (
    PROFILE,
    RACE,
    TRIALS,
    Shrinking,
    ShrinkSettings,
    Watcher,
    confirm,
    guided,
    keep_profile,
    plan_run,
    search,
)
from unetscope.slimming.slim import slim
from unetscope.slimming.trials import DONE, Trial, Trials

PROOF = "proof.json"
RANDOM = 8  # shapes of the search that knows nothing
PRUNED = "l1"


@dataclass(frozen=True)
class Proof:
    """What a guided search is worth.

    Attributes:
        searches: The guided one first, then those without guidance.
        rivals: Run folders of each rival at the winner's cost, by its name.
        bits: Usable bits per pixel of the last map, linear, of the origin and of the winner: "before" and "after".
    """

    searches: tuple[Shrinking, ...]
    rivals: Mapping[str, tuple[str, ...]] = field(repr=False)
    bits: Mapping[str, Interval]

    @property
    def winner(self) -> UNetSpec:
        """What the guided search found."""
        return self.searches[0].good

    @property
    def sentences(self) -> tuple[str, ...]:
        """The headline: what each search had to train."""
        told = [
            f"{found.strategy}: {found.trainings} trainings, {found.steps:,} optimizer steps until the boundary was "
            f"enclosed at {multiply_adds_per_pixel(found.good):,.0f} multiply-adds per pixel"
            for found in self.searches
        ]
        first, *others = self.searches
        cheapest = min(others, key=lambda found: found.steps, default=None)
        if cheapest is not None and first.steps:
            word = "fewer" if first.steps < cheapest.steps else "no fewer"
            told.append(
                f"guidance took {first.steps / cheapest.steps:.2f} times the steps of the cheapest search without it "
                f"({cheapest.strategy}): {word}"
            )
        told += self._name_winner()
        return (*told, *(f"usable bits of the last map {when}: {_say_bits(bits)}" for when, bits in self.bits.items()))

    def _name_winner(self) -> list[str]:
        """Which search found the smallest network, where it was not the guided one."""
        first, best = self.searches[0], min(self.searches, key=lambda found: multiply_adds_per_pixel(found.good))
        paid, least = multiply_adds_per_pixel(first.good), multiply_adds_per_pixel(best.good)
        if least == paid:
            return []
        widths = "-".join(map(str, best.good.level_widths))
        return [
            f"the winner is {best.strategy}: it found {widths} to be as good, at {least / paid:.2f} times the "
            "multiply-adds of what guidance found"
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "sentences": list(self.sentences),
            "searches": [found.to_json() for found in self.searches],
            "rivals": {name: list(runs) for name, runs in self.rivals.items()},
            "bits": {when: bits.to_json() for when, bits in self.bits.items()},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(
            tuple(map(Shrinking.from_json, content["searches"])),
            {name: tuple(runs) for name, runs in content["rivals"].items()},
            {when: Interval.from_json(bits) for when, bits in content["bits"].items()},
        )


def prove(
    run: Path,
    dataset: Dataset,
    out: Path,
    settings: ShrinkSettings = ShrinkSettings(),
    watcher: Watcher = Watcher(),
) -> Proof:
    """Search with and without guidance, and train rivals at the winner's multiply-adds.

    Stopped, it goes on where it was.

    Args:
        run: Run folder of the network.
        dataset: The images that it was trained on.
        out: Folder to write; that of a `shrink` is gone on with.
        settings: As of `shrink`.
        watcher: Whom to tell.

    Returns:
        The proof.

    Raises:
        SlimError: As `shrink`.
        DataError: As `shrink`.
    """
    trials = Trials(out / TRIALS, dataset, run, watcher.on_trial, watcher.on_step, settings.how)
    plan = plan_run(run, dataset, out, settings, watcher)
    first, *searches = [
        search(strategy, trials, out / _file_of(strategy), settings, watcher)
        for strategy in (guided(plan), *list_unguided(plan.origin, trials.recipe.seed))
    ]
    first = confirm(first, trials, out / RACE, settings, watcher)
    winner = first.good
    watcher.tell("training rivals at the winner's multiply-adds")
    rivals = train_rivals(winner, trials, settings, watcher)
    watcher.tell("profiling the winner")
    proof = Proof((first, *searches), rivals, _measure_bits(out, first, dataset, settings))
    write_json(out / PROOF, proof.to_json())
    return proof


def compare_all(
    proof: Proof, dataset: Dataset, margin: float, timed: bool = True, on_step: OnStep | None = None
) -> Comparison:
    """Compare the origin, what every search found, and the rivals, on the test images: look once, at the end.

    Args:
        proof: What was trained.
        dataset: The images of the searches.
        margin: Dice that may be lost.
        timed: Time the networks.
        on_step: As of `compare`.
    """
    searches = [folder for found in proof.searches for folders in found.runs.values() for folder in folders]
    runs = dict.fromkeys([*searches, *(folder for folders in proof.rivals.values() for folder in folders)])
    settings = ComparisonSettings("test", margin) if timed else ComparisonSettings("test", margin, ())
    return compare([Path(run) for run in runs], dataset, settings, on_step)


def list_unguided(origin: UNetSpec, seed: int) -> tuple[Strategy, ...]:
    """The searches that know nothing of the network: bisection along one shape, and a race of random shapes.

    Args:
        origin: The network to be slimmed.
        seed: Of the random shapes.
    """
    shapes = (flat(origin), uniform(origin), *random_shapes(origin, RANDOM - 2, seed))
    return (
        Strategy("blind bisection, flat", (flat(origin),)),
        Strategy("blind bisection, uniform", (uniform(origin),)),
        Strategy("unguided successive halving", shapes),
    )


def list_rivals(origin: UNetSpec, cost: float, seed: int) -> dict[str, UNetSpec]:
    """Networks of other shapes at a cost, by the name of the shape; those that cannot be so small are left out.

    Args:
        origin: The network that was slimmed.
        cost: Multiply-adds per pixel, at most.
        seed: Of the random shape.
    """
    shapes = (flat(origin), uniform(origin), *random_shapes(origin, 1, seed + 1), *paper_style(origin))
    members = {shape.name: shape.at(cost) for shape in shapes}
    found: dict[UNetSpec, str] = {}
    for name, spec in members.items():
        if spec is not None:
            found.setdefault(spec, name)
    return {name: spec for spec, name in found.items()}


def train_rivals(
    winner: UNetSpec, trials: Trials, settings: ShrinkSettings, watcher: Watcher
) -> dict[str, tuple[str, ...]]:
    """Train every rival with as many seeds as the winner.

    Returns:
        Run folders by the rival's name.
    """
    cost, first = multiply_adds_per_pixel(winner), trials.recipe.seed
    seeds = range(first, first + settings.seeds)
    rivals = {
        name: tuple(str(trials.run(Trial(spec, seed))) for seed in seeds)
        for name, spec in list_rivals(trials.origin_spec, cost, first).items()
        if spec != winner
    }
    if winner != trials.origin_spec:
        rivals["L1 pruning, fine-tuned"] = tuple(str(_prune(trials, seed, cost, watcher)) for seed in seeds)
    return rivals


def _prune(trials: Trials, seed: int, cost: float, watcher: Watcher) -> Path:
    """The origin of a seed pruned by L1 and fine-tuned for as many steps."""
    checkpoint = Checkpoint.load(trials.run(Trial(trials.origin_spec, seed)))
    out = trials.folder / f"{PRUNED}-{cost:.0f}-seed{seed}"
    if not (out / DONE).exists():
        plan = prune_by_magnitude(checkpoint, cost)
        watcher.tell(f"fine-tuning what L1 pruning leaves of seed {seed}")
        recipe = trials.recipe_of(Trial(plan.spec, seed))
        slim(checkpoint, plan, trials.dataset, out, "slice", recipe, "drifting", on_step=watcher.on_step)
        (out / DONE).touch()
    return out


def _measure_bits(out: Path, found: Shrinking, dataset: Dataset, settings: ShrinkSettings) -> dict[str, Interval]:
    """Usable bits of the last map before and after."""
    both = {"before": ("origin", PROFILE), "after": ("good", f"winner-{PROFILE}")}
    bits = {}
    for when, (name, file) in both.items():
        checkpoint = Checkpoint.load(Path(found.runs[name][0]))
        bits[when] = last_map(keep_profile(out / file, checkpoint, dataset, settings.effort)).linear.interval
    return bits


def _file_of(strategy: Strategy) -> str:
    """Where a search keeps how far it is; the guided one's is that of `shrink`."""
    if strategy.name == "guided":
        return RACE
    return f"race-{strategy.name.replace(', ', '-').replace(' ', '-')}.json"


def _say_bits(bits: Interval) -> str:
    return f"{bits.value:.3f} ({bits.low:.3f} to {bits.high:.3f}) per pixel"
