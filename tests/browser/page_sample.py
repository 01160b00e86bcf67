"""A page's content made up for the tests: two networks, a few pictures, every key of the contract."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unetscope.model.cost import count_cost
from unetscope.model.spec import UNetSpec
from unetscope.reporting.page.u_svg import draw_svg

EPOCHS = (4, 8, 20)
SIDE, IMAGES = 48, 4
PRIOR = 0.57
BLUE, ORANGE = (0, 114, 178), (213, 94, 0)
MEASURES = (
    ("linear", "usable bits per pixel", "bits", "What the next 1x1 convolution could read of the labels.", 3),
    ("edge", "usable bits near label edges", "bits", "The same within 3 pixels of a label edge.", 3),
    ("rank", "effective rank", "directions", "How many directions the activations use.", 1),
    ("multiply_adds", "multiply-adds per pixel", "", "What a layer computes for each pixel of the image.", 0),
)
SPECS = {
    "before": UNetSpec.by_level((16, 32, 48)),
    "after": UNetSpec.by_level((12, 20), convolutions=1),
}


def sample_content() -> dict[str, Any]:
    """Everything that a page can show."""
    names = [f"cells_{index:02}.tif" for index in range(IMAGES)]
    return {
        "version": 1,
        "title": "Cells, before and after slimming",
        "answers": make_answers(),
        "segmentation": make_segmentation(names),
        "networks": [make_network(label, spec, names) for label, spec in SPECS.items()],
        "measures": [dict(zip(("key", "name", "unit", "help", "digits"), one, strict=True)) for one in MEASURES],
        "design": make_design(),
        "evidence": make_evidence(),
        "provenance": make_provenance(),
        "downloads": [
            {"name": "layers.csv", "type": "text/csv", "text": "layer,bits\nhead,0.5\n"},
            {"name": "content.json", "type": "application/json", "text": '{"version": 1}\n'},
        ],
    }


def make_answers() -> list[dict[str, Any]]:
    questions = {
        "segment": ("Does it segment well?", ["Mean Dice 0.912 (95 % interval 0.894 to 0.927) on 12 test images."]),
        "flow": (
            "Where does the information flow, and where does it stop?",
            ["The labels are read best at decoder.0.conv2: 0.48 of 0.57 bits.", "The two coarsest levels add nothing."],
        ),
        "design": ("How deep, how wide, which skips?", ["Two levels are enough; skip 1 is redundant."]),
        "cost": ("What would smaller cost?", ["A tenth of the multiply-adds costs 0.002 Dice (-0.004 to 0.008)."]),
    }
    answered = [
        {"id": name, "question": question, "sentences": sentences, "missing": None}
        for name, (question, sentences) in questions.items()
    ]
    missing = "unetscope prove run --data cells --seeds 5"
    return [*answered, {"id": "trust", "question": "How sure are we?", "sentences": [], "missing": missing}]


def make_segmentation(names: Sequence[str]) -> dict[str, Any]:
    rows = [["run", "cell", "0.912", "0.894 to 0.927", "12"], ["run-slim", "cell", "0.910", "0.890 to 0.926", "12"]]
    epochs = list(range(1, 13))
    return {
        "scores": {"columns": ["run", "class", "Dice", "95 % interval", "images"], "rows": rows},
        "gallery": [make_picture(name, index) for index, name in enumerate(names)],
        "first": [names[2], names[0]],
        "colors": {"cell": "#0072B2"},
        "training": [
            {
                "network": network,
                "epochs": epochs,
                "loss": [0.9 * math.exp(-epoch / (6 + network)) + 0.08 for epoch in epochs],
                "dice": [0.91 - 0.6 * math.exp(-epoch / (5 + network)) for epoch in epochs],
                "classes": {"cell": [0.91 - 0.6 * math.exp(-epoch / (5 + network)) for epoch in epochs]},
                "best": 11,
            }
            for network in range(2)
        ],
        "check": ["64 training, 12 validation and 12 test images of 144 x 144 pixels.", "Two images are nearly alike."],
        "learning": {
            "images": [8, 16, 32, 64],
            "value": [0.30, 0.38, 0.43, 0.45],
            "low": [0.24, 0.34, 0.41, 0.43],
            "high": [0.36, 0.42, 0.45, 0.47],
            "sentences": ["Twice as many images would add about 0.01 bits."],
        },
    }


def make_picture(name: str, index: int) -> dict[str, Any]:
    image, label = make_cells(index)
    found = np.roll(label, 3 - index // 2, axis=1)
    return {
        "name": name,
        "dice": 0.71 + 0.04 * index,
        "uncertainty": 0.1 + 0.04 * index,
        "width": SIDE,
        "height": SIDE,
        "image": encode(image),
        "label": encode(overlay(label, BLUE)),
        "predictions": [encode(overlay(found, BLUE)), encode(overlay(np.roll(label, -2, axis=0), BLUE))],
        "errors": [encode(overlay(found != label, ORANGE))] * 2,
        "note": "middle plane of 36" if index == 1 else "",
    }


def make_cells(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A picture of round cells, and where they are."""
    chance = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    label = np.zeros((SIDE, SIDE), bool)
    for center_y, center_x, radius in chance.uniform((6, 6, 3), (SIDE - 6, SIDE - 6, 7), (7, 3)):
        label |= (y - center_y) ** 2 + (x - center_x) ** 2 < radius**2
    image = np.clip(60 + 110 * label + chance.normal(0, 18, label.shape), 0, 255)
    return image.astype(np.uint8), label


def overlay(mask: NDArray[np.bool_], color: Sequence[int]) -> NDArray[np.uint8]:
    """A color with alpha where the mask is true."""
    return np.where(mask[..., None], np.array([*color, 255]), 0).astype(np.uint8)


def encode(pixels: NDArray[np.uint8]) -> str:
    """A data URI of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def make_network(label: str, spec: UNetSpec, names: Sequence[str]) -> dict[str, Any]:
    cost = count_cost(spec, (SIDE, SIDE))
    layers = [
        {
            "name": one.layer,
            "stride": list(spec.stride(one.layer)),
            "width": spec.width(one.layer),
            "parameters": one.parameters,
            "multiply_adds": one.multiply_adds / SIDE**2,
        }
        for one in cost.layers
    ]
    parameters = sum(one["parameters"] for one in layers)
    return {
        "name": "run" if label == "before" else "run-slim",
        "label": label,
        "svg": draw_svg(spec.wiring, label),
        "layers": layers,
        "facts": [["parameters", f"{parameters:,}"], ["depth", str(spec.depth)]],
        "epochs": [make_epoch(spec, layers, epoch) for epoch in EPOCHS],
        "maps": make_maps(spec, names[:2]),
    }


def make_epoch(spec: UNetSpec, layers: Sequence[Mapping[str, Any]], epoch: int) -> dict[str, Any]:
    learned = 1 - math.exp(-epoch / 6)
    values = {one["name"]: PRIOR * learned * (0.25 + 0.6 * i / len(layers)) for i, one in enumerate(layers)}
    linear = {name: measured(value, 0.04 if i != 3 else 0.16) for i, (name, value) in enumerate(values.items())}
    doubtful = [*values][3]
    linear[doubtful] |= {
        "word": "cannot tell",
        "why": "the interval is wider than 5 % of H0; about 80 images would tell",
    }
    marks = [{"name": "H0", "v": PRIOR}, {"name": "patch 15", "v": 0.2}, {"name": "position", "v": 0.02}]
    return {
        "epoch": epoch,
        "measures": {
            "linear": {
                "layers": linear,
                "outline": {name: measured(min(PRIOR, value * 1.15), 0.03) for name, value in values.items()},
                "twin": {name: value * 0.35 for name, value in values.items()},
                "marks": marks,
                "top": PRIOR,
            },
            "edge": plain({name: value * 0.8 for name, value in values.items()}, top=0.9),
            "rank": plain({one["name"]: one["width"] * 0.4 for one in layers}),
            "multiply_adds": plain({one["name"]: one["multiply_adds"] for one in layers}),
        },
        "bridges": [
            bridge for index, layer in enumerate(layers) for bridge in make_bridges(spec, layer["name"], index)
        ],
    }


def measured(value: float, half: float) -> dict[str, Any]:
    return {"v": value, "lo": value - half, "hi": value + half, "word": "ok", "why": ""}


def plain(values: Mapping[str, float], top: float | None = None) -> dict[str, Any]:
    layers = {name: {"v": value, "lo": None, "hi": None, "word": "ok", "why": ""} for name, value in values.items()}
    return {"layers": layers, "outline": None, "twin": None, "marks": [], "top": top or max(values.values())}


def make_bridges(spec: UNetSpec, layer: str, index: int) -> list[dict[str, Any]]:
    sources = spec.sources(layer)
    if len(sources) == 1:
        return []
    words = ("needed", "redundant", "dead", "cannot tell")
    return [
        {
            "from": source,
            "to": layer,
            "kind": kind,
            "v": value,
            "lo": value - 0.01,
            "hi": value + 0.01,
            "word": words[(index + place) % 4],
            "why": "the interval lies on one side of 1 % of H0",
            "lost_dice": {"v": value / 2, "lo": 0.0, "hi": value} if kind == "skip" else None,
            "scale": PRIOR,
        }
        for place, (source, kind, value) in enumerate(zip(sources, ("skip", "up"), (0.08, 0.2), strict=True))
    ]


def make_maps(spec: UNetSpec, names: Sequence[str]) -> dict[str, Any]:
    return {
        "images": [
            {
                "name": name,
                "image": encode(make_cells(index)[0]),
                "label": encode(overlay(make_cells(index)[1], BLUE)),
                "layers": {layer: make_layer_maps(spec, layer, index) for layer in spec.wiring.layers},
            }
            for index, name in enumerate(names)
        ]
    }


def make_layer_maps(spec: UNetSpec, layer: str, seed: int) -> dict[str, Any]:
    step, shown = spec.stride(layer)[0], min(4, spec.width(layer))
    image = make_cells(seed)[0][::step, ::step]
    strip = np.concatenate([np.roll(image, shift, axis=1) for shift in range(shown)], axis=1)
    return {"channels": encode(strip), "strongest": list(range(shown)), "probe": encode(image)}


def make_design() -> dict[str, Any]:
    rows = [["depth", "4", "2", "nothing reaches level 2 from below"], ["skip 1", "kept", "cut", "redundant"]]
    return {
        "sentences": ["Two levels instead of four, and 12-20-28 channels."],
        "decisions": {"columns": ["what", "now", "proposed", "why"], "rows": rows},
        "plan": {"format": 1, "depth": 2, "skips": [0], "widths": {"encoder.0.conv1": 12}},
    }


def make_evidence() -> dict[str, Any]:
    columns = ["network", "parameters", "multiply-adds", "ms", "Dice", "difference (95 %)", "verdict"]
    points = [
        ("run", 21000.0, 0.912, "compared with"),
        ("run-slim", 2300.0, 0.910, "as good"),
        ("tiny", 400.0, 0.87, "worse"),
    ]
    return {
        "sentences": ["On 12 test images and 3 seeds, run-slim is as good as run within 0.01 Dice."],
        "table": {
            "columns": columns,
            "rows": [
                ["run", "270,130", "21,000", "14.2", "0.912", "", "compared with"],
                ["run-slim", "24,204", "2,300", "3.1", "0.910", "-0.002 (-0.008 to 0.004)", "as good"],
                ["tiny", "3,210", "400", "1.0", "0.870", "-0.042 (-0.051 to -0.031)", "worse"],
            ],
        },
        "pareto": [
            {
                "x": x,
                "points": [
                    {
                        "name": name,
                        "x": scale * cost,
                        "y": dice,
                        "lo": dice - 0.012,
                        "hi": dice + 0.012,
                        "word": word,
                        "first": word == "compared with",
                    }
                    for name, cost, dice, word in points
                ],
            }
            for x, scale in (("multiply-adds per pixel", 1.0), ("milliseconds", 0.001))
        ],
        "boundary": {
            "good": "run-slim: 12-20-28 channels, as good",
            "failing": "tiny: 4-8 channels, worse by 0.042",
            "findings": {"columns": ["layer", "good", "failing"], "rows": [["bottleneck.conv2", "0.41", "0.22"]]},
        },
        "searches": {
            "columns": ["search", "trainings", "found"],
            "rows": [["information", "6", "2,300"], ["chance", "6", "4,100"]],
        },
    }


def make_provenance() -> dict[str, Any]:
    return {
        "versions": {"unetscope": "0.1.0", "python": "3.11.7", "numpy": "2.4.6"},
        "rows": [["data hash", "9f2c" * 16], ["seed", "0"], ["split", "64 train, 12 validation, 12 test"]],
        "commands": ["unetscope train cells --out run --epochs 40", "unetscope report run --out report.html"],
        "warnings": ["12 test images can show differences of 0.02 Dice and no smaller ones."],
    }
