"""What layers know: `profile` and `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from unetscope import console
from unetscope.files import check_writable
from unetscope.options import Folders, FoldersOptions


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
