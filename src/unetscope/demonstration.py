"""The whole way on simulated images, told step by step; knows every floor below, computes nothing of its own."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from unetscope import console
from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.data.inspection import inspect
from unetscope.data.scenes import write_dataset
from unetscope.errors import OutputError
from unetscope.evaluation import evaluate, select
from unetscope.file_segmentation import segment_file
from unetscope.files import write_json, write_text
from unetscope.information.profile import profile
from unetscope.model.cost import count_parameters
from unetscope.reporting.sheet import Row, draw_sheet
from unetscope.reporting.uplot import save_figures
from unetscope.scores import Scores
from unetscope.segmentation import Segmenter
from unetscope.training.loop import Epoch, train
from unetscope.training.recipe import Recipe

MARK = "made-by-unetscope-demo"
PICTURED = 4


def demonstrate(out: Path, scene: str, epochs: int) -> None:
    """Simulate, check, train, evaluate, segment, profile and draw.

    Args:
        out: Folder for everything; an earlier demo in it is replaced.
        scene: What to simulate.
        epochs: How long to train.

    Raises:
        OutputError: The folder holds something that no demo wrote.
    """
    started = time.perf_counter()
    _clear(out)
    console.head("1. Images with exact labels, simulated")
    write_dataset(out / "data", scene)
    dataset = Dataset.open(out / "data")
    for line in inspect(dataset).lines():
        console.say(line)
    console.head("2. A U-Net, trained on them")
    checkpoint = _train(dataset, out / "run", epochs)
    console.head("3. Its scores on test images, which training never saw")
    scores = _score(checkpoint, dataset, out)
    console.head("4. Test images segmented, from the worst to the best")
    _picture(checkpoint, dataset, scores, out)
    console.head("5. What every layer knows of image and label, by the published estimator, with its controls")
    with console.show_progress("profiling") as bar:
        profiled = profile(checkpoint, dataset, on_step=bar.update)
    profiled.save(out / "profile.json")
    console.say(profiled.verdict)
    for path in save_figures(profiled, out):
        console.say(f"picture: {path}")
    console.say(f"\ndone in {console.format_seconds(time.perf_counter() - started)}; everything is in {out}")


def _clear(out: Path) -> None:
    """Make room, but never in a folder that is somebody else's."""
    if out.exists() and any(out.iterdir()):
        if not (out / MARK).exists():
            raise OutputError(f"{out} holds files that no demo wrote; choose another folder with --out")
        shutil.rmtree(out)
    write_text(out / MARK, "This folder is replaced by every `unetscope demo`.\n")


def _train(dataset: Dataset, run: Path, epochs: int) -> Checkpoint:
    def show(epoch: Epoch, _: Checkpoint) -> None:
        if epoch.epoch % 5 == 0 or epoch.epoch == 1:
            dice = console.format_number(epoch.dice)
            console.say(f"  epoch {epoch.epoch} of {epochs}: validation Dice {dice}, {epoch.seconds:.1f} s an epoch")
        for warning in epoch.warnings:
            console.warn(warning)

    recipe = Recipe(epochs=epochs, batch=4)
    with console.show_progress("training") as bar:
        checkpoint = train(
            dataset, run, recipe=recipe, on_epoch=show, on_step=lambda now: bar.update(now.step, now.steps)
        )
    widths = "-".join(map(str, checkpoint.spec.level_widths))
    console.say(f"widths {widths}, {count_parameters(checkpoint.spec):,} parameters; run folder {run}")
    return checkpoint


def _score(checkpoint: Checkpoint, dataset: Dataset, out: Path) -> Scores:
    scores = evaluate(checkpoint, dataset)
    write_json(out / "scores.json", scores.to_json())
    for each in scores.classes:
        console.say(f"{each.name}: Dice {console.format_number(each.dice)}, IoU {console.format_number(each.iou)}")
    console.say(
        f"{len(scores.images)} images, adapted Rand error {console.format_number(scores.rand_error)}; {out / 'scores.json'}"
    )
    return scores


def _picture(checkpoint: Checkpoint, dataset: Dataset, scores: Scores, out: Path) -> None:
    """Label images of all test images, and a sheet of some from the worst to the best."""
    segmenter = Segmenter(checkpoint)
    for item in select(checkpoint, dataset, "test"):
        segment_file(segmenter, item.image, out / "segmented", False, lambda _: None)
    ordered = sorted(scores.images, key=lambda each: each.dice or 0.0)
    chosen = [ordered[round(k * (len(ordered) - 1) / (PICTURED - 1))] for k in range(min(PICTURED, len(ordered)))]
    rows = []
    for score in chosen:
        image, truth = dataset.read(dataset.item(score.name))
        rows.append(
            Row(f"{score.name}, Dice {console.format_number(score.dice)}", image, truth, segmenter.labels(image))
        )
    draw_sheet(rows, out / "segmentations.png")
    console.say(f"label images: {out / 'segmented'}")
    console.say(f"picture: {out / 'segmentations.png'}")
