"""How well networks segment, as a page carries it: scores, images to look at, training and what the files hold."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from unetscope.reporting.page.images import CLASS_COLORS, ERRORS, encode_classes, encode_errors, encode_photo
from unetscope.reporting.page.learning import show_learning
from unetscope.reporting.page.numbers import format_ends, look_up, shorten_number
from unetscope.reporting.page.sources import Network, Sources, Specimen
from unetscope.scores.overlap import Scores
from unetscope.scores.power import interval
from unetscope.wording import format_number

COLUMNS = ["run", "class", "Dice", "95 % interval", "images"]
FIRST = 5  # images to look at first
LEVELS = ((1, 70), (1, 50), (1, 30), (2, 60), (2, 30), (4, 30))
"""Every so many pixels, and the quality of photographs: the first at which the gallery fits."""

MOST_CHARACTERS = 2_800_000  # of the gallery
MOST_PROBLEMS = 50  # told of the files


def show_segmentation(sources: Sources) -> dict[str, Any]:
    """Everything that tells how well networks segment."""
    colors = {name: CLASS_COLORS[at % len(CLASS_COLORS)] for at, name in enumerate(sources.classes[1:])}
    return {
        "scores": _tabulate(sources),
        "gallery": _show_gallery(sources),
        "first": _list_first(sources.specimens),
        "colors": colors,
        "errors": [{"name": name, "color": color, "pattern": pattern} for name, color, pattern in ERRORS],
        "training": [
            _show_training(number, network) for number, network in enumerate(sources.networks) if _has_history(network)
        ],
        "check": _list_findings(sources),
        "learning": None if sources.sizing is None else show_learning(sources.sizing),
    }


def _tabulate(sources: Sources) -> dict[str, Any] | None:
    """Dice by run and class, and the mean over classes."""
    rows = [row for one in sources.networks if one.scores is not None for row in _rows(sources.call(one), one.scores)]
    return {"columns": COLUMNS, "rows": rows} if rows else None


def _rows(name: str, scores: Scores) -> list[list[str]]:
    classes = list(scores.classes)
    rows = [
        [
            name,
            each.name,
            format_number(each.dice),
            format_ends(interval(image.classes[at].dice for image in scores.images)),
            str(each.n),
        ]
        for at, each in enumerate(classes)
    ]
    if len(classes) == 1:
        return rows
    count = sum(image.dice is not None for image in scores.images)
    return [*rows, [name, "mean", format_number(scores.dice), format_ends(scores.dice_interval), str(count)]]


def _show_gallery(sources: Sources) -> list[dict[str, Any]]:
    """Images with what networks make of them, as fine as there is room for."""
    for step, quality in LEVELS:
        shown = [_show_specimen(_thin(one, step), quality) for one in sources.specimens]
        if sum(map(_measure, shown)) <= MOST_CHARACTERS:
            break
    return shown


def _thin(one: Specimen, step: int) -> Specimen:
    """An image with fewer pixels."""
    if step == 1:
        return one
    found = tuple(None if labels is None else labels[::step, ::step] for labels in one.found)
    image = np.asarray(Image.fromarray(one.image).reduce(step))
    return replace(one, image=image, truth=one.truth[::step, ::step], found=found)


def _measure(shown: Mapping[str, Any]) -> int:
    """Characters of its pictures."""
    pictures = (shown["image"], shown["label"], *shown["predictions"], *shown["errors"])
    return sum(len(picture) for picture in pictures if picture is not None)


def _show_specimen(one: Specimen, quality: int) -> dict[str, Any]:
    height, width = one.image.shape[:2]
    reduced = "" if (width, height) == one.size else f"reduced from {one.size[0]} x {one.size[1]} pixels"
    return {
        "name": one.name,
        "dice": shorten_number(one.dice),
        "uncertainty": shorten_number(one.uncertainty),
        "width": width,
        "height": height,
        "image": encode_photo(one.image, quality),
        "label": encode_classes(one.truth),
        "predictions": [None if found is None else encode_classes(found) for found in one.found],
        "errors": [None if found is None else encode_errors(one.truth, found) for found in one.found],
        "note": ", ".join(filter(None, (one.plane, reduced))),
    }


def _list_first(specimens: Sequence[Specimen]) -> list[str]:
    """The images of which the first network is least sure."""
    known = [(one.uncertainty, one.name) for one in specimens if one.uncertainty is not None]
    return [name for _, name in sorted(known, key=lambda pair: -pair[0])[:FIRST]]


def _has_history(network: Network) -> bool:
    return network.run is not None and bool(network.run.history)


def _show_training(number: int, network: Network) -> dict[str, Any]:
    """Loss and validation Dice by epoch."""
    assert network.run is not None
    history = network.run.history
    names = dict.fromkeys(name for epoch in history for name in _read_classes(epoch))
    return {
        "network": number,
        "epochs": list(range(1, len(history) + 1)),
        "loss": [_read_number(epoch, "loss") for epoch in history],
        "dice": [_read_number(epoch, "dice") for epoch in history],
        "classes": {name: [_read_number(_read_classes(epoch), name) for epoch in history] for name in names},
        "best": look_up(network.run.checkpoint.provenance, "validation", "epoch"),
    }


def _read_classes(epoch: Mapping[str, Any]) -> Mapping[str, Any]:
    classes = epoch.get("classes")
    return classes if isinstance(classes, Mapping) else {}


def _read_number(epoch: Mapping[str, Any], name: str) -> float | None:
    value = epoch.get(name)
    return shorten_number(value) if isinstance(value, int | float) else None


def _list_findings(sources: Sources) -> list[str]:
    """What the files hold, errors and warnings first."""
    if sources.inspection is None:
        return []
    problems = list_problems(sources)
    more = [f"... and {len(problems) - MOST_PROBLEMS} more: see `unetscope check`"] if problems[MOST_PROBLEMS:] else []
    contents = (line.replace(_root(sources), "") for line in sources.inspection.contents())
    return [*problems[:MOST_PROBLEMS], *more, *contents]


def list_problems(sources: Sources) -> list[str]:
    """What is wrong with the files, errors first; they are named from the dataset's folder on."""
    found = sources.inspection
    if found is None:
        return []
    told = (("error", problem) for problem in found.errors), (("warning", problem) for problem in found.warnings)
    return [f"{kind}: {problem.sentence.replace(_root(sources), '')}" for group in told for kind, problem in group]


def _root(sources: Sources) -> str:
    """What the names of the dataset's files begin with."""
    return f"{sources.folder}{os.sep}"
