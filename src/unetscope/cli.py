"""The command line: turns words into calls of the package and results into words; computes nothing itself.

Exits with 0 when all is well, 2 for what the user can mend, 1 for a fault of ours. Torch is imported only by the
commands that need it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from unetscope import __version__, console
from unetscope.errors import DataError, OutputError, UnetscopeError
from unetscope.training.recipe import Precision, Recipe

if TYPE_CHECKING:
    from unetscope.data.dataset import Dataset
    from unetscope.model.spec import UNetSpec
    from unetscope.scores import Scores
    from unetscope.segmentation import Tiling
    from unetscope.training.loop import Epoch

app = App(
    name="unetscope",
    help="Train a U-Net on a few annotated images and see how information flows through it.",
    version=__version__,
    default_parameter=Parameter(negative=()),
)

Flat = Parameter(name="*")


@dataclass(frozen=True)
class Network:
    """The network, by its difference to a preset.

    Attributes:
        preset: "default", "ronneberger2015", "lee2021" or "flat"; its recipe comes with it.
        widths: Channels per level, the bottleneck last, such as 16,32,64; sets the depth.
        width: Channels at full resolution.
        depth: Number of poolings.
        convolutions: Convolutions per level and side.
        skips: Levels with a skip, such as 0,1; all if not given.
        valid: Unpadded convolutions, as in the 2015 paper.
        norm: Norm after each convolution.
        activation: Activation after each convolution.
        down: How to go down a level.
        up: How to go up a level.
        dropout: Probability of dropping a channel at the end of the contracting path.
    """

    preset: str = "default"
    widths: str | None = None
    width: int | None = None
    depth: int | None = None
    convolutions: int | None = None
    skips: str | None = None
    valid: bool = False
    norm: Literal["none", "batch", "instance"] | None = None
    activation: Literal["relu", "leaky"] | None = None
    down: Literal["max", "strided"] | None = None
    up: Literal["transposed", "nearest", "linear", "subpixel"] | None = None
    dropout: float | None = None

    def spec_for(self, dataset: Dataset) -> UNetSpec:
        """The network for these images."""
        from unetscope.model.spec import UNetSpec

        plain = ("width", "depth", "convolutions", "norm", "activation", "down", "up", "dropout")
        changes: dict[str, Any] = {name: getattr(self, name) for name in plain if getattr(self, name) is not None}
        if self.widths is not None:
            changes["widths"] = parse_numbers(self.widths, "--widths")
        if self.skips is not None:
            changes["skips"] = parse_numbers(self.skips, "--skips")
        if self.valid:
            changes["padded"] = False
        if not (self.preset == "lee2021" and len(dataset.classes) == 2):
            changes["classes"] = len(dataset.classes)
        return UNetSpec.preset(self.preset, ndim=dataset.ndim, image_channels=dataset.channels, **changes)


@dataclass(frozen=True)
class Folders:
    """Where a dataset keeps its files.

    Attributes:
        images: Name of the folders of images.
        labels: Name of the folders of labels.
    """

    images: str = "images"
    labels: str = "labels"

    def open(self, path: Path) -> Dataset:
        """The dataset in a folder."""
        from unetscope.data.dataset import Dataset

        return Dataset.open(path, images=self.images, labels=self.labels)


@dataclass(frozen=True)
class Tiles:
    """How images are cut and computed; only `average` changes the result beyond rounding.

    Attributes:
        tile: Pixels per axis of a tile; by memory if not given.
        whole: One tile over the whole image.
        precision: Type to compute in; "auto" is bfloat16 where the processor computes in it.
        average: Average over flips and rotations; costs 8 times as much in 2D, 16 times in 3D.
    """

    tile: int | None = None
    whole: bool = False
    precision: Precision = "auto"
    average: bool = False

    def tiling(self) -> Tiling:
        """The same for the package."""
        from unetscope.segmentation import Tiling

        return Tiling(self.tile, self.whole, self.precision, self.average)


@app.command
def demo(*, out: Path = Path("demo"), scene: Literal["cells", "nuclei", "aerial"] = "cells", epochs: int = 40) -> None:
    """Show it all on simulated images: make, check, train, evaluate, segment, profile, report.

    Args:
        out: Folder for everything; what it holds from an earlier demo is replaced.
        scene: What to simulate.
        epochs: How long to train.
    """
    from unetscope.demonstration import demonstrate

    demonstrate(out, scene, epochs)


@app.command
def check(dataset: Path, *, json: bool = False, folders: Annotated[Folders, Flat] = Folders()) -> None:
    """Read every image and label of a dataset and say what training would see.

    Args:
        dataset: Folder with images and labels.
        json: Print the result as JSON.
        folders: Where the dataset keeps its files.
    """
    from unetscope.data.inspection import inspect

    opened = folders.open(dataset)
    with console.show_progress("reading", len(opened.items)) as bar:
        found = inspect(opened, bar.update)
    if json:
        console.print_json(found.to_json())
    else:
        for line in found.lines():
            console.say(line)


@app.command
def train(
    dataset: Path,
    *,
    out: Path,
    resume: bool = False,
    allow_drift: bool = False,
    json: bool = False,
    folders: Annotated[Folders, Flat] = Folders(),
    network: Annotated[Network, Flat] = Network(),
    recipe: Annotated[Recipe, Flat] = Recipe(),
) -> None:
    """Train a U-Net on a folder of annotated images.

    Args:
        dataset: Folder with images and labels.
        out: Run folder to write.
        resume: Continue the run in this folder.
        allow_drift: Continue it with other versions, devices or threads too; the weights will differ slightly.
        json: Print the result as JSON.
        folders: Where the dataset keeps its files.
        network: The network.
        recipe: How to train.
    """
    from unetscope.training.loop import Progress
    from unetscope.training.loop import train as run

    opened = folders.open(dataset)
    spec = None if resume and network == Network() else network.spec_for(opened)
    settings = Recipe.preset(network.preset, **_changes(recipe))
    with console.show_progress("training") as bar:

        def on_step(progress: Progress) -> None:
            bar.update(progress.step, progress.steps, f"loss {progress.loss:.3f}")

        checkpoint = run(
            opened, out, spec, settings, "never" if not resume else "drifting" if allow_drift else "exactly",
            on_step, lambda epoch, _: show_epoch(epoch),
        )  # fmt: skip
    validation = checkpoint.provenance["validation"]
    dice = console.format_number(validation["dice"], 4)
    console.say(f"best epoch {validation['epoch']}, validation Dice {dice}; run folder {out}")
    if json:
        console.print_json({"run": str(out), "epoch": validation["epoch"], "dice": validation["dice"]})


@app.command
def evaluate(
    run: Path,
    dataset: Path,
    *,
    part: Literal["test", "validation", "all"] = "test",
    json: bool = False,
    tiles: Annotated[Tiles, Flat] = Tiles(),
    folders: Annotated[Folders, Flat] = Folders(),
) -> None:
    """Score a run on annotated images.

    Args:
        run: Run folder.
        dataset: Folder with images and labels.
        part: Images that training has not seen, those it chose the best epoch by, or all.
        tiles: How images are cut and computed.
        json: Print the result as JSON.
        folders: Where the dataset keeps its files.
    """
    from unetscope.checkpoint import Checkpoint
    from unetscope.evaluation import evaluate as score

    checkpoint = Checkpoint.load(run)
    opened = folders.open(dataset)
    with console.show_progress("evaluating") as bar:
        scores = score(checkpoint, opened, part, tiles.tiling(), bar.update)
    if json:
        console.print_json(scores.to_json())
    else:
        show_scores(scores)


@app.command
def segment(
    run: Path,
    *paths: Annotated[Path, Parameter(name="IMAGE")],
    out: Path,
    probabilities: bool = False,
    json: bool = False,
    tiles: Annotated[Tiles, Flat] = Tiles(),
) -> None:
    """Segment images of any size; one label image per input, of the same stem.

    Args:
        run: Run folder.
        paths: Images, or folders of images.
        out: Folder for the label images.
        probabilities: Write the class probabilities beside the labels.
        json: Print the result as JSON.
        tiles: How images are cut and computed; the result does not depend on the tile.
    """
    from unetscope.checkpoint import Checkpoint
    from unetscope.file_segmentation import find_images, segment_file
    from unetscope.segmentation import Segmenter

    sources = find_images(paths, out)
    segmenter = Segmenter(Checkpoint.load(run), tiles.tiling())
    results = []
    with console.show_progress("segmenting", len(sources)) as bar:
        for done, source in enumerate(sources):
            bar.update(done, len(sources), source.name)
            result = segment_file(segmenter, source, out, probabilities, console.say)
            results.append(result)
            console.say(f"{source} -> {result['labels']}: {console.format_shares(result['shares'])}")
    if json:
        console.print_json(results)


@app.command
def profile(
    run: Path,
    dataset: Path,
    *,
    out: Path,
    coding: Literal["blocks", "clusters"] = "blocks",
    role: Literal["profile", "train", "all"] = "profile",
    seed: int = 0,
    folders: Annotated[Folders, Flat] = Folders(),
) -> None:
    """Measure how much every layer knows of the image and the label, with its controls.

    Args:
        run: Run folder.
        dataset: The annotated images that the run was trained on.
        out: JSON file to write.
        coding: How label images become one code each: 4x4 blocks, or 64 clusters.
        role: Which images: those of validation, of training, or all.
        seed: Start of the controls' randomness.
        folders: Where the dataset keeps its files.
    """
    from unetscope.checkpoint import Checkpoint
    from unetscope.information.profile import ProfileSettings
    from unetscope.information.profile import profile as measure

    checkpoint = Checkpoint.load(run)
    opened = folders.open(dataset)
    with console.show_progress("profiling") as bar:
        result = measure(checkpoint, opened, ProfileSettings(coding=coding, role=role, seed=seed), bar.update)
    result.save(out)
    console.say(result.verdict)
    console.say(f"profile: {out}")


@app.command
def report(profile: Path, *, out: Path | None = None) -> None:
    """Draw a profile as a U-Plot.

    Args:
        profile: JSON file that `profile` wrote.
        out: Folder for the pictures; beside the profile if not given.
    """
    from unetscope.information.profile import Profile
    from unetscope.reporting.uplot import save_figures

    for path in save_figures(Profile.load(profile), out or profile.parent):
        console.say(f"picture: {path}")


def show_epoch(epoch: Epoch) -> None:
    """One line an epoch."""
    mark = " (best)" if epoch.best else ""
    console.say(
        f"epoch {epoch.epoch:3d}  loss {epoch.loss:.4f}  validation Dice {console.format_number(epoch.dice, 4)}"
        f"  {epoch.seconds:.1f} s{mark}"
    )
    for warning in epoch.warnings:
        console.warn(warning)


def show_scores(scores: Scores) -> None:
    """Scores by class and the means."""
    number = console.format_number
    rows = [
        (
            each.name,
            number(each.dice),
            number(each.iou),
            number(each.precision),
            number(each.recall),
            str(each.n),
            str(each.false_alarms),
        )
        for each in scores.classes
    ]
    console.print_table(("class", "Dice", "IoU", "precision", "recall", "images with it", "false alarms"), rows)
    console.say(
        f"{len(scores.images)} images: mean Dice {number(scores.dice, 4)}, "
        f"pixel error {number(scores.pixel_error, 4)}, adapted Rand error {number(scores.rand_error, 4)}"
    )


def parse_numbers(text: str, option: str) -> tuple[int, ...]:
    """Whole numbers separated by commas.

    Raises:
        DataError: It is something else.

    Example:
        >>> parse_numbers("16,32,64", "--widths")
        (16, 32, 64)
    """
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise DataError(f"{option} is {text!r}; give whole numbers separated by commas, such as 16,32,64") from error


def _changes(recipe: Recipe) -> dict[str, Any]:
    """The settings that differ from the defaults."""
    plain = Recipe()
    return {
        entry.name: getattr(recipe, entry.name)
        for entry in fields(recipe)
        if getattr(recipe, entry.name) != getattr(plain, entry.name)
    }


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    try:
        app(words, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        return 2
    except UnetscopeError as error:
        console.fail(str(error))
        return 2
    except OSError as error:
        console.fail(str(OutputError(f"{error.filename or 'a file'} cannot be used ({error.strerror or error})")))
        return 2
    except KeyboardInterrupt:
        console.say("stopped; a training run goes on with --resume")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
