"""A profile in a few sentences that need no information theory; knows profiles, measures nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

from unetscope.information.findings import EDGE, INSIDE, LINEAR, POSITION, Gate, LayerProfile, Part

if TYPE_CHECKING:
    from unetscope.information.profile import Profile

WORDS: Mapping[str, tuple[str, str]] = {
    "needed": ("adds what nothing else tells", "add what nothing else tells"),
    "redundant": (
        "varies but adds less than 1 % of H0 to what the other path tells",
        "vary but add less than 1 % of H0 to what the other path tells",
    ),
    "dead": ("does not vary at all (a fault of training)", "do not vary at all (a fault of training)"),
    "cannot tell": ("cannot be judged on these images", "cannot be judged on these images"),
}
"""What is said of one path, and of several."""

NAMED = 3  # names in a list, before "and so many more"


def describe(profile: Profile) -> tuple[str, ...]:
    """What a profile says, in plain words.

    Args:
        profile: The profile.

    Returns:
        Sentences: what can be read at the end; what pixels and positions alone tell; where training added it; what the
        paths through the network are for; how far all this can be trusted. Warnings come last.
    """
    return (
        _say_output(profile),
        _say_references(profile),
        _say_source(profile),
        *_say_gates(profile.gates),
        _say_trust(profile),
        *(f"{warning[0].upper()}{warning[1:]}." for warning in profile.warnings),
    )


def last_map(profile: Profile) -> LayerProfile:
    """The layer before the output: what the network's last 1x1 convolution reads."""
    return profile.layers[-2] if len(profile.layers) > 1 else profile.layers[-1]


def _say_output(profile: Profile) -> str:
    last, prior = last_map(profile), profile.prior.value
    value = last.linear
    told = (
        f"{value.value:.3f} of them ({value.value / prior:.0%}, give or take {value.interval.half_width / prior:.0%})"
    )
    text = (
        f"The label of a pixel holds {prior:.3f} bits, and a linear reader of the last map, {last.layer}, tells {told}"
    )
    if EDGE in last.bits and INSIDE in last.bits:
        edge, inside = (last.bits[name] for name in (EDGE, INSIDE))
        text += (
            f"; within 3 pixels of an edge it tells {edge.value / edge.scale:.0%} of what there is to know, elsewhere "
            f"{inside.value / inside.scale:.0%}"
        )
    return text + "."


def _say_references(profile: Profile) -> str:
    prior = profile.prior.value
    windows = {name: one for name, one in profile.floors.items() if name != POSITION}
    best = max(windows, key=lambda name: windows[name].value)
    last = last_map(profile)
    above = profile.beyond_position(last)
    return (
        f"Without any network, where a pixel lies tells {max(0.0, profile.floors[POSITION].value) / prior:.0%} of its "
        f"label, and the best small window of the image ({best.split()[1]} pixels wide) "
        f"{windows[best].value / prior:.0%}: the network's last map tells {above.value / prior:.0%} more than the "
        "position."
    )


def _say_source(profile: Profile) -> str:
    """Where training added most."""
    prior = profile.prior.value
    inner = profile.layers[:-1] or profile.layers
    gained = [(profile.beyond_twin(layer), layer.layer) for layer in inner]
    certain = [(gain, name) for gain, name in gained if gain.interval.low > 0]
    if not certain:
        return "No layer tells reliably more than the same network untrained: training may have failed."
    gain, name = max(certain, key=lambda pair: pair[0].value)
    return (
        f"Training added most at {name}, {gain.value / prior:.0%} of H0 above the untrained network, and something at "
        f"{len(certain)} of {len(gained)} layers."
    )


def _say_gates(gates: Sequence[Gate]) -> list[str]:
    """One sentence for each word that occurs."""
    if not gates:
        return ["The network has no skip, so that there is no gate to judge."]
    parts = [(gate, part) for gate in gates for part in gate.parts]
    said = []
    for word, (one, several) in WORDS.items():
        chosen = [(gate, part) for gate, part in parts if part.status.word == word]
        if chosen:
            what = one if len(chosen) == 1 else several
            said.append(f"{_list([_name(gate, part) for gate, part in chosen])} {what}{_ask(chosen)}.")
    return said


def _name(gate: Gate, part: Part) -> str:
    added = part.added[LINEAR]
    kind = "the up path" if part.kind == "up" else f"the skip {part.source}"
    return (
        f"{kind} into {gate.join} ({added.value:.3f} \u00b1 {added.interval.half_width:.3f} bits; "
        f"{round(part.lost_dice.value, 3) + 0.0:.3f} Dice)"
    )


def _list(names: Sequence[str]) -> str:
    shown = list(names)
    text = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    return text[0].upper() + text[1:]


def _ask(chosen: Sequence[tuple[Gate, Part]]) -> str:
    """How many images would tell, or that further networks would."""
    if chosen[0][1].added[LINEAR].tally.networks > 1 and chosen[0][1].status.word == "cannot tell":
        return ", where the networks differ; further seeds would tell"
    wanted = [part.status.images for _, part in chosen if part.status.images]
    return f"; about {max(wanted)} would tell" if wanted else ""


def _say_trust(profile: Profile) -> str:
    failures, count = profile.control_failures, len(profile.layers)
    words = [profile.word(layer) for layer in profile.layers]
    told = words.count("ok")
    text = f"{told} of {count} layers' values are known to 5 % of H0"
    needed = [layer.linear.verdict.images for layer in profile.layers if layer.linear.verdict.images]
    if told < count and needed:
        text += (
            f" (about {round(median(needed))} images would do for half of the others; there are {len(profile.images)})"
        )
    if failures:
        named = ", ".join(failures[:NAMED]) + (f" and {len(failures) - NAMED} more" if len(failures) > NAMED else "")
        return f"{text}; but labels exchanged between images can be read at {named}, so that nothing is proven there."
    return f"{text}, and labels exchanged between images are nowhere read better than their position explains."
