"""From a trained network to the smallest one that segments as well: profile, plan, race; knows folders, prints nothing.

Everything is kept in one folder and taken up again from there: the profile, the plan, every training, and `race.json`,
which says at any moment how far the race is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from pathlib import Path
from typing import Any, Self, get_args

from unetscope.checkpoint import Checkpoint, record_versions
from unetscope.data.dataset import Dataset
from unetscope.errors import SlimError
from unetscope.files import write_json
from unetscope.information.profile import Profile
from unetscope.information.profiling import Effort, ProfileSettings, profile
from unetscope.model.spec import UNetSpec
from unetscope.slimming.comparison import Comparison, ComparisonSettings, OnStep, compare
from unetscope.slimming.jury import Finding, Jury, JurySettings
from unetscope.slimming.plan import SlimPlan
from unetscope.slimming.proposal import propose
from unetscope.slimming.race import Boundary, OnHeat, Strategy, find_boundary
from unetscope.slimming.rules import Rule, latest_rule
from unetscope.slimming.shapes import Shape, flat, multiply_adds_per_pixel
from unetscope.slimming.shrinking_text import say_detectable, say_search
from unetscope.slimming.slim import How
from unetscope.slimming.targets import Meter, Target, largest_within
from unetscope.slimming.trials import Trial, Trials
from unetscope.training.progress import OnStep as OnTrainingStep

PROFILE, PLAN, RACE, TRIALS = "profile.json", "plan.json", "race.json", "trials"

OnText = Callable[[str], None]


@dataclass(frozen=True)
class ShrinkSettings:
    """How to look for the smallest network.

    Attributes:
        target: What it must keep to; its `max_dice_loss` is the margin within which a network is as good.
        seeds: Trainings of each network at the most, and of the origin.
        final_seeds: Trainings of the origin and of both ends of the boundary, once they are
            found; `seeds` if that is more.
        how: What trainings begin from, as of `slim`.
        rule: How the profile becomes a plan; the latest frozen rule if None.
        effort: Of the profile.
        shares: Shares of a whole training in which shapes run against each other.
        meter: What networks cost; it must know what the target limits.
    """

    target: Target = field(default_factory=Target)
    seeds: int = 3
    final_seeds: int = 5
    how: How = "slice"
    rule: Rule | None = None
    effort: Effort = "brief"
    shares: tuple[float, ...] = (0.25, 0.5)
    meter: Meter = field(default_factory=Meter)

    def __post_init__(self) -> None:
        if self.seeds < 2:
            raise SlimError(
                f"seeds is {self.seeds}; use at least 2, since one training does not tell a network from its luck"
            )


@dataclass(frozen=True)
class Watcher:
    """Whom a search tells how it goes on.

    Attributes:
        on_text: Told what begins.
        on_trial: Told of every training before it begins.
        on_step: As of `train`.
        on_finding: Told every verdict.
        on_heat: Told before every heat about how many are still to come.
    """

    on_text: OnText | None = None
    on_trial: Callable[[Trial], None] | None = None
    on_step: OnTrainingStep | None = None
    on_finding: Callable[[Finding], None] | None = None
    on_heat: OnHeat | None = None

    def tell(self, text: str) -> None:
        """Say what begins."""
        if self.on_text:
            self.on_text(text)


@dataclass(frozen=True)
class Shrinking:
    """What a search found.

    Attributes:
        strategy: How it searched.
        origin: The network that was to be slimmed.
        good: The smallest network found to be as good; the origin itself where none is.
        failing: The next smaller one that is not; None where even the smallest is as good.
        findings: Every verdict, in order.
        trainings: Networks trained for it (long and short), without those of the origin.
        steps: Their optimizer steps.
        detectable: The smallest difference in Dice that these images and seeds tell; infinite where they tell none.
        runs: Run folders of the origin, of the good and of the failing network, and of the control ("again").
        confirmed: What all seeds of the end say of the good and of the failing network, if they were trained.
        control: The origin trained on from its own weights for as many steps, where the others began with slices.
    """

    strategy: str
    origin: UNetSpec = field(repr=False)
    good: UNetSpec
    failing: UNetSpec | None
    findings: tuple[Finding, ...] = field(repr=False)
    trainings: int
    steps: int
    detectable: float
    runs: Mapping[str, tuple[str, ...]] = field(repr=False)
    confirmed: tuple[Finding, ...] = field(default=(), repr=False)
    control: Finding | None = field(default=None, repr=False)

    @property
    def factor(self) -> float | None:
        """Cost of the good network over that of the failing one; None where none fails."""
        if self.failing is None:
            return None
        return multiply_adds_per_pixel(self.good) / multiply_adds_per_pixel(self.failing)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was found, in words."""
        return tuple(say_search(self))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "strategy": self.strategy,
            "sentences": list(self.sentences),
            "origin": self.origin.to_json(),
            "good": self.good.to_json(),
            "failing": self.failing.to_json() if self.failing else None,
            "trainings": self.trainings,
            "steps": self.steps,
            "detectable": self.detectable if isfinite(self.detectable) else None,
            "findings": [finding.to_json() for finding in self.findings],
            "runs": {name: list(folders) for name, folders in self.runs.items()},
            "confirmed": [finding.to_json() for finding in self.confirmed],
            "control": self.control.to_json() if self.control else None,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(
            strategy=content["strategy"],
            origin=UNetSpec.from_json(content["origin"]),
            good=UNetSpec.from_json(content["good"]),
            failing=UNetSpec.from_json(content["failing"]) if content["failing"] else None,
            findings=tuple(map(Finding.from_json, content["findings"])),
            trainings=content["trainings"],
            steps=content["steps"],
            detectable=inf if content["detectable"] is None else content["detectable"],
            runs={name: tuple(folders) for name, folders in content["runs"].items()},
            confirmed=tuple(map(Finding.from_json, content.get("confirmed", ()))),
            control=Finding.from_json(content["control"]) if content.get("control") else None,
        )


def shrink(
    run: Path,
    dataset: Dataset,
    out: Path,
    settings: ShrinkSettings = ShrinkSettings(),
    watcher: Watcher = Watcher(),
) -> Shrinking:
    """Find the smallest network that segments as well as a trained one, guided by its profile.

    A folder that holds a stopped search is gone on with; nothing is trained twice.

    Args:
        run: Run folder of the network.
        dataset: The images that it was trained on.
        out: Folder to write.
        settings: What to look for, and how.
        watcher: Whom to tell.

    Returns:
        The boundary: the smallest network found to be as good, and a smaller one that is not.

    Raises:
        SlimError: No network keeps to the target, or the run does not say how it was trained.
        DataError: The dataset is not the run's, or has too few images.
    """
    trials = Trials(out / TRIALS, dataset, run, watcher.on_trial, watcher.on_step, settings.how)
    plan = plan_run(run, dataset, out, settings, watcher)
    found = search(guided(plan), trials, out / RACE, settings, watcher)
    return confirm(found, trials, out / RACE, settings, watcher)


def plan_run(run: Path, dataset: Dataset, out: Path, settings: ShrinkSettings, watcher: Watcher) -> SlimPlan:
    """The profile and the plan of a run, kept in a folder, and taken from there the next time."""
    checkpoint, rule = Checkpoint.load(run), settings.rule or latest_rule()
    known = keep_profile(out / PROFILE, checkpoint, dataset, settings.effort, watcher)
    dice_loss = Target(max_dice_loss=settings.target.max_dice_loss)
    plan = propose(checkpoint, known, dice_loss, rule, bold=True)
    plan.save(out / PLAN)
    return plan


def keep_profile(
    path: Path, checkpoint: Checkpoint, dataset: Dataset, effort: Effort, watcher: Watcher = Watcher()
) -> Profile:
    """The profile in a file, if it is of these weights and took that much effort at least; else measured and kept."""
    if path.exists():
        known, efforts = Profile.load(path), get_args(Effort)
        enough = efforts.index(known.settings["effort"]) >= efforts.index(effort)
        if enough and known.provenance.get("weights") == checkpoint.digest():
            return known
    watcher.tell("profiling the network")
    measured = profile(checkpoint, dataset, ProfileSettings(effort=effort))
    measured.save(path)
    return measured


def guided(plan: SlimPlan) -> Strategy:
    """The strategy that a plan gives: its own form first, beside the flat one of its depth, from its own cost on."""
    shapes = [Shape("guided", plan.spec)]
    level = flat(plan.origin, plan.spec.depth)
    if level.scaled(1) != plan.spec:
        shapes.append(level)
    return Strategy("guided", tuple(shapes), multiply_adds_per_pixel(plan.spec))


def search(
    strategy: Strategy, trials: Trials, path: Path, settings: ShrinkSettings, watcher: Watcher = Watcher()
) -> Shrinking:
    """Search the boundary by any strategy.

    Args:
        strategy: Which networks run.
        trials: Where they are trained; shared by several strategies, none is trained twice.
        path: File that says at any moment how far the search is.
        settings: As of `shrink`.
        watcher: Whom to tell.

    Raises:
        SlimError: No network keeps to the target; nothing is trained then.
    """
    origin = trials.origin_spec
    limited, ceiling = _keep_to_target(strategy, origin, settings)

    def on_finding(finding: Finding) -> None:
        write_json(path, _describe_progress(strategy, jury))
        if watcher.on_finding:
            watcher.on_finding(finding)

    jury = Jury(trials, JurySettings(settings.target.max_dice_loss, settings.seeds, settings.shares), on_finding)
    write_json(path, _describe_progress(strategy, jury))
    watcher.tell(f"{say_detectable(jury.expect())}; training the origin with other seeds")
    _ = jury.reference
    watcher.tell(f"searching ({strategy.name})")
    found = find_boundary(limited, origin, jury.judge, ceiling, on_heat=watcher.on_heat)
    result = _conclude(strategy, found, jury)
    _save(result, trials, path)
    return result


def confirm(
    found: Shrinking, trials: Trials, path: Path, settings: ShrinkSettings, watcher: Watcher = Watcher()
) -> Shrinking:
    """Train the origin and both ends of the boundary with all seeds of the end, and judge the ends by them again.

    A search looks after every seed and stops at the first clear verdict, which is therefore a little too sure.

    Args:
        found: What a search found.
        trials: Where it trained.
        path: Its file.
        settings: As of the search.
        watcher: Whom to tell.
    """
    seeds = max(settings.seeds, settings.final_seeds)
    jury = Jury(trials, JurySettings(settings.target.max_dice_loss, seeds, settings.shares))
    ends = [spec for spec in (found.good, found.failing) if spec is not None and spec != found.origin]
    if ends:
        watcher.tell(f"training both ends of the boundary and the origin with {seeds} seeds")
    confirmed = tuple(map(jury.confirm, ends))
    control = jury.confirm(found.origin, again=True) if ends and trials.how != "scratch" else None
    runs = _list_runs(jury, found.good, found.failing)
    if control:
        again = (Trial(found.origin, seed, again=True) for seed in jury.seeds)
        runs["again"] = tuple(str(trials.run(trial)) for trial in again)
    result = replace(found, confirmed=confirmed, control=control, runs=runs)
    _save(result, trials, path)
    return result


def compare_ends(
    found: Shrinking, dataset: Dataset, margin: float, timed: bool = True, on_step: OnStep | None = None
) -> Comparison:
    """Compare the origin, the smallest good network and the failing one on the test images: look once, at the end.

    Args:
        found: What a search found.
        dataset: The images of the search.
        margin: Dice that may be lost.
        timed: Time the networks.
        on_step: As of `compare`.
    """
    runs = dict.fromkeys(Path(folder) for folders in found.runs.values() for folder in folders)
    settings = ComparisonSettings("test", margin) if timed else ComparisonSettings("test", margin, ())
    return compare(tuple(runs), dataset, settings, on_step)


def _keep_to_target(strategy: Strategy, origin: UNetSpec, settings: ShrinkSettings) -> tuple[Strategy, float]:
    """The shapes that can keep to the target, and the cost up to which all of them do; at most the origin's.

    Raises:
        SlimError: Not even the smallest network of any shape keeps to it.
    """
    most = multiply_adds_per_pixel(origin)
    ceilings, refusals = dict[Shape, float](), list[SlimError]()
    for shape in strategy.shapes:
        widest = Shape(shape.name, shape.at(most) or shape.scaled(0))
        try:
            largest = largest_within(widest.scaled, settings.target, settings.meter)
        except SlimError as error:
            refusals.append(error)
        else:
            ceilings[shape] = multiply_adds_per_pixel(largest)
    if not ceilings:
        raise refusals[0]
    return replace(strategy, shapes=tuple(ceilings)), min(most, *ceilings.values())


def _conclude(strategy: Strategy, found: Boundary, jury: Jury) -> Shrinking:
    """The result of a search."""
    return Shrinking(
        strategy=strategy.name,
        origin=jury.trials.origin_spec,
        good=found.good,
        failing=found.failing,
        findings=tuple(jury.findings.values()),
        trainings=len(jury.asked),
        steps=jury.steps,
        detectable=jury.detectable(),
        runs=_list_runs(jury, found.good, found.failing),
    )


def _list_runs(jury: Jury, good: UNetSpec, failing: UNetSpec | None) -> dict[str, tuple[str, ...]]:
    """Run folders of the origin and of both ends."""
    ends = {"origin": jury.trials.origin_spec, "good": good, "failing": failing}
    return {name: tuple(map(str, jury.runs(spec))) for name, spec in ends.items() if spec is not None}


def _save(found: Shrinking, trials: Trials, path: Path) -> None:
    write_json(path, {**found.to_json(), "provenance": _describe(trials)})


def _describe_progress(strategy: Strategy, jury: Jury) -> dict[str, Any]:
    """What is known in the middle of a search."""
    return {
        "strategy": strategy.name,
        "sentences": [f"{len(jury.findings)} networks judged so far; the search goes on"],
        "findings": [finding.to_json() for finding in jury.findings.values()],
    }


def _describe(trials: Trials) -> dict[str, Any]:
    """What a result file records besides the result."""
    return {
        "versions": record_versions(),
        "recipe": trials.recipe.to_json(),
        "how": trials.how,
        "split": {role: list(names) for role, names in Checkpoint.load(trials.origin).split.items()},
        "data": trials.dataset.digest(),
        "origin": str(trials.origin),
    }
