"""Annotated images: `demo`, `check` and `fetch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from unetscope import console
from unetscope.options import Folders, FoldersOptions


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


def fetch(
    name: str | None = None,
    /,
    *,
    out: Path | None = None,
    from_: Annotated[tuple[Path, ...], Parameter(name="--from")] = (),
    mirror: str = "",
    json: bool = False,
) -> None:
    """Download a public set of annotated images and make a dataset folder of it; without NAME, list the sets.

    Its license and citation are shown first. Downloads are kept beside the dataset, in OUT-archives: a broken one goes
    on where it was, and a later one is compared with the first. Proxies are taken from HTTPS_PROXY and the like.

    Args:
        name: A set, such as bbbc039.
        out: Folder to make; NAME if not given.
        from_: Archives that you have downloaded already; then nothing is downloaded.
        mirror: Address of a folder that holds the same files, to use instead of the publisher's.
        json: Print the result as JSON on standard output.
    """
    from unetscope.fetching.catalog import SETS, find_set
    from unetscope.fetching.retrieval import fetch as bring

    if name is None:
        console.show_sets(SETS)
        if json:
            console.print_json([each.to_json() for each in SETS])
        return
    public = find_set(name)
    for line in public.lines():
        console.say(line)
    with console.show_progress("fetching") as bar:
        fetched = bring(public.name, out or Path(public.name), from_, mirror, bar.update)
    for note in fetched.notes:
        console.say(note)
    console.say(f"dataset: {fetched.folder}, {console.format_count(fetched.images, 'annotated image')}")
    if fetched.archives is not None:
        console.say(f"downloads are kept in {fetched.archives}, which you may remove")
    if json:
        console.print_json(fetched.to_json())
