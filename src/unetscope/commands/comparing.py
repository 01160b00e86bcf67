"""Networks side by side: `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from unetscope import console
from unetscope.errors import SlimError
from unetscope.files import check_writable
from unetscope.options import Folders, FoldersOptions

if TYPE_CHECKING:
    from unetscope.scores.difference import Difference, GroupMean
    from unetscope.slimming.comparison import Comparison
    from unetscope.slimming.speed import Timing

COMPARISON = "comparison.json"
SAYS_NOTHING = 0.5  # Dice; a difference known to so much might be anything


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

    if len(paths) < 2:
        raise SlimError(f"{paths[0]} came alone; give one or more run folders and then the folder of images and labels")
    *runs, dataset = paths
    settings = ComparisonSettings(part, margin, ()) if untimed else ComparisonSettings(part, margin)
    if out is not None:
        check_writable(out / COMPARISON)
    with console.show_progress("comparing") as bar:
        found = put_beside(runs, folders.open(dataset), settings, bar.update)
    show_comparison(found)
    if out is not None:
        found.save(out / COMPARISON)
        for path in (out / COMPARISON, *save_paretos(found, out)):
            console.say(f"written: {path}")
    if json:
        console.print_json(found.to_json())


def show_comparison(comparison: Comparison) -> None:
    """What can be told, the tables, and what a reader has to know."""
    console.say(describe_power(comparison))
    _show_costs(comparison)
    if comparison.rows[0].timings:
        _show_times(comparison)
    _show_scores(comparison)
    if comparison.against_others:
        each = ", ".join(f"{value:+.4f}" for value in comparison.against_others)
        console.say(f"each training of {comparison.rows[0].name} against its others: {each}")
    for warning in comparison.warnings:
        console.warn(warning)


def describe_power(comparison: Comparison) -> str:
    """Which difference so many images and seeds can tell, as a sentence.

    Args:
        comparison: Networks side by side.
    """
    seeds = sorted({len(row.trainings) for row in comparison.rows})
    counts = " to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))
    had = f"{comparison.evidence}, each network trained {counts} times"
    source = "by the spread of the first network's own" if comparison.spread else "if they spread as is usual"
    if comparison.detectable >= 1:
        return f"{had}: no difference in Dice can be told"
    return f"{had}: a difference of {comparison.detectable:.2g} Dice can be told (80 % power at 5 %, {source})"


def _show_costs(comparison: Comparison) -> None:
    """What networks cost on any machine, and the memory that they take."""
    unit, size = "pixel" if len(comparison.size) == 2 else "voxel", "x".join(map(str, comparison.size))
    rows = [
        (
            row.name,
            f"{row.parameters:,}",
            f"{row.multiply_adds_per_pixel:,.0f}",
            _format_amount(row.multiply_adds),
            console.format_bytes(row.file_bytes),
            console.format_bytes(row.peak_bytes),
        )
        for row in comparison.rows
    ]
    titles = ("network", "parameters", f"multiply-adds per {unit}", f"for {size}", "file", "peak memory")
    console.print_table(titles, rows)


def _show_times(comparison: Comparison) -> None:
    """Milliseconds with their spread over rounds, and how many times faster than the first."""
    short = "Mpx" if len(comparison.size) == 2 else "Mvx"
    block = "x".join(map(str, comparison.rows[0].timings[0].shape))
    console.say(f"times in blocks of {block}, networks in turns: median, shortest and longest of several rounds")
    ways = range(len(comparison.rows[0].timings))
    rows = [_format_timing(row.name, row.timings[way]) for way in ways for row in comparison.rows]
    titles = ("network", "computed by", "rounds", f"ms per {short}", "", "times as fast", "")
    console.print_table(titles, rows)


def _format_timing(name: str, timing: Timing) -> tuple[str, ...]:
    """A network in one engine and precision."""
    median, low, high = timing.speedup
    return (
        name,
        " ".join(timing.way),
        str(timing.rounds),
        f"{timing.median:,.0f}",
        f"{timing.low:,.0f} to {timing.high:,.0f}",
        f"{median:.2f}",
        f"{low:.2f} to {high:.2f}",
    )


def _show_scores(comparison: Comparison) -> None:
    """Dice, differences to the first network, and what may be said."""
    classes = comparison.classes if len(comparison.classes) > 1 else ()
    first, chance = comparison.rows[0], comparison.chance
    differences = [("", ""), *map(_format_difference, comparison.differences)]
    words = ["", *comparison.words]
    rows = [
        (
            row.name,
            str(len(row.trainings)),
            *(console.format_number(row.class_dice(name), 4) for name in classes),
            *_format_mean(mean),
            *difference,
            word,
        )
        for row, mean, difference, word in zip(comparison.rows, comparison.means, differences, words, strict=True)
    ]
    if chance is not None:
        blank = ("",) * (3 + len(classes))
        rows.insert(1, (f"{first.name}, another seed", *blank, *_format_difference(chance), comparison.chance_word))
    titles = ("network", "seeds", *classes, "Dice", "95 %", "difference", "95 %", f"within {comparison.margin:g}")
    console.print_table(titles, rows)


def _format_mean(mean: GroupMean) -> tuple[str, str]:
    return f"{mean.value:.4f}", _format_reach(mean.half_width)


def _format_difference(difference: Difference) -> tuple[str, str]:
    return f"{difference.value:+.4f}", _format_reach(difference.half_width)


def _format_reach(half_width: float) -> str:
    """Half of an interval, or a dash where it says nothing."""
    return f"±{half_width:.4f}" if half_width < SAYS_NOTHING else "-"


def _format_amount(count: float) -> str:
    """A large number.

    Example:
        >>> _format_amount(758_349_824), _format_amount(41)
        ('758 M', '41')
    """
    for factor, sign in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= factor:
            return f"{count / factor:.3g}{sign}"
    return f"{count:.3g}"
