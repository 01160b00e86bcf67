"""How small a network may be on real sets: searches with and without guidance, and rivals at the winner's cost.

    python benchmarks/shrink.py nuclei --data ../shared/data --work runs/shrink [--rivals] [--seeds 3] [--json FILE]

Trains the original if it is not there, then does what `unetscope shrink` does, with --rivals what `unetscope prove`
does, and prints the tables. Everything is kept in --work, and a second call goes on where the first was stopped.

nuclei: `lee2021` at 128x128 by the published recipe, 50 epochs. isbi2012: the default network, 12 epochs of 25 steps,
on 24 slices (every fifth is tested). ronneberger2015: the network of 2015 (31 million parameters) on the same slices, 4
epochs of 40 steps of one patch. hippocampus: 16-32-64 in 3D, 8 epochs of 50 steps. vnc_em: the default network, five
classes, 12 epochs of 25 steps.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from dsb2018 import PUBLISHED
from isbi2012 import DEFAULT, PATCH, divide
from measuring import format_table
from population import VOLUMES, open_set
from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.files import write_json
from unetscope.information.profile import Profile
from unetscope.model.spec import UNetSpec
from unetscope.reporting.pareto import save_paretos
from unetscope.slimming.comparison import Comparison
from unetscope.slimming.evidence import Proof, compare_all, prove
from unetscope.slimming.jury import Finding
from unetscope.slimming.plan import SlimPlan
from unetscope.slimming.proposal import propose
from unetscope.slimming.race import Heat, Strategy, find_boundary
from unetscope.slimming.rules import Rule
from unetscope.slimming.shapes import Shape, flat, multiply_adds_per_pixel, uniform
from unetscope.slimming.shrinking import (
    PROFILE,
    TRIALS,
    Shrinking,
    ShrinkSettings,
    Watcher,
    compare_ends,
    plan_run,
    shrink,
)
from unetscope.slimming.slim import How
from unetscope.slimming.trials import Trial, Trials
from unetscope.training.loop import train
from unetscope.training.recipe import Recipe


@dataclass(frozen=True)
class Case:
    """An original: the images, its form, and how it is trained.

    Attributes:
        open: From the folder of all sets and the folder of this benchmark to the images.
        preset: Of the network.
        changes: To the preset.
        recipe: Of all trainings.
    """

    open: Callable[[Path, Path], Dataset]
    preset: str
    changes: Mapping[str, object]
    recipe: Recipe

    def describe(self, dataset: Dataset) -> UNetSpec:
        """The network for the images of the set."""
        if self.preset == "lee2021":
            return UNetSpec.preset("lee2021")
        images = {"ndim": dataset.ndim, "image_channels": dataset.channels, "classes": len(dataset.classes)}
        return UNetSpec.preset(self.preset, **{**images, **self.changes})


CASES = {
    "nuclei": Case(lambda data, work: open_set("nuclei", data, work), "lee2021", {}, PUBLISHED),
    "isbi2012": Case(
        lambda data, _: divide(Dataset.open(data / "isbi2012"), 0), "default", {}, replace(DEFAULT, validation=0.4)
    ),
    "ronneberger2015": Case(
        lambda data, _: divide(Dataset.open(data / "isbi2012"), 0), "ronneberger2015", {},
        replace(DEFAULT, epochs=4, epoch_steps=40, batch=1, patch=PATCH, validation=0.4),
    ),
    "hippocampus": Case(
        lambda data, _: Dataset.open(data / "hippocampus"), "default", {"widths": (16, 32, 64)},
        replace(VOLUMES, epochs=8),
    ),
    "vnc_em": Case(
        lambda data, _: Dataset.open(data / "vnc_em"), "default", {},
        Recipe(epochs=12, epoch_steps=25, patch=192, validation=0.3),
    ),
}  # fmt: skip


RANKED = "depth by ablation, widths by rank"
RULES = {
    RANKED: {"depth_by": "ablation", "widths_by": "rank"},
    "depth by ablation, widths kept": {"depth_by": "ablation", "widths_by": "keep"},
    "depth by bits, widths kept": {"depth_by": "bits", "widths_by": "keep"},
    "depth by either, widths kept": {"depth_by": "either", "widths_by": "keep"},
}
WRITTEN = "2026-11-21"
SHARES = (None, 0.1211)
"""Of the original's multiply-adds, at which shapes are tried beside each other; as they are proposed if None."""


def main() -> None:
    """Search what is not searched yet, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=list(CASES))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("runs/shrink"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--final-seeds", type=int, default=5, help="of the original and of both ends of the boundary")
    parser.add_argument("--how", choices=get_args(How), default="scratch", help="what smaller networks begin from")
    parser.add_argument("--rule", type=Path, help="file of a frozen rule; the latest of the package if not given")
    parser.add_argument("--rules", action="store_true", help="only try rules and shapes, on validation images alone")
    parser.add_argument("--scout", type=float, help="only ask where trainings of this share would put the boundary")
    parser.add_argument("--rivals", action="store_true", help="search without guidance too, and train rivals")
    parser.add_argument("--no-time", action="store_true", help="time nothing; for a machine that does other work")
    parser.add_argument("--threads", type=int, help="threads to compute with; all cores if not given")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    case = CASES[arguments.case]
    dataset = case.open(arguments.data, arguments.work)
    run, out = arguments.work / f"{arguments.case}-origin", arguments.work / name_search(arguments)
    if not (run / "done").exists():
        train(dataset, run, case.describe(dataset), case.recipe, resume="drifting")
        (run / "done").touch()
    rule = Rule.load(arguments.rule) if arguments.rule else None
    settings = ShrinkSettings(seeds=arguments.seeds, final_seeds=arguments.final_seeds, how=arguments.how, rule=rule)
    if arguments.scout:
        print_scouts(Trials(out / TRIALS, dataset, run, how=arguments.how), arguments.scout)
        return
    if arguments.rules:
        print_rules(Trials(out / TRIALS, dataset, run), plan_run(run, dataset, out, settings, make_watcher()), out)
        return
    search = prove if arguments.rivals else shrink
    found = search(run, dataset, out, settings, make_watcher())
    compared = compare_found(found, dataset, not arguments.no_time)
    print_found(found)
    print_comparison(compared)
    for path in save_paretos(compared, out):
        print(f"picture: {path}")
    if arguments.json:
        write_json(arguments.json, {"found": found.to_json(), "comparison": compared.to_json()})


def name_search(arguments: argparse.Namespace) -> str:
    """The folder of a search: of the images, of what smaller networks begin from, and of the rule."""
    parts = (arguments.case, *((arguments.how,) if arguments.how != "scratch" else ()))
    return "-".join((*parts, *((arguments.rule.stem,) if arguments.rule else ())))


def print_scouts(trials: Trials, share: float) -> None:
    """Where blind bisection would end if trainings of one seed and a share of the steps were whole ones."""
    origin, seed = trials.origin_spec, trials.recipe.seed

    def score(spec: UNetSpec) -> float:
        again = trials.how != "scratch" and spec == origin
        return float(np.nanmean(trials.dice(Trial(spec, seed, share, again))))

    def judge(entrants: tuple[UNetSpec, ...]) -> Heat:
        lost = score(origin) - score(entrants[0])
        rows.append(("-".join(map(str, entrants[0].level_widths)), multiply_adds_per_pixel(entrants[0]), -lost))
        return Heat(entrants[0], lost < ShrinkSettings().target.max_dice_loss)

    for shape in (flat(origin), uniform(origin)):
        rows = list[tuple[str, float, float]]()
        found = find_boundary(Strategy(shape.name, (shape,)), origin, judge)
        print(f"\n{shape.name}, {share:.0%} of the steps: {multiply_adds_per_pixel(found.good):,.0f} would be enough\n")
        table = [(widths, f"{cost:,.0f}", f"{change:+.4f}") for widths, cost, change in rows]
        print(format_table(("widths", "multiply-adds per pixel", "validation Dice"), table))


def list_forms(checkpoint: Checkpoint, profile: Profile) -> dict[str, Shape]:
    """What rules would begin from, and what knows nothing, by name."""
    origin = checkpoint.spec
    rules = {name: Rule(name, WRITTEN, **said) for name, said in RULES.items()}  # type: ignore[arg-type]
    plans = {name: propose(checkpoint, profile, rule=rule, bold=True) for name, rule in rules.items()}
    ranked = {each.subject: each.after for each in plans[RANKED].decisions if each.subject in origin.widths}
    known = {name: Shape(name, plan.spec) for name, plan in plans.items()}
    return known | {
        "widths by rank, depth kept": Shape("ranks", origin.with_widths(ranked)),
        "flat, depth by ablation": flat(origin, plans[RANKED].spec.depth),
        "flat, depth kept": flat(origin),
        "uniform": uniform(origin),
    }


def print_rules(trials: Trials, plan: SlimPlan, out: Path) -> None:
    """Validation Dice of what every rule proposes, as it is and at equal multiply-adds, one seed."""
    checkpoint, profile = Checkpoint.load(trials.origin), Profile.load(out / PROFILE)
    seed, whole = trials.recipe.seed, multiply_adds_per_pixel(plan.origin)
    seeds = range(seed, seed + ShrinkSettings().seeds)
    rows = [describe_trial(trials, f"the original, seed {each}", Trial(plan.origin, each)) for each in seeds]
    for share in SHARES:
        for name, shape in list_forms(checkpoint, profile).items():
            spec = shape.spec if share is None else shape.at(share * whole)
            if spec is not None and (share is not None or name in RULES):
                rows.append(describe_trial(trials, name, Trial(spec, seed)))
    titles = ("rule or shape", "widths", "multiply-adds per pixel", "validation Dice")
    print(format_table(titles, list(dict.fromkeys(rows))))


def describe_trial(trials: Trials, name: str, trial: Trial) -> tuple[str, str, str, str]:
    """One line, trained where it was not yet."""
    dice, cost = float(np.nanmean(trials.dice(trial))), multiply_adds_per_pixel(trial.spec)
    print(f"  {name}: {trial.name} {dice:.4f}", flush=True)
    return name, "-".join(map(str, trial.spec.level_widths)), f"{cost:,.0f}", f"{dice:.4f}"


def make_watcher() -> Watcher:
    """Somebody who prints what begins and what came out."""

    def begin(trial: Trial) -> None:
        print(f"  training {trial.name}, {trial.share:.0%} of the steps", flush=True)

    def finding(found: Finding) -> None:
        print(f"  {found.spec.level_widths}: {found.word}, {found.difference.value:+.4f}", flush=True)

    return Watcher(lambda text: print(text, flush=True), begin, None, finding)


def compare_found(found: Shrinking | Proof, dataset: Dataset, timed: bool) -> Comparison:
    """The table of the test images."""
    margin = ShrinkSettings().target.max_dice_loss
    if isinstance(found, Proof):
        return compare_all(found, dataset, margin, timed)
    return compare_ends(found, dataset, margin, timed)


def print_found(found: Shrinking | Proof) -> None:
    """What was found, in words, and every verdict on the way."""
    for sentence in found.sentences:
        print(f"- {sentence}")
    for search in found.searches if isinstance(found, Proof) else (found,):
        print(f"\n{search.strategy}\n")
        rows = [
            ("-".join(map(str, each.spec.level_widths)), f"{each.multiply_adds:,.0f}", each.difference.seeds[1],
             f"{each.difference.value:+.4f} ({each.difference.low:+.4f} to {each.difference.high:+.4f})", each.word)
            for each in search.findings
        ]  # fmt: skip
        print(format_table(("widths", "multiply-adds per pixel", "seeds", "validation Dice", "word"), rows))


def print_comparison(compared: Comparison) -> None:
    """Every network on the test images."""
    first = compared.rows[0]
    words = ("", *compared.words)
    differences = ("", *(f"{one.value:+.4f} ({one.low:+.4f} to {one.high:+.4f})" for one in compared.differences))
    rows = [
        (row.name, row.multiply_adds_per_pixel.__format__(",.0f"), f"{row.parameters:,}", len(row.trainings),
         f"{mean.value:.4f}", difference, word, *(f"{timing.speedup[0]:.2f}" for timing in row.timings))
        for row, mean, difference, word in zip(compared.rows, compared.means, differences, words, strict=True)
    ]  # fmt: skip
    ways = (f"times as fast, {' '.join(timing.way)}" for timing in first.timings)
    print(f"\n{len(compared.images)} test images; a difference below {compared.detectable:.4f} cannot be told\n")
    titles = ("network", "multiply-adds per pixel", "parameters", "seeds", "test Dice", "difference", "word", *ways)
    print(format_table(titles, rows))
    if compared.chance is not None:
        chance = compared.chance
        print(f"\nthe original against its own other seeds: {chance.low:+.4f} to {chance.high:+.4f}")


if __name__ == "__main__":
    main()
