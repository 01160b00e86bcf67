"""What layers know: `profile`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unetscope import console
from unetscope.files import check_writable
from unetscope.options import Folders, FoldersOptions

if TYPE_CHECKING:
    from unetscope.data.dataset import Dataset


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
        out: JSON file to write; `report` shows it. A file of the same name that ends in .npz holds maps of 3 images.
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
    from unetscope.checkpoint import DESCRIPTION
    from unetscope.information.ensembles import picture_run, profile_runs
    from unetscope.information.gallery import save_gallery
    from unetscope.information.profile_text import lay_out
    from unetscope.information.profiling import ProfileSettings
    from unetscope.information.sentences import describe

    effort: Literal["default", "thorough"] = "thorough" if thorough else "default"
    settings = ProfileSettings(role=role, seed=seed, effort=effort, memory_bytes=int(memory * 2**30))
    opened = folders.open(dataset)
    with console.show_progress("profiling") as bar:
        result = profile_runs(run, opened, settings, bar.update)
    result.save(out)
    save_gallery(picture_run(run, opened, settings), out.with_suffix(".npz"))
    console.show(lay_out(result))
    both = f"{run} {out}" if (run / DESCRIPTION).exists() else str(out)  # several runs are one design, not two networks
    console.say(f"profile: {out}; show it with `unetscope report {both}`")
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
    console.say(f"profile: {out}; show it with `unetscope report {run} {out}`")
    if json:
        ceilings = {"input": result.input_ceiling, "label": result.label_ceiling}
        console.print_json({"profile": str(out), "verdict": result.verdict, "ceilings": ceilings})
