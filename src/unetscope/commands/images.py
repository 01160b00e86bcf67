"""Annotated images: `demo`, `check` and `fetch`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from unetscope import console
from unetscope.commands.reporting import show_page
from unetscope.errors import DataError
from unetscope.files import check_writable
from unetscope.options import Folders, FoldersOptions
from unetscope.wording import format_count

if TYPE_CHECKING:
    from unetscope.data.dataset import Dataset
    from unetscope.data.pairing import Problem


def demo(
    *,
    out: Path = Path("demo"),
    scene: Literal["cells", "nuclei", "aerial"] = "cells",
    epochs: int = 24,
    open_: Annotated[bool, Parameter("--open")] = False,
    json: bool = False,
) -> None:
    """Show it all on simulated images, in a few minutes: make, check, train, evaluate, segment, profile, report.

    Args:
        out: Folder for everything; what an earlier demo left in it is replaced.
        scene: What to simulate.
        epochs: How long to train.
        open_: Open the page in the browser at the end.
        json: Print the result as JSON on standard output.
    """
    from unetscope.demonstration import demonstrate

    result = demonstrate(out, scene, epochs)
    if open_:
        show_page(Path(result["page"]))
    if json:
        console.print_json(result)


def check(
    dataset: Path, /, *, sheet: Path | None = None, json: bool = False, folders: FoldersOptions = Folders()
) -> None:
    """Read every image and label of a dataset, say what training would see, and name everything that is wrong with it.

    Exits with 2 where nothing could be trained, or where training would learn from wrong labels; warnings are worth a
    look.

    Args:
        dataset: Folder with images and labels.
        sheet: PNG file to write: every n-th image with the outlines of its labels.
        json: Print the result as JSON on standard output.
        folders: Where the dataset keeps its files, and how they are read.
    """
    from unetscope.data.inspection import inspect
    from unetscope.reporting.outlines import draw_outline_sheet

    if sheet is not None:
        check_writable(sheet)
    opened = _open_or_list(dataset, folders, json)
    with console.show_progress("reading", len(opened.items)) as bar:
        found = inspect(opened, bar.update)
    if sheet is not None:
        draw_outline_sheet(opened, sheet)
    if json:
        console.print_json(found.to_json())
    else:
        console.show_inspection(found, sheet)
    _refuse(dataset, found.errors)


def _open_or_list(dataset: Path, folders: Folders, json: bool) -> Dataset:
    """The dataset; where it cannot even be opened, everything that is wrong with it."""
    from unetscope.data.pairing import Problem
    from unetscope.data.problems import find_problems

    try:
        return folders.open(dataset)
    except DataError as error:
        problems = find_problems(dataset, folders.images, folders.labels, folders.axes)
        problems = problems or (Problem(dataset, str(error)),)
        if json:
            errors = [{"file": str(problem.file), "sentence": problem.sentence} for problem in problems]
            console.print_json({"errors": errors})
        _refuse(dataset, problems)
        raise


def _refuse(dataset: Path, problems: Sequence[Problem]) -> None:
    """Say what is wrong, and end with an error if anything is."""
    if len(problems) == 1:
        raise DataError(problems[0].sentence)
    for problem in problems:
        console.fail(problem.sentence)
    if problems:
        raise DataError(f"{dataset} has {len(problems)} errors, listed above; mend them and check again")


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
    console.say(f"dataset: {fetched.folder}, {format_count(fetched.images, 'annotated image')}")
    if fetched.archives is not None:
        console.say(f"downloads are kept in {fetched.archives}, which you may remove")
    if json:
        console.print_json(fetched.to_json())
