"""What annotated images say before anything is trained: `size`."""

from __future__ import annotations

from pathlib import Path

from unetscope import console
from unetscope.files import check_writable, write_json
from unetscope.options import Folders, FoldersOptions


def size(
    dataset: Path,
    /,
    *,
    unlabelled: Path | None = None,
    out: Path | None = None,
    seed: int = 0,
    json: bool = False,
    folders: FoldersOptions = Folders(),
) -> None:
    """Say before training how deep and about how wide a network should be, and whether more annotations would help.

    Small probes predict labels from windows of growing size; no network is trained. Images for testing are not looked
    at.

    Args:
        dataset: Folder with images and labels.
        unlabelled: Folder of images without labels, to say which to annotate next.
        out: Folder for size.json and the picture of the curves, size.svg and size.png; nothing is written without it.
        seed: Start of what is random: pixels, folds and probes.
        json: Print the result as JSON on standard output.
        folders: Where the dataset keeps its files, and how they are read.
    """
    from unetscope.information.sizing.sampling import find_unlabelled
    from unetscope.information.sizing.sentences import describe_sizing
    from unetscope.information.sizing.sizing import SizingSettings, size_network
    from unetscope.reporting.figures import save_figure
    from unetscope.reporting.sizing_figure import draw_sizing

    settings = SizingSettings(seed=seed)
    if out is not None:
        check_writable(out / "size.json")
    opened = folders.open(dataset)
    candidates = () if unlabelled is None else find_unlabelled(opened, unlabelled)
    with console.show_progress("sizing") as bar:
        found = size_network(opened, settings, candidates, bar.update)
    for line in describe_sizing(found):
        console.say(line)
    if out is not None:
        write_json(out / "size.json", found.to_json())
        for path in (out / "size.json", *save_figure(draw_sizing(found), out / "size")):
            console.say(f"written: {path}")
    if json:
        console.print_json(found.to_json())
