"""The whole way on simulated images, told step by step; knows every floor below, computes nothing of its own."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from unetscope import console
from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.data.inspection import inspect
from unetscope.data.scenes import write_dataset
from unetscope.errors import OutputError
from unetscope.evaluation import evaluate, select
from unetscope.file_segmentation import open_job, run_job
from unetscope.files import check_writable, write_json, write_text
from unetscope.information.gallery import make_gallery, save_gallery
from unetscope.information.profiling import ProfileSettings, profile
from unetscope.information.sentences import describe
from unetscope.information.subject import subject_of
from unetscope.information.views import view_dataset
from unetscope.reporting.page.writing import PAGE, collect, write_page
from unetscope.reporting.pictures import save_pictures
from unetscope.reporting.sheet import Row, draw_sheet
from unetscope.scores.overlap import Scores
from unetscope.segmentation import Segmenter
from unetscope.training.loop import train
from unetscope.training.progress import Epoch
from unetscope.training.recipe import Recipe
from unetscope.wording import format_number, format_seconds

MARK = "made-by-unetscope-demo"
DATA, PROFILE = "data", "profile.json"
WRITTEN = (DATA, "run", "segmented", "scores.json", PROFILE, "profile.npz", "segmentations.png", PAGE)
PICTURED = 4
EPOCHS_TOLD = 5  # one epoch of so many is told
IMAGES, SHAPE = {"train": 64, "test": 12}, (144, 144)
PROFILED = ProfileSettings(effort="brief")


def demonstrate(out: Path, scene: str, epochs: int) -> dict[str, Any]:
    """Simulate, check, train, evaluate, segment, profile, draw, and put it all on one page.

    Args:
        out: Folder for everything; an earlier demo in it is replaced.
        scene: What to simulate.
        epochs: How long to train.

    Returns:
        Plain values: the folder, the page, the test Dice, what the profile says, seconds.

    Raises:
        RecipeError: The number of epochs is out of range.
        OutputError: The folder holds something that no demo wrote, or cannot be written.
    """
    started = time.perf_counter()
    recipe = Recipe(epochs=epochs, batch=4)
    _clear(out)
    console.head("1. Images with exact labels, simulated")
    write_dataset(out / DATA, scene, shape=SHAPE, **IMAGES)
    dataset = Dataset.open(out / DATA)
    for line in inspect(dataset).contents():
        console.say(line)
    console.head("2. A U-Net, trained on them")
    checkpoint = _train(dataset, out / "run", recipe)
    console.head("3. Its scores on test images, which training never saw")
    scores = evaluate(checkpoint, dataset)
    write_json(out / "scores.json", scores.to_json())
    console.show_scores(scores)
    console.say(f"scores: {out / 'scores.json'}")
    console.head("4. Test images segmented, from the worst to the best")
    _picture(checkpoint, dataset, scores, out)
    console.head("5. What every layer, skip and up path knows of the labels, with its controls")
    sentences = _profile(checkpoint, dataset, out)
    console.head("6. All of it on one page")
    write_page(collect((out,), dataset), out / PAGE)
    seconds = time.perf_counter() - started
    console.say(f"\ndone in {format_seconds(seconds)}; everything is in {out}, and on one page: {out / PAGE}")
    told = {"folder": str(out), "page": str(out / PAGE), "dice": scores.dice, "sentences": list(sentences)}
    return {**told, "seconds": round(seconds, 3)}


def _clear(out: Path) -> None:
    """Make room by removing what an earlier demo wrote, and never anything else."""
    check_writable(out / MARK)
    if out.exists() and any(out.iterdir()) and not (out / MARK).exists():
        raise OutputError(f"{out} holds files that no demo wrote; choose another folder with --out")
    for name in WRITTEN:
        if (out / name).is_dir():
            shutil.rmtree(out / name)
        (out / name).unlink(missing_ok=True)
    write_text(out / MARK, f"Every `unetscope demo --out` here replaces {', '.join(WRITTEN)}.\n")


def _train(dataset: Dataset, run: Path, recipe: Recipe) -> Checkpoint:
    def show(epoch: Epoch, _: Checkpoint) -> None:
        if epoch.epoch in (1, recipe.epochs) or epoch.epoch % EPOCHS_TOLD == 0 or epoch.warnings:
            console.show_epoch(epoch)

    with console.show_progress("training") as bar:
        checkpoint = train(dataset, run, recipe=recipe, on_epoch=show, on_step=console.TrainingBar(bar).update)
    console.say(f"run folder: {run}")
    return checkpoint


def _picture(checkpoint: Checkpoint, dataset: Dataset, scores: Scores, out: Path) -> None:
    """Label images of all test images, and a sheet of some from the worst to the best."""
    segmenter = Segmenter(checkpoint)
    for item in select(checkpoint, dataset, "test"):
        run_job(segmenter, open_job(segmenter, item.image), out / "segmented")
    ordered = sorted(scores.images, key=lambda each: each.dice or 0.0)
    chosen = [ordered[round(k * (len(ordered) - 1) / (PICTURED - 1))] for k in range(min(PICTURED, len(ordered)))]
    rows = []
    for score in chosen:
        image, truth = dataset.read(dataset.item(score.name))
        rows.append(Row(f"{score.name}, Dice {format_number(score.dice)}", image, truth, segmenter.labels(image)))
    draw_sheet(rows, out / "segmentations.png")
    console.say(f"label images: {out / 'segmented'}")
    console.say(f"picture: {out / 'segmentations.png'}")


def _profile(checkpoint: Checkpoint, dataset: Dataset, out: Path) -> tuple[str, ...]:
    """Profile and draw; returns what the profile says."""
    with console.show_progress("profiling") as bar:
        profiled = profile(checkpoint, dataset, PROFILED, bar.update)
    profiled.save(out / PROFILE)
    views = view_dataset(checkpoint, dataset, PROFILED.role)
    save_gallery(make_gallery(subject_of(checkpoint), views), out / "profile.npz")
    said = describe(profiled)
    for sentence in said:
        console.say(sentence)
    console.say(f"profile: {out / 'profile.json'}")
    for path in save_pictures(out / PROFILE, out):
        console.say(f"picture: {path}")
    return said
