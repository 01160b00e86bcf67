"""Scores in words and tables, for terminals and pages; knows scores, not where the text goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from unetscope.scores.objects import ObjectScore
from unetscope.scores.power import describe_evidence, interval, is_too_small
from unetscope.tables import Block, Caution, Table
from unetscope.wording import format_count, format_number, format_range

if TYPE_CHECKING:
    from unetscope.scores.overlap import Scores

CLASS_COLUMNS = ("class", "Dice", "95 %", "IoU", "precision", "recall", "images with it", "false alarms")
SURFACE_COLUMNS = ("class", "HD95, mean", "HD95, median", "surface Dice", "missed")


def lay_out(scores: Scores, columns: Sequence[str] = CLASS_COLUMNS) -> Iterator[Block]:
    """Scores by class, their means, and which difference so many images could show.

    Args:
        scores: The scores.
        columns: Those of the classes that there is room for.
    """
    yield tabulate_classes(scores).select(*columns)
    yield (
        f"{format_count(len(scores.images), 'image')}: mean Dice {format_number(scores.dice, 4)}, "
        f"pixel error {format_number(scores.pixel_error, 4)}, adapted Rand error {format_number(scores.rand_error, 4)}"
    )
    if scores.objects is not None:
        yield _describe_objects(scores.objects)
    if scores.surfaces:
        yield tabulate_surfaces(scores)
    evidence = describe_evidence(scores)
    yield Caution(evidence) if is_too_small(len(scores.images)) else evidence


def tabulate_classes(scores: Scores) -> Table:
    """Every foreground class as a row below `CLASS_COLUMNS`; the interval of its Dice is over images.

    Args:
        scores: The scores.
    """
    dice = zip(*([each.dice for each in image.classes] for image in scores.images), strict=True)
    rows = tuple(
        (
            each.name,
            format_number(each.dice),
            format_range(interval(values)),
            *map(format_number, (each.iou, each.precision, each.recall)),
            str(each.n),
            str(each.false_alarms),
        )
        for each, values in zip(scores.classes, dice, strict=True)
    )
    return Table("Classes: means over the images that have them", CLASS_COLUMNS, rows)


def tabulate_surfaces(scores: Scores) -> Table:
    """How far surfaces are apart, in the unit of the spacing: each class as a row below `SURFACE_COLUMNS`.

    Args:
        scores: The scores.
    """
    rows = tuple(
        (each.name, *map(format_number, (each.hd95, each.hd95_median, each.nsd)), str(each.missed))
        for each in scores.surfaces
    )
    return Table("Surfaces: distances in the unit of the spacing", SURFACE_COLUMNS, rows)


def _describe_objects(pooled: ObjectScore) -> str:
    """How well single objects are told apart."""
    shown = {
        "AP@.5": pooled.ap[0],
        "AP@.75": pooled.ap[5],
        "mean AP .5 to .95": pooled.mean_ap,
        "panoptic quality": pooled.panoptic,
    }
    listed = ", ".join(f"{name} {format_number(value)}" for name, value in shown.items())
    return f"objects: {pooled.true} true, {pooled.predicted} found; {listed}"
