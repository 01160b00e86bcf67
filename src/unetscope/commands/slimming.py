"""Smaller networks: `propose`, `slim`, `shrink` and `prove`."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from unetscope import console
from unetscope.files import check_writable
from unetscope.options import Folders, FoldersOptions, Limits, LimitsOptions
from unetscope.wording import format_count, format_number, format_seconds

if TYPE_CHECKING:
    from unetscope.data.dataset import Dataset
    from unetscope.information.profiling import Effort
    from unetscope.slimming.comparison import Comparison
    from unetscope.slimming.jury import Finding
    from unetscope.slimming.rules import Rule
    from unetscope.slimming.shrinking import Shrinking, ShrinkSettings, Watcher
    from unetscope.slimming.slim import How
    from unetscope.slimming.targets import Meter
    from unetscope.slimming.trials import Trial
    from unetscope.training.progress import Progress


def propose(
    run: Path,
    profile: Path,
    /,
    *,
    out: Path,
    bold: bool = False,
    rule: Path | None = None,
    json: bool = False,
    limits: LimitsOptions = Limits(),
) -> None:
    """Propose a smaller network: which levels, skips and channels can go, and why.

    The plan is a file to read and to edit: `depth`, `skips` and `widths` decide, the rest says why. `slim` carries it
    out.

    Args:
        run: Run folder of the network.
        profile: What `profile` wrote of it.
        out: JSON file for the plan.
        bold: Take decisions too that only follow a ranking: to try them, not to trust them.
        rule: File of a frozen rule; the latest that comes with the program if not given.
        json: Print the plan as JSON on standard output.
        limits: What the smaller network must keep to.
    """
    from unetscope.checkpoint import Checkpoint
    from unetscope.information.profile import Profile
    from unetscope.slimming.plan_text import tabulate_decisions
    from unetscope.slimming.proposal import propose as decide

    check_writable(out)
    target = limits.target()
    plan = decide(Checkpoint.load(run), Profile.load(profile), target, _read_rule(rule), _calibrate(limits), bold)
    plan.save(out)
    console.show((tabulate_decisions(plan), *plan.summary))
    console.say(f"plan: {out}; carry it out with `unetscope slim {run} {out} DATASET --out RUN`")
    if json:
        console.print_json(plan.to_json())


def slim(
    run: Path,
    plan: Path,
    dataset: Path,
    /,
    *,
    out: Path,
    how: Literal["slice", "scratch", "distill"] = "slice",
    epochs: int | None = None,
    seed: int | None = None,
    resume: bool = False,
    allow_drift: bool = False,
    json: bool = False,
    folders: FoldersOptions = Folders(),
) -> None:
    """Make the smaller network of a plan and train it, for as many steps as the original unless told otherwise.

    Args:
        run: Run folder of the original.
        plan: What `propose` wrote of it, edited or not.
        dataset: The images that it was trained on; all keep their roles.
        out: Run folder to write.
        how: "slice" begins with the weights that are left, "scratch" as born, and "distill" with the weights that are
            left, learning from the original beside the labels.
        epochs: How long to train; as long as the original if not given.
        seed: Start of all randomness; as of the original if not given.
        resume: Go on with the run in this folder.
        allow_drift: Go on with other versions, devices or threads too; the weights will differ slightly.
        json: Print the result as JSON on standard output.
        folders: Where the dataset keeps its files.
    """
    from unetscope.checkpoint import Checkpoint
    from unetscope.slimming.plan import SlimPlan
    from unetscope.slimming.slim import repeat_recipe
    from unetscope.slimming.slim import slim as carry_out
    from unetscope.training.recipe import Recipe

    check_writable(out / "checkpoint.json")
    checkpoint, read = Checkpoint.load(run), SlimPlan.load(plan)
    read.check_fits(checkpoint)
    changes = {name: value for name, value in (("epochs", epochs), ("seed", seed)) if value is not None}
    recipe = Recipe.from_json({**repeat_recipe(checkpoint).to_json(), **changes}) if changes else None
    opened = folders.open(dataset)
    with console.show_progress("training") as bar:
        shown = console.TrainingBar(bar).update
        kept = "never" if not resume else "drifting" if allow_drift else "exactly"
        made = carry_out(
            checkpoint, read, opened, out, how, recipe, kept,  # type: ignore[arg-type]
            on_step=shown, on_epoch=lambda epoch, _: console.show_epoch(epoch),
        )  # fmt: skip
    best = made.provenance["validation"]
    console.say(
        f"best epoch {best['epoch']}, validation Dice {format_number(best['dice'], 4)}; compare both with "
        f"`unetscope compare {run} {out} {dataset}`"
    )
    if json:
        console.print_json({"run": str(out), "epoch": best["epoch"], "dice": best["dice"], "how": how})


def shrink(
    run: Path,
    dataset: Path,
    /,
    *,
    out: Path,
    seeds: int = 3,
    final_seeds: int = 5,
    how: Literal["slice", "scratch", "distill"] = "slice",
    rule: Path | None = None,
    thorough: bool = False,
    untimed: Annotated[bool, Parameter("--no-time")] = False,
    json: bool = False,
    folders: FoldersOptions = Folders(),
    limits: LimitsOptions = Limits(),
) -> None:
    """Find the smallest network that segments as well as a trained one, and the next smaller one that does not.

    Profiles the network, trains smaller ones guided by what it finds, and stops when the boundary is enclosed. Stop it
    at any time; the same call goes on where it was.

    Args:
        run: Run folder of the network.
        dataset: The images that it was trained on.
        out: Folder for the profile, the plan, all trainings, tables, pictures and the winner.
        seeds: Trainings of each network at the most, and of the original; at least 2.
        final_seeds: Trainings of the original and of both ends of the boundary, once they are found;
            `seeds` if that is more.
        how: What smaller networks begin from, as of `slim`: "slice" goes on from what the original learned, beside
            which the original is trained on too; "scratch" compares designs, trained alike.
        rule: File of a frozen rule; the latest that comes with the program if not given.
        thorough: Profile with single channels and the larger family of readers.
        untimed: Do not time the networks at the end.
        json: Print the result as JSON on standard output.
        folders: Where the dataset keeps its files.
        limits: What the smaller network must keep to.
    """
    from unetscope.slimming.shrinking import shrink as search

    check_writable(out / "race.json")
    settings = _read_settings(limits, (seeds, final_seeds, how), rule, "default" if thorough else "brief")
    opened = folders.open(dataset)
    with console.show_progress("training") as bar:
        found = search(run, opened, out, settings, _RaceBar(bar).watch())
    for sentence in found.sentences:
        console.say(sentence)
    compared = _conclude(found, opened, out, settings.target.max_dice_loss, not untimed)
    if json:
        console.print_json({"folder": str(out), **found.to_json(), "comparison": compared.to_json()})


def _conclude(found: Shrinking, dataset: Dataset, out: Path, margin: float, timed: bool) -> Comparison:
    """Look at the test images, once: the table, the pictures, and the winner for other programs."""
    from unetscope.checkpoint import Checkpoint
    from unetscope.exports import export
    from unetscope.slimming.shrinking import compare_ends

    with console.show_progress("comparing") as bar:
        compared = compare_ends(found, dataset, margin, timed, bar.update)
    _save_comparison(compared, out / "comparison")
    winner = Path(found.runs["good"][0])
    export(Checkpoint.load(winner), out / "winner")
    console.say(f"the winner's first run is {winner}; for other programs it is in {out / 'winner'}")
    return compared


def _save_comparison(compared: Comparison, folder: Path) -> None:
    """The table for people and for programs, and its pictures."""
    from unetscope.commands.comparing import COMPARISON
    from unetscope.reporting.pareto import save_paretos
    from unetscope.slimming.comparison_text import lay_out

    console.show(lay_out(compared))
    compared.save(folder / COMPARISON)
    for path in (folder / COMPARISON, *save_paretos(compared, folder)):
        console.say(f"written: {path}")


class _RaceBar:
    """Tells how a race goes on: what is trained, what came out, about how many trainings are left.

    Args:
        bar: Where steps are shown.
    """

    def __init__(self, bar: console.Bar) -> None:
        self._bar, self._note = bar, ""
        self._began, self._judged = monotonic(), 0

    def watch(self) -> Watcher:
        """What the race tells."""
        from unetscope.slimming.shrinking import Watcher

        return Watcher(console.say, self._begin, self._step, self._show, self._count)

    def _begin(self, trial: Trial) -> None:
        part = "" if trial.share == 1 else f", {trial.share:.0%} of the steps"
        self._note = f"{'-'.join(map(str, trial.spec.level_widths))}, seed {trial.seed}{part}"
        console.say(f"  training {self._note}")
        self._bar.restart()

    def _step(self, now: Progress) -> None:
        self._bar.update(now.step, now.steps, self._note)

    def _show(self, finding: Finding) -> None:
        self._judged += 1
        said = finding.difference
        console.say(
            f"  {'-'.join(map(str, finding.spec.level_widths))}, {finding.multiply_adds:,.0f} multiply-adds per pixel: "
            f"{finding.word}, validation Dice {said.value:+.3f} ({said.low:+.3f} to {said.high:+.3f})"
        )

    def _count(self, left: int) -> None:
        seconds = (monotonic() - self._began) / self._judged * left if self._judged else 0
        time = f", about {format_seconds(seconds)}" if self._judged else ""
        console.say(f"about {format_count(left, 'network')} left to judge{time}")


def _read_rule(path: Path | None) -> Rule | None:
    from unetscope.slimming.rules import Rule

    return None if path is None else Rule.load(path)


def _read_settings(
    limits: Limits, training: tuple[int, int, How], rule: Path | None, effort: Effort = "brief"
) -> ShrinkSettings:
    """How to search, from the words of a command."""
    from unetscope.slimming.shrinking import ShrinkSettings

    return ShrinkSettings(limits.target(), *training, _read_rule(rule), effort, meter=_calibrate(limits))


def _calibrate(limits: Limits) -> Meter:
    """What networks cost here; milliseconds and memory only where a limit asks for them."""
    from unetscope.slimming.targets import Meter

    if limits.max_milliseconds is None and limits.max_memory is None:
        return Meter()
    from unetscope.timing.calibration import calibrate

    with console.show_progress(f"calibrating {limits.engine}") as bar:
        return Meter(calibrate(limits.engine, limits.precision, on_probe=bar.update))


def prove(
    run: Path,
    dataset: Path,
    /,
    *,
    out: Path,
    seeds: int = 3,
    final_seeds: int = 5,
    how: Literal["slice", "scratch", "distill"] = "slice",
    rule: Path | None = None,
    untimed: Annotated[bool, Parameter("--no-time")] = False,
    json: bool = False,
    folders: FoldersOptions = Folders(),
    limits: LimitsOptions = Limits(),
) -> None:
    """Do what `shrink` does, then the same without guidance, and train rivals as cheap as the winner.

    Says what each way had to train until the boundary was enclosed, and who wins at equal multiply-adds: flat,
    uniformly narrowed, random, L1-pruned and fine-tuned networks, and those with fewer levels, channels or skips. Stop
    it at any time; the same call goes on where it was, and where a `shrink` in this folder was.

    Args:
        run: Run folder of the network.
        dataset: The images that it was trained on.
        out: Folder for everything.
        seeds: Trainings of each network at the most, and of the original; at least 2.
        final_seeds: Trainings of the original and of both ends of the boundary, once they are found;
            `seeds` if that is more.
        how: What smaller networks begin from, as of `slim`: "slice" goes on from what the original learned, beside
            which the original is trained on too; "scratch" compares designs, trained alike.
        rule: File of a frozen rule; the latest that comes with the program if not given.
        untimed: Do not time the networks at the end.
        json: Print the result as JSON on standard output.
        folders: Where the dataset keeps its files.
        limits: What the smaller network must keep to.
    """
    from unetscope.slimming.evidence import compare_all
    from unetscope.slimming.evidence import prove as gather

    check_writable(out / "race.json")
    settings = _read_settings(limits, (seeds, final_seeds, how), rule)
    opened = folders.open(dataset)
    with console.show_progress("training") as bar:
        proof = gather(run, opened, out, settings, _RaceBar(bar).watch())
    for sentence in proof.sentences:
        console.say(sentence)
    with console.show_progress("comparing") as bar:
        compared = compare_all(proof, opened, settings.target.max_dice_loss, not untimed, bar.update)
    _save_comparison(compared, out / "proof")
    if json:
        console.print_json({"folder": str(out), **proof.to_json(), "comparison": compared.to_json()})
