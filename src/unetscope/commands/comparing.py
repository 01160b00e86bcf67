"""Networks side by side: `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from unetscope import console
from unetscope.errors import SlimError
from unetscope.files import check_writable
from unetscope.options import Folders, FoldersOptions

COMPARISON = "comparison.json"


def compare(
    *paths: Annotated[Path, Parameter(required=True, help="Run folders, then the folder with images and labels.")],
    part: Literal["test", "validation", "all"] = "test",
    margin: float = 0.01,
    untimed: Annotated[bool, Parameter("--no-time")] = False,
    out: Path | None = None,
    json: bool = False,
    folders: FoldersOptions = Folders(),
) -> None:
    """Compare trained networks: what they cost, how they score, and whether they are as good as the first.

    Runs that differ in nothing but the seed are one network. Train each with several seeds: with one, chance cannot be
    told from a difference.

    Args:
        *paths: Run folders, then the folder with images and labels.
        part: Images that training has not seen, those it chose the best epoch by, or all.
        margin: Dice that a network may lose and still be called as good.
        untimed: Do not time the networks side by side, which takes a minute or two; let nothing else compute meanwhile.
        out: Folder for comparison.json and pictures of Dice against cost; nothing is written without it.
        json: Print the result as JSON on standard output.
        folders: Where the dataset keeps its files.
    """
    from unetscope.reporting.pareto import save_paretos
    from unetscope.slimming.comparison import ComparisonSettings
    from unetscope.slimming.comparison import compare as put_beside
    from unetscope.slimming.comparison_text import lay_out

    if len(paths) < 2:
        raise SlimError(f"{paths[0]} came alone; give one or more run folders and then the folder of images and labels")
    *runs, dataset = paths
    settings = ComparisonSettings(part, margin, ()) if untimed else ComparisonSettings(part, margin)
    if out is not None:
        check_writable(out / COMPARISON)
    with console.show_progress("comparing") as bar:
        found = put_beside(runs, folders.open(dataset), settings, bar.update)
    console.show(lay_out(found))
    if out is not None:
        found.save(out / COMPARISON)
        for path in (out / COMPARISON, *save_paretos(found, out)):
            console.say(f"written: {path}")
    if json:
        console.print_json(found.to_json())
