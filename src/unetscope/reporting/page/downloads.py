"""Every number of a page as tables and as JSON, for other programs; knows values, neither files nor pictures."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from io import StringIO
from typing import Any

from unetscope.reporting.page.evidence_content import tabulate_comparison
from unetscope.reporting.page.numbers import make_plain
from unetscope.reporting.page.sources import Sources

CSV, JSON = "text/csv", "application/json"

Row = Sequence[Any]


def list_downloads(sources: Sources, content: Mapping[str, Any]) -> list[dict[str, str]]:
    """The files that a page offers.

    Args:
        sources: What the page tells.
        content: The page itself.
    """
    tables = {
        "layers.csv": (LAYERS, list(_list_layers(content["networks"]))),
        "gates.csv": (GATES, list(_list_gates(content["networks"]))),
        "training.csv": (TRAINING, list(_list_training(content))),
        "scores.csv": (SCORES, list(_list_scores(sources))),
    }
    if sources.comparison is not None:
        table = tabulate_comparison(sources.comparison)
        tables["comparison.csv"] = (table["columns"], table["rows"])
    files = [{"name": name, "type": CSV, "text": write_csv(*table)} for name, table in tables.items() if table[1]]
    numbers = json.dumps(make_plain(collect_numbers(sources)), allow_nan=False)
    return [*files, {"name": "report.json", "type": JSON, "text": numbers}]


def write_csv(columns: Row, rows: Iterable[Row]) -> str:
    r"""A table as text; cells with commas, quotes or line breaks are quoted, unknown ones are empty.

    Example:
        >>> write_csv(("name", "dice"), [('a"b', None)])
        'name,dice\r\n"a""b",\r\n'
    """
    text = StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


LAYERS = (
    "network", "epoch", "layer", "stride", "channels", "measure", "value", "low", "high", "word", "why", "mlp",
    "untrained",
)  # fmt: skip
GATES = (
    "network", "epoch", "from", "to", "kind", "bits", "low", "high", "word", "why", "dice_lost", "dice_low",
    "dice_high",
)  # fmt: skip
TRAINING = ("network", "epoch", "loss", "dice", "class", "class_dice")
SCORES = ("network", "part", "image", "class", "dice", "iou", "precision", "recall", "pixel_error", "rand_error")


def _list_layers(networks: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    for network in networks:
        known = {layer["name"]: ("x".join(map(str, layer["stride"])), layer["width"]) for layer in network["layers"]}
        for layer in network["layers"]:
            stride, width = known[layer["name"]]
            yield (network["name"], None, layer["name"], stride, width, "parameters", layer["parameters"], *(None,) * 6)
        for epoch in network["epochs"]:
            for key, measure in epoch["measures"].items():
                for name, value in measure["layers"].items():
                    head = (network["name"], epoch["epoch"], name, *known.get(name, ("", "")), key)
                    outline, twin = (measure["outline"] or {}).get(name, {}), (measure["twin"] or {}).get(name)
                    told = (value["v"], value["lo"], value["hi"], value["word"], value["why"])
                    yield (*head, *told, outline.get("v"), twin)


def _list_gates(networks: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    for network in networks:
        for epoch in network["epochs"]:
            for one in epoch["bridges"]:
                lost = one["lost_dice"] or {}
                told = [one[name] for name in ("from", "to", "kind", "v", "lo", "hi", "word", "why")]
                yield (network["name"], epoch["epoch"], *told, lost.get("v"), lost.get("lo"), lost.get("hi"))


def _list_training(content: Mapping[str, Any]) -> Iterator[Row]:
    for training in content["segmentation"]["training"]:
        name = content["networks"][training["network"]]["name"]
        for at, epoch in enumerate(training["epochs"]):
            head = (name, epoch, training["loss"][at], training["dice"][at])
            classes = training["classes"] or {"": [None] * len(training["epochs"])}
            yield from ((*head, named, values[at]) for named, values in classes.items())


def _list_scores(sources: Sources) -> Iterator[Row]:
    for network in sources.networks:
        for image in network.scores.images if network.scores is not None else ():
            for each in image.classes:
                told = (each.dice, each.iou, each.precision, each.recall, image.pixel_error, image.rand_error)
                yield (network.name, network.part, image.name, each.name, *told)


def collect_numbers(sources: Sources) -> dict[str, Any]:
    """The results behind the page, with all that is in them but the sums from which intervals were formed."""
    return {
        "networks": [
            {
                "name": network.name,
                "weights": network.weights,
                "spec": None if network.spec is None else network.spec.to_json(),
                "recipe": None if network.run is None else network.run.checkpoint.recipe,
                "history": [] if network.run is None else network.run.history,
                "part": network.part,
                "scores": None if network.scores is None else network.scores.to_json(),
                "profiles": [{"epoch": epoch, **profile.summary()} for epoch, profile in network.profiles],
                "published": None if network.paper is None else [asdict(layer) for layer in network.paper.layers],
            }
            for network in sources.networks
        ],
        "plan": None if sources.plan is None else sources.plan.to_json(),
        "comparison": None if sources.comparison is None else sources.comparison.to_json(),
        "searches": [search.to_json() for search in sources.searches],
        "sizing": sources.sizing,
        "images": [{"name": one.name, "dice": one.dice, "uncertainty": one.uncertainty} for one in sources.specimens],
    }
