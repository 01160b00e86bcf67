"""A comparison in words and tables, for terminals and pages; knows comparisons, not where the text goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from unetscope.scores.difference import Difference, GroupMean
from unetscope.slimming.speed import Timing
from unetscope.tables import Block, Caution, Table
from unetscope.wording import format_bytes, format_magnitude, format_number

if TYPE_CHECKING:
    from unetscope.slimming.comparison import Comparison

SAYS_NOTHING = 0.5  # Dice; a difference known to so much might be anything


def lay_out(comparison: Comparison) -> Iterator[Block]:
    """What can be told, the tables, and what a reader has to know.

    Args:
        comparison: Networks side by side.
    """
    yield describe_power(comparison)
    yield tabulate_costs(comparison)
    if timings := comparison.rows[0].timings:
        block = "x".join(map(str, timings[0].shape))
        yield f"times in blocks of {block}, networks in turns: median, shortest and longest of several rounds"
        yield tabulate_times(comparison)
    yield tabulate_scores(comparison)
    if comparison.against_others:
        each = ", ".join(f"{value:+.4f}" for value in comparison.against_others)
        yield f"each training of {comparison.rows[0].name} against its others: {each}"
    yield from map(Caution, comparison.warnings)


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


def tabulate_costs(comparison: Comparison) -> Table:
    """What networks cost on any machine, and the memory that they take.

    Args:
        comparison: Networks side by side.
    """
    unit, size = "pixel" if len(comparison.size) == 2 else "voxel", "x".join(map(str, comparison.size))
    rows = tuple(
        (
            row.name,
            f"{row.parameters:,}",
            f"{row.multiply_adds_per_pixel:,.0f}",
            format_magnitude(row.multiply_adds),
            format_bytes(row.file_bytes),
            format_bytes(row.peak_bytes),
        )
        for row in comparison.rows
    )
    titles = ("network", "parameters", f"multiply-adds per {unit}", f"for {size}", "file", "peak memory")
    return Table("What the networks cost", titles, rows)


def tabulate_times(comparison: Comparison) -> Table:
    """Milliseconds with their spread over rounds, and how many times faster than the first.

    Args:
        comparison: Networks side by side that were timed.
    """
    short = "Mpx" if len(comparison.size) == 2 else "Mvx"
    ways = range(len(comparison.rows[0].timings))
    rows = tuple(_format_timing(row.name, row.timings[way]) for way in ways for row in comparison.rows)
    titles = ("network", "computed by", "rounds", f"ms per {short}", "spread", "times as fast", "spread")
    return Table("How long they take", titles, rows)


def tabulate_scores(comparison: Comparison) -> Table:
    """Dice, differences to the first network, and what may be said.

    Args:
        comparison: Networks side by side.
    """
    classes = comparison.classes if len(comparison.classes) > 1 else ()
    first, chance = comparison.rows[0], comparison.chance
    differences = [("", ""), *map(_format_difference, comparison.differences)]
    words = ["", *comparison.words]
    rows = [
        (
            row.name,
            str(len(row.trainings)),
            *(format_number(row.class_dice(name), 4) for name in classes),
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
    return Table(f"How they score, and whether they are as good as {first.name}", titles, tuple(rows))


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


def _format_mean(mean: GroupMean) -> tuple[str, str]:
    return f"{mean.value:.4f}", _format_reach(mean.half_width)


def _format_difference(difference: Difference) -> tuple[str, str]:
    return f"{difference.value:+.4f}", _format_reach(difference.half_width)


def _format_reach(half_width: float) -> str:
    """Half of an interval, or a dash where it says nothing."""
    return f"\u00b1{half_width:.4f}" if half_width < SAYS_NOTHING else "-"
