"""What smaller networks are worth, as a page carries it: the plan, the comparison, the searches; judges nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from unetscope.model.spec import UNetSpec
from unetscope.reporting.page.numbers import format_ends, shorten_number
from unetscope.reporting.page.sources import Sources
from unetscope.reporting.pareto import Point, list_points
from unetscope.slimming.comparison import Comparison
from unetscope.slimming.jury import Finding
from unetscope.slimming.plan import SlimPlan
from unetscope.slimming.plan_text import describe_network, tabulate_decisions
from unetscope.slimming.shapes import multiply_adds_per_pixel
from unetscope.slimming.shrinking import Shrinking
from unetscope.slimming.targets import MEASURES, format_amount
from unetscope.wording import format_number

SIGNIFICANT = 4  # of a Dice

Table = dict[str, Any]


def show_design(sources: Sources) -> dict[str, Any] | None:
    """What a plan says of depth, width and skips."""
    plan = sources.plan
    if plan is None:
        return None
    decided = tabulate_decisions(plan)
    return {
        "sentences": [capitalize(sentence) for sentence in plan.summary or (describe_network(plan),)],
        "decisions": {"columns": decided.columns, "rows": decided.rows},
        "plan": plan.to_json(),
    }


def show_evidence(sources: Sources) -> dict[str, Any] | None:
    """What was found by comparing and by searching."""
    searches, comparison = sources.searches, sources.comparison
    if comparison is None and not searches and not sources.progress:
        return None
    return {
        "sentences": list(list_sentences(sources)),
        "table": None if comparison is None else tabulate_comparison(comparison),
        "pareto": [] if comparison is None else _show_paretos(comparison),
        "boundary": _show_boundary(searches[0]) if searches else None,
        "searches": _tabulate_searches(searches) if searches else None,
    }


def list_sentences(sources: Sources) -> tuple[str, ...]:
    """What searches say, or what one says that still goes on; sentences are repeated nowhere."""
    said = [sentence for search in sources.searches[:1] for sentence in search.sentences]
    if sources.proof is not None:
        said += sources.proof.sentences
    return tuple(dict.fromkeys(map(capitalize, said or sources.progress)))


def capitalize(sentence: str) -> str:
    """A sentence that begins large and ends with a point.

    Example:
        >>> capitalize("the smallest network")
        'The smallest network.'
    """
    return f"{sentence[:1].upper()}{sentence[1:]}".rstrip(".") + "."


def tabulate_comparison(comparison: Comparison) -> Table:
    """Networks by cost and Dice, and what may be said of each."""
    unit, short = ("pixel", "Mpx") if len(comparison.size) == 2 else ("voxel", "Mvx")
    timed = _fastest(comparison)
    classes = comparison.classes if len(comparison.classes) > 1 else ()
    columns = ["network", "parameters", f"multiply-adds per {unit}"]
    columns += [] if timed is None else [f"ms per {short}"]
    columns += ["seeds", *classes, "Dice", "95 % interval", "difference", "95 % interval", "verdict"]
    rows = []
    for number, (row, mean) in enumerate(zip(comparison.rows, comparison.means, strict=True)):
        cells = [row.name, f"{row.parameters:,}", f"{row.multiply_adds_per_pixel:,.0f}"]
        cells += [] if timed is None else [f"{row.timings[timed].median:,.0f}"]
        cells += [str(len(row.trainings)), *(format_number(row.class_dice(name), SIGNIFICANT) for name in classes)]
        cells += [format_number(mean.value, SIGNIFICANT), format_ends((mean.low, mean.high))]
        if number == 0:
            cells += ["", "", "compared with"]
        else:
            difference = comparison.differences[number - 1]
            ends = format_ends((difference.low, difference.high), SIGNIFICANT)
            cells += [f"{difference.value:+.{SIGNIFICANT}f}", ends, comparison.words[number - 1]]
        rows.append(cells)
    return {"columns": columns, "rows": rows}


def _fastest(comparison: Comparison) -> int | None:
    """The engine and precision in which the first network is fastest; None where nothing was timed."""
    timings = comparison.rows[0].timings
    return min(range(len(timings)), key=lambda way: timings[way].median, default=None)


def _show_paretos(comparison: Comparison) -> list[dict[str, Any]]:
    """Dice against multiply-adds, and against milliseconds where there are times."""
    unit, short = ("pixel", "Mpx") if len(comparison.size) == 2 else ("voxel", "Mvx")
    drawn = {f"multiply-adds per {unit}": [row.multiply_adds_per_pixel for row in comparison.rows]}
    timed = _fastest(comparison)
    if timed is not None:
        way = " in ".join(comparison.rows[0].timings[timed].way)
        drawn[f"milliseconds per {short}, {way}"] = [row.timings[timed].median for row in comparison.rows]
    return [
        {"x": axis, "points": [_show_point(point) for point in list_points(comparison, costs)]}
        for axis, costs in drawn.items()
    ]


def _show_point(point: Point) -> dict[str, Any]:
    return {
        "name": point.name,
        "x": shorten_number(point.cost),
        "y": shorten_number(point.value),
        "lo": shorten_number(point.low),
        "hi": shorten_number(point.high),
        "word": point.word or "compared with",
        "first": point.word is None,
    }


def _show_boundary(search: Shrinking) -> dict[str, Any]:
    """The smallest network that is as good, its neighbor that is not, and every verdict on the way."""
    return {
        "good": _name(search.good),
        "failing": None if search.failing is None else _name(search.failing),
        "findings": _tabulate_findings(search),
    }


def _name(spec: UNetSpec) -> str:
    widths = "-".join(map(str, spec.level_widths))
    return f"{widths}, {multiply_adds_per_pixel(spec):,.0f} multiply-adds per pixel"


def _tabulate_findings(search: Shrinking) -> Table:
    """Every network that a search judged, and what all seeds of its end say of both ends."""
    columns = [
        "network",
        "multiply-adds per pixel",
        "validation Dice",
        "difference",
        "95 % interval",
        "seeds",
        "verdict",
    ]
    found = [("", finding) for finding in search.findings]
    found += [(", all seeds of the end", finding) for finding in search.confirmed]
    found += [(", trained on", search.control)] if search.control else []
    return {"columns": columns, "rows": [_describe_finding(note, finding) for note, finding in found]}


def _describe_finding(note: str, one: Finding) -> list[str]:
    return [
        "-".join(map(str, one.spec.level_widths)) + note,
        f"{one.multiply_adds:,.0f}",
        format_number(one.dice),
        f"{one.difference.value:+.3f}",
        format_ends((one.difference.low, one.difference.high)),
        str(one.difference.seeds[1]),
        one.word,
    ]


def _tabulate_searches(searches: Sequence[Shrinking]) -> Table:
    """What every way of searching had to train."""
    columns = ["search", "trainings", "optimizer steps", "smallest as good", "multiply-adds per pixel"]
    rows = [
        [
            one.strategy,
            str(one.trainings),
            f"{one.steps:,}",
            "-".join(map(str, one.good.level_widths)),
            f"{multiply_adds_per_pixel(one.good):,.0f}",
        ]
        for one in searches
    ]
    return {"columns": columns, "rows": rows}


def describe_costs(plan: SlimPlan) -> str | None:
    """What a plan saves, as a sentence; None where it does not say it."""
    before, after = (plan.cost.get(when, {}) for when in ("before", "after"))
    shared = [name for name in ("parameters", "multiply_adds") if name in before and after.get(name)]
    if not shared:
        return None
    parts = [
        f"{format_amount(after[name])} instead of {format_amount(before[name])} {MEASURES[name]}" for name in shared
    ]
    return f"The planned network has {' and '.join(parts)}; what it scores has to be tried."


def describe_comparison(comparison: Comparison) -> list[str]:
    """Each network against the first, as a sentence."""
    first = comparison.rows[0]
    said = []
    for row, difference, word in zip(comparison.rows[1:], comparison.differences, comparison.words, strict=True):
        share = row.multiply_adds_per_pixel / first.multiply_adds_per_pixel
        ends = format_ends((difference.low, difference.high)) if isfinite(difference.low) else "unknown"
        said.append(
            f"{row.name} takes {share:.2g} times the multiply-adds of {first.name}; Dice {difference.value:+.3f} "
            f"({ends}) on {comparison.evidence}: {word} within {comparison.margin:g}."
        )
    return said
