"""What was measured at every layer, as a page carries it: values, intervals, controls and marks, by measure.

Knows profiles and costs; judges nothing itself: every word and every reason is the profile's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unetscope.information.findings import (
    EDGE,
    INPUT,
    INSIDE,
    LINEAR,
    MLP,
    POSITION,
    SHUFFLED,
    UNTRAINED,
    Gate,
    LayerProfile,
    Part,
)
from unetscope.information.profile import Profile
from unetscope.information.profile_text import name_part
from unetscope.information.published.estimates import PaperLayer
from unetscope.information.published.paper import PaperProfile
from unetscope.information.quantity import GATE_SHARE, Quantity
from unetscope.reporting.page.costs import Costs
from unetscope.reporting.page.numbers import point, shorten_number
from unetscope.wiring import IMAGE

Values = dict[str, Any]


@dataclass(frozen=True)
class Measure:
    """Something that is measured at every layer.

    Attributes:
        key: What the page calls it in its data.
        name: What people call it.
        unit: Of its numbers.
        help: A sentence.
        digits: After the point.
    """

    key: str
    name: str
    unit: str
    help: str
    digits: int


MEASURES = (
    Measure(
        "linear", "usable bits per pixel", "bits",
        "Of the label of a pixel, what the next 1x1 convolution could read in this layer, on images that taught "
        "neither the network nor the reader.", 3,
    ),
    Measure(
        "edge", "near label edges", "bits",
        "The same within 3 pixels of a label edge, of all there is to know there.", 3,
    ),
    Measure("inside", "away from edges", "bits", "The same elsewhere, of all there is to know there.", 3),
    Measure(
        "input", "detail of the image", "bits",
        "Gaussian information about the principal components of the image around the pixel: how much of the input a "
        "layer still holds.", 1,
    ),
    Measure(
        "rank", "effective rank", "channels",
        "How many directions the layer's activations use; fewer than its channels means that channels repeat each "
        "other.", 1,
    ),
    Measure(
        "ablation", "Dice lost at joins", "Dice",
        "Of a layer that joins two paths: Dice lost when the path that matters more becomes its mean.", 3,
    ),
    Measure(
        "paper_input", "I(X;M), as published", "bits",
        "Mutual information of whole images and this layer by kernel density (2021); no advice rests on it.", 2,
    ),
    Measure(
        "paper_label", "I(M;Y), as published", "bits",
        "Mutual information of this layer and the code of the label image by kernel density (2021); no advice rests "
        "on it.", 2,
    ),
    Measure(
        "cka_input", "similarity to the image", "CKA",
        "How alike this layer and the image arrange the images (debiased linear CKA).", 2,
    ),
    Measure(
        "cka_label", "similarity to the label", "CKA",
        "How alike this layer and the label image arrange the images (debiased linear CKA).", 2,
    ),
    Measure(
        "multiply_adds", "multiply-adds per pixel", "",
        "Products that this layer sums for each pixel that is labeled.", 0,
    ),
    Measure("memory", "memory per pixel", "bytes", "The layer's output in float32, for each pixel that is labeled.", 0),
    Measure(
        "milliseconds", "milliseconds per megapixel", "ms",
        "Predicted on the machine that wrote this page, from its calibration.", 1,
    ),
)  # fmt: skip
"""In the order in which they are offered."""


def measure_profile(profile: Profile) -> dict[str, Values]:
    """The measures of a profile by their keys; those that nobody took are left out."""
    prior = shorten_number(profile.prior.value)
    own = {"v": prior, "name": "H0"}
    found: dict[str, Values] = {"linear": _measure_linear(profile, own)}
    for key, name in (("edge", EDGE), ("inside", INSIDE)):
        measured = {layer.layer: layer.bits[name] for layer in profile.layers if name in layer.bits}
        if measured:
            top = shorten_number(max(quantity.scale for quantity in measured.values()))
            marks = [{"name": "H0 there", "v": top}]
            found[key] = _values({layer: _tell(quantity) for layer, quantity in measured.items()}, marks, top)
    inputs = {layer.layer: layer.bits[INPUT] for layer in profile.layers if INPUT in layer.bits}
    if inputs:
        found["input"] = _values({layer: point(each.interval) | _FINE for layer, each in inputs.items()})
    ranks = {layer.layer: layer.effective_rank for layer in profile.layers}
    found["rank"] = _values({layer: _plain(rank) for layer, rank in ranks.items()})
    lost = dict(map(_lose_most, profile.gates))
    if lost:
        found["ablation"] = _values(lost, top=max(filter(None, (each["v"] for each in lost.values())), default=None))
    return found


def measure_paper(profile: PaperProfile) -> dict[str, Values]:
    """The measures of a profile as published."""
    layers = [layer for layer in profile.layers if layer.layer != IMAGE]
    inputs = {one.layer: _plain(one.trained.input.upper) | _doubt(one, with_control=False) for one in layers}
    labels = {one.layer: _plain(one.trained.label.published) | _doubt(one, with_control=True) for one in layers}
    shuffled = sum(one.shuffled.mean for one in layers) / max(1, len(layers))
    found = {
        "paper_input": _values(
            inputs,
            [{"name": "log2 N", "v": shorten_number(profile.input_ceiling)}],
            shorten_number(profile.input_ceiling),
            {one.layer: shorten_number(one.untrained.input.upper) for one in layers},
        ),
        "paper_label": _values(
            labels,
            [
                {"name": "H(Y)", "v": shorten_number(profile.label_ceiling)},
                {"name": "labels shuffled, mean of all layers", "v": shorten_number(shuffled)},
            ],
            shorten_number(profile.label_ceiling),
            {one.layer: shorten_number(one.untrained.label.published) for one in layers},
        ),
    }
    similar = {layer: each for layer, each in profile.similarities.items() if layer != IMAGE}
    for key, name in (("cka_input", "image"), ("cka_label", "label")):
        trained = {layer: value for layer, each in similar.items() if (value := getattr(each, name)) is not None}
        twin = {layer: shorten_number(getattr(each, f"untrained_{name}")) for layer, each in similar.items()}
        if trained:
            found[key] = _values({layer: _plain(value) for layer, value in trained.items()}, top=1.0, twin=twin)
    return found


def measure_costs(costs: Costs) -> dict[str, Values]:
    """The measures of what a network costs."""
    return {
        name: _values({layer: _plain(value) for layer, value in getattr(costs, name).items() if layer != IMAGE})
        for name in ("multiply_adds", "memory", "milliseconds")
        if getattr(costs, name)
    }


def list_bridges(profile: Profile) -> list[dict[str, Any]]:
    """Every part of every join: what it adds to the rest, and what is lost without it."""
    return [_bridge(profile, gate, part) for gate in profile.gates for part in gate.parts]


_FINE = {"word": "ok", "why": ""}


def _measure_linear(profile: Profile, own: dict[str, Any]) -> Values:
    """Usable bits, with the larger family, the untrained twin and what is told without a network."""
    windows = [(name, floor) for name, floor in profile.floors.items() if not name.endswith(f" {MLP}")]
    marks = [own, *({"name": name, "v": shorten_number(floor.value)} for name, floor in windows)]
    outline = {one.layer: point(one.bits[MLP].interval) for one in profile.layers if MLP in one.bits}
    twin = {one.layer: shorten_number(one.bits[UNTRAINED].value) for one in profile.layers if UNTRAINED in one.bits}
    layers = {one.layer: point(one.linear.interval) | _judge(profile, one) for one in profile.layers}
    return {**_values(layers, marks, own["v"], twin), "outline": outline or None}


def _judge(profile: Profile, layer: LayerProfile) -> dict[str, str]:
    """The verdict of a layer, with its reason where it is not ok."""
    word = profile.word(layer)
    if word == "fails control":
        told, position = layer.bits[SHUFFLED].value, profile.floors[POSITION].value
        why = f"labels exchanged between images can be read: {told:.3f} bits, and the position explains {position:.3f}"
        return {"word": word, "why": why}
    return {"word": word, "why": "" if word == "ok" else _explain(layer.linear)}


def _tell(quantity: Quantity) -> Values:
    word = quantity.verdict.word
    return point(quantity.interval) | {"word": word, "why": "" if word == "ok" else _explain(quantity)}


def _explain(quantity: Quantity) -> str:
    """Why a value is not known, and how many images would do."""
    verdict = quantity.verdict
    return verdict.reason + (f"; about {verdict.images} images would do" if verdict.images else "")


def _plain(value: float) -> Values:
    """A number without an interval."""
    return {"v": shorten_number(value), "lo": None, "hi": None} | _FINE


def _values(
    layers: Mapping[str, Values],
    marks: list[dict[str, Any]] | None = None,
    top: float | None = None,
    twin: Mapping[str, float | None] | None = None,
) -> Values:
    """A measure of all layers; drawn full at the largest value where nothing else is said."""
    if top is None:
        top = max((value["v"] for value in layers.values() if value["v"] is not None), default=None)
    known = None if twin is None else {layer: value for layer, value in twin.items() if value is not None}
    return {"layers": dict(layers), "outline": None, "twin": known or None, "marks": marks or [], "top": top}


def _doubt(layer: PaperLayer, with_control: bool) -> dict[str, str]:
    """Why a published estimate says nothing."""
    reasons: list[str] = list(dict.fromkeys(layer.trained.saturated))
    failed = with_control and layer.fails_control
    if failed:
        reasons.append("no larger than with shuffled labels")
    word = "saturated" if layer.trained.saturated else "fails control" if failed else "ok"
    return {"word": word, "why": "; ".join(reasons)}


def _lose_most(gate: Gate) -> tuple[str, Values]:
    """The join, and the Dice lost without the part that matters most."""
    part = max(gate.parts, key=lambda part: part.lost_dice.value)
    verdict = part.lost_dice.decide(GATE_SHARE)
    why = f"without {name_part(gate, part)}" + ("" if verdict.word == "ok" else f": {verdict.reason}")
    return gate.join, point(part.lost_dice.interval) | {"word": verdict.word, "why": why}


def _bridge(profile: Profile, gate: Gate, part: Part) -> dict[str, Any]:
    added = part.added[LINEAR]
    return {
        "from": part.source,
        "to": gate.join,
        "kind": part.kind,
        **point(added.interval),
        "word": part.status.word,
        "why": "; ".join(_explain_part(part)),
        "lost_dice": point(part.lost_dice.interval),
        "scale": shorten_number(profile.prior.value),
    }


def _explain_part(part: Part) -> Iterator[str]:
    """What decided on a part, what to do about it, and what says otherwise."""
    added = part.added[LINEAR]
    yield "it does not vary" if part.is_flat else added.decide(GATE_SHARE * added.scale).reason
    yield part.status.cure
    if part.status.images:
        yield f"about {part.status.images} images would tell"
    if part.flips:
        yield f"{', '.join(part.flips)} readers say otherwise"
