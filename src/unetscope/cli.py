"""The command line: turns words into calls of the package and results into words; computes nothing itself.

Exits with 0 when all is well, 2 for what the user can mend, 1 for a fault of ours. Torch is imported only by the
commands that need it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter, UnusedCliTokensError

from unetscope import __version__, console
from unetscope.errors import CheckpointError, UnetscopeError
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

STOPPED, UNREAD = 130, 141  # what shells say of programs that an interrupt or a closed pipe ended


def show_default(value: object) -> str | None:
    """What help says of a default: nothing of what is off or left to the program."""
    return None if value is None or value is False else str(value)


app = App(
    name="unetscope",
    help="""Train a U-Net on a few annotated images and see how information flows through it.

    See it all with `unetscope demo`, or go the way with your own images: check, train, evaluate, segment; then profile
    and report.""",
    version=__version__,
    default_parameter=Parameter(negative=(), show_default=show_default, consume_multiple=True),
    suppress_keyboard_interrupt=False,
)


@app.command(sort_key=1)
def demo(
    *,
    out: Path = Path("demo"),
    scene: Literal["cells", "nuclei", "aerial"] = "cells",
    epochs: int = 40,
    json: bool = False,
) -> None:
    """Show it all on simulated images, in a few minutes: make, check, train, evaluate, segment, profile, report.

    Args:
        out: Folder for everything; what an earlier demo left in it is replaced.
        scene: What to simulate.
        epochs: How long to train.
        json: Print the result as JSON on standard output.
    """
    from unetscope.demonstration import demonstrate

    result = demonstrate(out, scene, epochs)
    if json:
        console.print_json(result)


@app.command(sort_key=2)
def check(dataset: Path, /, *, json: bool = False, folders: FoldersOptions = Folders()) -> None:
    """Read every image and label of a dataset and say what training would see.

    Images are PNG, TIFF or NumPy files in DATASET/images, label images of the same names in DATASET/labels; or both in
    DATASET/train and DATASET/test. Labels are numbers per pixel, 0 for the background.

    Args:
        dataset: Folder with images and labels.
        json: Print the result as JSON on standard output.
        folders: Where the dataset keeps its files.
    """
    from unetscope.data.inspection import inspect

    opened = folders.open(dataset)
    with console.show_progress("reading", len(opened.items)) as bar:
        found = inspect(opened, bar.update)
    if json:
        console.print_json(found.to_json())
        return
    for line in found.lines():
        console.say(line)
    if not found.roles["test"]:
        console.warn("no image is left for the test; annotate some more images to know how good a network is")


@app.command(sort_key=3, usage="Usage: unetscope train DATASET --out PATH [OPTIONS]")
def train(
    dataset: Path,
    /,
    *,
    out: Path,
    resume: bool = False,
    allow_drift: bool = False,
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
        resume: Go on with the run in this folder.
        allow_drift: Go on with other versions, devices or threads too; the weights will differ slightly.
        json: Print the result as JSON on standard output.
        folders: Where the dataset keeps its files.
        network: The network.
        settings: How to train.
    """
    from unetscope.data.inspection import inspect
    from unetscope.training.loop import train as run

    recipe = settings.recipe(network.preset)
    check_writable(out / "checkpoint.json")
    opened = folders.open(dataset)
    spec = None if resume and network == Network() else network.spec_for(opened)
    if resume:
        refuse_changes(out, settings)
    with console.show_progress("reading", len(opened.items)) as bar:
        contents = inspect(opened, bar.update).contents()
    for line in contents:
        console.say(line)
    with console.show_progress("training") as bar:
        checkpoint = run(
            opened, out, spec, recipe, "never" if not resume else "drifting" if allow_drift else "exactly",
            console.TrainingBar(bar).update, lambda epoch, _: console.show_epoch(epoch),
        )  # fmt: skip
    best = checkpoint.provenance["validation"]
    console.say(
        f"best epoch {best['epoch']}, validation Dice {console.format_number(best['dice'], 4)}; run folder {out}"
    )
    if json:
        console.print_json({"run": str(out), "epoch": best["epoch"], "dice": best["dice"]})


@app.command(sort_key=4)
def evaluate(
    run: Path,
    dataset: Path,
    /,
    *,
    part: Literal["test", "validation", "all"] = "test",
    json: bool = False,
    tiles: TilesOptions = Tiles(),
    folders: FoldersOptions = Folders(),
) -> None:
    """Score a run on annotated images.

    Args:
        run: Run folder that `train` wrote.
        dataset: Folder with images and labels.
        part: Images that training has not seen, those it chose the best epoch by, or all.
        json: Print the result as JSON on standard output.
        tiles: How images are cut and computed.
        folders: Where the dataset keeps its files.
    """
    from unetscope.checkpoint import Checkpoint
    from unetscope.evaluation import describe_use
    from unetscope.evaluation import evaluate as score

    tiling = tiles.tiling()
    checkpoint = Checkpoint.load(run)
    opened = folders.open(dataset)
    with console.show_progress("evaluating") as bar:
        scores = score(checkpoint, opened, part, tiling, bar.update)
    if json:
        console.print_json({**scores.to_json(), "provenance": describe_use(checkpoint, opened, part)})
    else:
        console.show_scores(scores)


@app.command(sort_key=5, usage="Usage: unetscope segment RUN IMAGE... --out PATH [OPTIONS]")
def segment(
    run: Path,
    /,
    *images: Annotated[Path, Parameter(required=True, help="Image files, or folders of them.")],
    out: Path,
    probabilities: bool = False,
    json: bool = False,
    tiles: TilesOptions = Tiles(),
) -> None:
    """Segment images of any size; one label image per input, of the same stem and format.

    Args:
        run: Run folder that `train` wrote.
        *images: Image files, or folders of them.
        out: Folder for the label images.
        probabilities: Write the class probabilities beside the labels, as STEM-probabilities.tif.
        json: Print the result as JSON on standard output.
        tiles: How images are cut and computed.
    """
    from unetscope.checkpoint import Checkpoint
    from unetscope.file_segmentation import find_images, open_job, run_job
    from unetscope.segmentation import Segmenter

    tiling = tiles.tiling()
    sources = find_images(images, out, probabilities)
    check_writable(out / sources[0].name)
    segmenter, results = Segmenter(Checkpoint.load(run), tiling), []
    with console.show_progress("segmenting", len(sources)) as bar:
        for index, source in enumerate(sources):
            job = open_job(segmenter, source, probabilities)
            console.show_job(job)
            result = run_job(segmenter, job, out, bar.part(index, len(sources), source.name))
            console.say(f"  -> {result.labels}: {console.format_shares(result.shares)}")
            results.append(result.to_json())
    if json:
        console.print_json(results)


@app.command(sort_key=6, usage="Usage: unetscope profile RUN DATASET --out PATH [OPTIONS]")
def profile(
    run: Path,
    dataset: Path,
    /,
    *,
    out: Path,
    coding: Literal["blocks", "clusters"] = "blocks",
    role: Literal["profile", "train", "all"] = "profile",
    seed: int = 0,
    json: bool = False,
    folders: FoldersOptions = Folders(),
) -> None:
    """Measure how much every layer knows of the image and the label, with its controls.

    8 images of the role are needed at least.

    Args:
        run: Run folder that `train` wrote.
        dataset: The images and labels that the run was trained on.
        out: JSON file to write.
        coding: How label images become one code each: 4x4 blocks, or 64 clusters.
        role: Which images: those of validation, those of training, or all.
        seed: Start of the controls' randomness.
        json: Print the result as JSON on standard output.
        folders: Where the dataset keeps its files.
    """
    from unetscope.checkpoint import Checkpoint
    from unetscope.information.profile import ProfileSettings
    from unetscope.information.profile import profile as measure

    settings = ProfileSettings(coding=coding, role=role, seed=seed)
    check_writable(out)
    checkpoint = Checkpoint.load(run)
    opened = folders.open(dataset)
    with console.show_progress("profiling") as bar:
        result = measure(checkpoint, opened, settings, bar.update)
    result.save(out)
    console.say(result.verdict)
    console.say(f"profile: {out}; draw it with `unetscope report {out}`")
    if json:
        ceilings = {"input": result.input_ceiling, "label": result.label_ceiling}
        console.print_json({"profile": str(out), "verdict": result.verdict, "ceilings": ceilings})


@app.command(sort_key=7)
def report(
    profile: Path,
    /,
    *,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Draw a profile as a U-Plot, and as an information plane.

    Args:
        profile: JSON file that `profile` wrote.
        out: Folder for the pictures; beside the profile if not given.
        json: Print the result as JSON on standard output.
    """
    from unetscope.information.profile import Profile
    from unetscope.reporting.uplot import save_figures

    folder = out or profile.parent
    loaded = Profile.load(profile)
    check_writable(folder / "uplot.svg")
    pictures = save_figures(loaded, folder)
    for path in pictures:
        console.say(f"picture: {path}")
    if json:
        console.print_json({"pictures": [str(path) for path in pictures]})


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


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    try:
        app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except KeyboardInterrupt:
        console.say("stopped; finished files stay, and a training run goes on with --resume")
        return STOPPED
    except BrokenPipeError:
        console.abandon_output()
        return UNREAD
    except Exception as error:
        message = _explain(error)
        if message is None:
            console.fail_by_fault()
            return 1
        console.fail(message)
        return 2
    return 0


def _explain(error: Exception) -> str | None:
    """What the user can do about it, if anything."""
    if isinstance(error, CycloptsError):
        return _explain_words(error)
    if isinstance(error, UnetscopeError):
        return str(error)
    if isinstance(error, MemoryError) or any(sign in str(error) for sign in ("out of memory", "can't allocate memory")):
        return "the memory is used up; give a smaller --tile to segment, or a smaller --batch or --patch to train"
    if isinstance(error, OSError) and error.strerror:
        place = error.filename or "a file"
        return f"{place} cannot be used ({error.strerror}); check its name, its permissions and the free space"
    return None


def _explain_words(error: CycloptsError) -> str:
    """What is wrong with the words of a command, as one sentence."""
    if isinstance(error, UnusedCliTokensError):
        what = f"{' '.join(error.unused_tokens or ())} came, and nothing more was expected"
    elif isinstance(error, MissingArgumentError) and error.argument is not None:
        what = f"no value came for {error.argument.name}"
    else:
        what = str(error).rstrip(".")
    return f"{what} (see `{' '.join(('unetscope', *(error.command_chain or ())))} --help`)"
