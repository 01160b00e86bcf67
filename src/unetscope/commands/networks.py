"""Networks: `train`, `evaluate` and `segment`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from unetscope import console
from unetscope.errors import CheckpointError, RecipeError
from unetscope.files import check_writable
from unetscope.options import (
    Folders,
    FoldersOptions,
    Network,
    NetworkOptions,
    Settings,
    Tiles,
    TilesOptions,
    TrainingOptions,
)
from unetscope.training.recipe import Recipe
from unetscope.wording import format_number

if TYPE_CHECKING:
    from unetscope.checkpoint import Checkpoint
    from unetscope.data.dataset import Dataset
    from unetscope.model.spec import UNetSpec
    from unetscope.training.loop import Resume
    from unetscope.training.progress import Epoch

PROFILES = "profiles"


def train(
    dataset: Path,
    /,
    *,
    out: Path,
    folds: int | None = None,
    resume: bool = False,
    allow_drift: bool = False,
    profile_every: int | None = None,
    json: bool = False,
    folders: FoldersOptions = Folders(),
    network: NetworkOptions = Network(),
    settings: TrainingOptions = Settings(),
) -> None:
    """Train a U-Net on a folder of annotated images.

    Stop it at any time; --resume goes on where it was, and ends with the same weights.

    Args:
        dataset: Folder with images and labels.
        out: Run folder to write.
        folds: Train so many networks, each on all but one share of the images, and score and segment every image by
            the network that never saw it.
        resume: Go on with the run in this folder.
        allow_drift: Go on with other versions, devices or threads too; the weights will differ slightly.
        profile_every: Profile the network briefly after every so many epochs, into the folder `profiles` of the run,
            which `report` shows.
        json: Print the result as JSON on standard output.
        folders: Where the dataset keeps its files.
        network: The network.
        settings: How to train.
    """
    from unetscope.data.inspection import inspect
    from unetscope.training.loop import train as run

    recipe = settings.recipe(network.preset)
    if profile_every is not None and (profile_every < 1 or folds is not None):
        raise RecipeError(
            f"--profile-every {profile_every} came{' with --folds' if folds else ''}; give a whole number of at least "
            "1, and no folds, whose networks are profiled together when they are done"
        )
    check_writable(out / "checkpoint.json")
    opened = folders.open(dataset)
    images = (opened.ndim, opened.channels, len(opened.classes))
    spec = None if resume and network == Network() else network.spec_for(*images)
    if resume:
        for run_folder in [out] if folds is None else sorted(out.glob("fold-*")):
            refuse_changes(run_folder, settings)
    with console.show_progress("reading", len(opened.items)) as bar:
        found = inspect(opened, bar.update)
    for line in found.contents():
        console.say(line)
    found.check_trainable()
    for warning in found.warnings:
        console.warn(warning.sentence)
    how: Resume = "never" if not resume else "drifting" if allow_drift else "exactly"
    if folds is not None:
        _train_folds(opened, out, folds, spec, recipe, how, json)
        return
    with console.show_progress("training") as bar:
        watch = _EpochProfiles(opened, out, profile_every)
        checkpoint = run(opened, out, spec, recipe, how, console.TrainingBar(bar).update, watch)
    best = checkpoint.provenance["validation"]
    console.say(f"best epoch {best['epoch']}, validation Dice {format_number(best['dice'], 4)}; run folder {out}")
    if json:
        console.print_json({"run": str(out), "epoch": best["epoch"], "dice": best["dice"]})


class _EpochProfiles:
    """What happens after an epoch: it is shown, and every so often the network is profiled."""

    def __init__(self, dataset: Dataset, out: Path, every: int | None) -> None:
        self.dataset, self.out, self.every = dataset, out, every

    def __call__(self, epoch: Epoch, checkpoint: Checkpoint) -> None:
        """Show and perhaps profile."""
        console.show_epoch(epoch)
        if self.every is None or epoch.epoch % self.every:
            return
        from unetscope.information.profiling import ProfileSettings, profile

        path = self.out / PROFILES / f"profile-{epoch.epoch:05d}.json"
        profile(checkpoint, self.dataset, ProfileSettings(effort="brief")).save(path)
        console.say(f"profile: {path}")


def _train_folds(
    dataset: Dataset, out: Path, folds: int, spec: UNetSpec | None, recipe: Recipe, resume: Resume, json: bool
) -> None:
    """Train fold by fold and show the scores of all images."""
    from unetscope.training.folds import FOLDS, PREDICTIONS, Watcher, train_folds

    with console.show_progress("training") as bar:
        training = console.TrainingBar(bar)
        watcher = Watcher(
            lambda fold, count: console.head(f"Fold {fold + 1} of {count}"),
            training.update,
            lambda epoch, _: console.show_epoch(epoch),
        )
        scores = train_folds(dataset, out, folds, spec, recipe, resume, watcher)
    console.head("All images, each by the network that never saw it")
    console.show_scores(scores)
    console.say(f"scores: {out / FOLDS}; label images: {out / PREDICTIONS}")
    if json:
        console.print_json({"folds": folds, "run": str(out), **scores.to_json()})


def refuse_changes(run: Path, settings: Settings) -> None:
    """Refuse to resume a run with other settings than it was begun with.

    Raises:
        CheckpointError: A setting differs, or the run is damaged.
    """
    from unetscope.training.state import load_state

    state = load_state(run)
    if state is None:
        return
    kept = Recipe.from_json(state.facts["recipe"])
    for name, value in settings.given.items():
        if value != getattr(kept, name):
            option = f"--{name.replace('_', '-')}"
            raise CheckpointError(
                f"{run} was begun with {option} {getattr(kept, name)}, and {value} came; leave {option} out to go "
                "on, or train anew into another folder"
            )


def evaluate(
    run: Path,
    dataset: Path,
    /,
    *,
    part: Literal["test", "validation", "all"] = "test",
    tolerance: float | None = None,
    json: bool = False,
    tiles: TilesOptions = Tiles(),
    folders: FoldersOptions = Folders(),
) -> None:
    """Score a run on annotated images.

    Args:
        run: Run folder that `train` wrote.
        dataset: Folder with images and labels.
        part: Images that training has not seen, those it chose the best epoch by, or all.
        tolerance: Score surfaces too (HD95, and the share of the surface that is right within this distance), in the
            unit of the images' spacing, or in pixels.
        json: Print the result as JSON on standard output.
        tiles: How images are cut and computed.
        folders: Where the dataset keeps its files.
    """
    from unetscope.checkpoint import Checkpoint
    from unetscope.evaluation import Measures, describe_use
    from unetscope.evaluation import evaluate as score

    tiling, measures = tiles.tiling(), Measures(tolerance=tolerance)
    checkpoint = Checkpoint.load(run)
    opened = folders.open(dataset)
    with console.show_progress("evaluating") as bar:
        scores = score(checkpoint, opened, part, tiling, bar.update, measures)
    if json:
        console.print_json({**scores.to_json(), "provenance": describe_use(checkpoint, opened, part, measures)})
    else:
        console.show_scores(scores)


def segment(
    run: Path,
    /,
    *images: Annotated[Path, Parameter(required=True, help="Image files, or folders of them.")],
    out: Path,
    probabilities: bool = False,
    table: bool = False,
    axes: str | None = None,
    json: bool = False,
    tiles: TilesOptions = Tiles(),
) -> None:
    """Segment images of any size; one label image per input, of the same stem and format.

    A network of 2D images takes stacks page by page. Volumes are brought to the network's spacing, their labels back.

    Args:
        run: Run folder that `train` wrote, or what `export` made of it.
        *images: Image files, or folders of them.
        out: Folder for the label images.
        probabilities: Write the class probabilities beside the labels, as STEM-probabilities.tif.
        table: Write a table of objects beside the labels, as STEM.csv; a network that tells objects apart always does.
        axes: What the axes of the files mean, such as ZYX, TYX or CYX, where they do not say it themselves.
        json: Print the result as JSON on standard output.
        tiles: How images are cut and computed.
    """
    from unetscope.engines.bundle import load_source
    from unetscope.file_segmentation import Wanted, find_images, run_jobs
    from unetscope.segmentation import Segmenter

    with console.show_progress("comparing engines"):  # the first time for this network on this machine
        segmenter = Segmenter(load_source(run), tiles.tiling())
    results = []
    sources = find_images(images, out, probabilities, segmenter.spec.image_channels)
    check_writable(out / sources[0].name)
    console.show_engine(segmenter.engine)
    with console.show_progress("segmenting", len(sources)) as bar:
        shown = console.JobsBar(bar, len(sources))
        for result in run_jobs(segmenter, sources, out, Wanted(axes, probabilities, table), shown.begin):
            console.show_segmented(result)
            results.append(result.to_json())
    if json:
        console.print_json(results)
