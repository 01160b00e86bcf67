"""What came out, on one page: `report`."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from unetscope import console
from unetscope.errors import DataError
from unetscope.files import check_writable
from unetscope.options import Folders, FoldersOptions

if TYPE_CHECKING:
    from unetscope.data.dataset import Dataset
    from unetscope.reporting.page.sources import Sources

GALLERY = 20


def report(
    *sources: Annotated[
        Path, Parameter(required=True, help="What to show, see below; of two networks the one before.")
    ],
    dataset: Path | None = None,
    out: Path | None = None,
    figures: Path | None = None,
    gallery: int = GALLERY,
    open_: Annotated[bool, Parameter("--open")] = False,
    json: bool = False,
    folders: FoldersOptions = Folders(),
) -> None:
    """Write one page that shows how well networks segment, where information flows in them, and what smaller ones cost.

    A source is a run folder, a file or folder that profile, propose, compare, size, shrink or prove wrote, or the
    folder of a demo. Each is recognized by what it holds; profiles and scores find their network by its weights. The
    page is one HTML file that needs no network.

    Args:
        *sources: What to show; of two networks the one before comes first.
        dataset: Annotated images: to score the runs, to show how they segment, and what is wrong with the files.
        out: The page; report.html in the first source, or beside it, if not given.
        figures: Folder for figures to print, SVG and PNG.
        gallery: Images to show at most, from the worst to the best.
        open_: Open the page in the browser.
        json: Print the result as JSON on standard output.
        folders: Where the dataset keeps its files.
    """
    from unetscope.reporting.page.writing import PAGE, collect, write_page

    if gallery < 0:
        raise DataError(f"--gallery is {gallery}; give a number of images, 0 for none")
    page = out or (sources[0] if sources[0].is_dir() else sources[0].parent) / PAGE
    check_writable(page)
    if figures is not None:
        check_writable(figures / PAGE)
    opened = _open_dataset(sources, dataset, folders)
    with console.show_progress("looking") as bar:
        shown = collect(sources, opened, gallery, bar.update)
    write_page(shown, page)
    console.say(f"page: {page}")
    pictures = [] if figures is None else _draw(shown, figures)
    if open_:
        show_page(page)
    if json:
        told = [network.name for network in shown.networks]
        console.print_json({"page": str(page), "networks": told, "pictures": [str(path) for path in pictures]})


def show_page(page: Path) -> None:
    """Open a page in the browser, or say where it is."""
    if not webbrowser.open(page.absolute().as_uri()):
        console.warn(f"no browser could be opened; open {page} in one")


def _draw(sources: Sources, folder: Path) -> list[Path]:
    """Write figures, and say where they are."""
    from unetscope.reporting.page.printing import save_figures

    pictures = save_figures(sources, folder)
    for path in pictures:
        console.say(f"picture: {path}")
    return pictures


def _open_dataset(sources: Sequence[Path], dataset: Path | None, folders: Folders) -> Dataset | None:
    """The images that were given, or those of a demo."""
    from unetscope.demonstration import DATA, MARK

    if dataset is not None:
        return folders.open(dataset)
    demos = (source for source in sources if (source / MARK).is_file() and (source / DATA).is_dir())
    return next((folders.open(demo / DATA) for demo in demos), None)
