"""What layers know: `profile` and `report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unetscope import console
from unetscope.files import check_writable
from unetscope.options import Folders, FoldersOptions

if TYPE_CHECKING:
    from unetscope.data.dataset import Dataset

LAYERS = ("layer", "linear", "untrained", "shuffled", "verdict")
GATES = ("gate", "part", "given the rest", "Dice lost", "status")
"""What a terminal has room for."""


def profile(
    run: Path,
    dataset: Path,
    /,
    *,
    out: Path,
    role: Literal["profile", "test", "train", "all"] = "profile",
    thorough: bool = False,
    memory: float = 1.0,
    seed: int = 0,
    paper: bool = False,
    coding: Literal["blocks", "clusters"] = "blocks",
    json: bool = False,
    folders: FoldersOptions = Folders(),
) -> None:
    """Measure what every layer, skip and up path knows of the labels, with its controls.

    Args:
        run: Run folder that `train` wrote, or a folder of several such runs, which count as one design.
        dataset: The images and labels that the run was trained on.
        out: JSON file to write; `report` draws it. A file of the same name that ends in .npz holds maps of 3 images.
        role: Which images: those of validation (of a cross-validation: those that each network did not see), the
            test images, those of training, or all.
        thorough: Measure the larger families of readers and the learning curves everywhere; takes several times as
            long.
        memory: Memory for activations, GiB, about.
        seed: Start of all randomness.
        paper: Measure as published in 2021 instead: mutual information of whole images by kernel density.
        coding: With --paper: label images become one code each by 4x4 blocks, or by 64 clusters.
        json: Print the result as JSON on standard output.
        folders: Where the dataset keeps its files.
    """
    check_writable(out)
    if paper:
        _profile_as_published(run, folders.open(dataset), out, (coding, role, seed, int(memory * 2**30)), json)
        return
    from unetscope.information.ensembles import picture_run, profile_runs
    from unetscope.information.gallery import save_gallery
    from unetscope.information.profiling import ProfileSettings
    from unetscope.information.sentences import describe
    from unetscope.reporting.profile_text import GATE_COLUMNS, LAYER_COLUMNS, format_gates, format_layers, select

    effort: Literal["default", "thorough"] = "thorough" if thorough else "default"
    settings = ProfileSettings(role=role, seed=seed, effort=effort, memory_bytes=int(memory * 2**30))
    opened = folders.open(dataset)
    with console.show_progress("profiling") as bar:
        result = profile_runs(run, opened, settings, bar.update)
    result.save(out)
    save_gallery(picture_run(run, opened, settings), out.with_suffix(".npz"))
    console.print_table(LAYERS, select(LAYER_COLUMNS, format_layers(result), LAYERS))
    console.print_table(GATES, select(GATE_COLUMNS, format_gates(result), GATES))
    for sentence in describe(result):
        console.say(sentence)
    console.say(f"profile: {out}; draw it with `unetscope report {out}`")
    if json:
        console.print_json({"profile": str(out), "sentences": list(describe(result)), **result.summary()})


def _profile_as_published(
    run: Path, dataset: Dataset, out: Path, choices: tuple[str, str, int, int], json: bool
) -> None:
    """The published estimator, with its controls."""
    from unetscope.checkpoint import Checkpoint
    from unetscope.information.published.paper import PaperSettings, profile_as_published

    coding, role, seed, memory = choices
    settings = PaperSettings(coding=coding, role=role, seed=seed, memory_bytes=memory)  # type: ignore[arg-type]
    checkpoint = Checkpoint.load(run)
    with console.show_progress("profiling") as bar:
        result = profile_as_published(checkpoint, dataset, settings, bar.update)
    result.save(out)
    console.say(result.verdict)
    console.say(f"profile: {out}; draw it with `unetscope report {out}`")
    if json:
        ceilings = {"input": result.input_ceiling, "label": result.label_ceiling}
        console.print_json({"profile": str(out), "verdict": result.verdict, "ceilings": ceilings})


def report(
    profile: Path,
    /,
    *,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Draw a profile: as a U, as a ladder of its references, its gates, and as an information plane.

    Args:
        profile: JSON file that `profile` wrote, or the folder `profiles` of a run that was profiled while it trained.
        out: Folder for the pictures; beside the profile if not given.
        json: Print the result as JSON on standard output.
    """
    from unetscope.reporting.pictures import save_pictures

    folder = out or (profile if profile.is_dir() else profile.parent)
    check_writable(folder / "uplot.svg")
    pictures = save_pictures(profile, folder)
    for path in pictures:
        console.say(f"picture: {path}")
    if json:
        console.print_json({"pictures": [str(path) for path in pictures]})
