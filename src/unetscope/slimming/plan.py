"""A plan for a smaller network, as a value and as a file to edit; knows specs and channels, neither weights nor images.

Three entries of the file decide: `depth`, `skips` and `widths`. Everything else says why, and is there for readers. A
plan is of one network: it keeps some of *its* channels, by their numbers.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from unetscope.errors import SlimError, SpecError
from unetscope.files import write_json
from unetscope.model.spec import UNetSpec
from unetscope.slimming.plan_text import lay_out
from unetscope.slimming.targets import MEASURES
from unetscope.tables import to_html
from unetscope.wiring import HEAD, IMAGE

if TYPE_CHECKING:
    from unetscope.checkpoint import Checkpoint

FORMAT = 1
Trust = Literal["ok", "relative", "cannot tell"]
Place = tuple[str | int, ...]
"""Keys, and numbers in lists, under which an entry of a file stands."""


@dataclass(frozen=True)
class Decision:
    """What is proposed for one level, skip or layer.

    Attributes:
        subject: "depth", "skip 1", or the name of a layer.
        before: Poolings, 1 for a skip that is there, or channels.
        after: The same in the slim network; 0 for a skip that goes.
        trust: "ok": the evidence decides, and the decision is taken; "relative": the evidence ranks but does not
            decide, so that the decision is to be tried; "cannot tell": there is none, and all stays as it was.
        figures: The evidence.
        words: The same for people.
    """

    subject: str
    before: int
    after: int
    trust: Trust
    figures: Mapping[str, float | None]
    words: str


@dataclass(frozen=True)
class SlimPlan:
    """Which channels, levels and skips of a network a smaller one keeps.

    Attributes:
        origin: The network to be slimmed.
        weights: Digest of its weights.
        depth: Poolings of the slim network; the level of that number becomes its bottleneck.
        skips: Levels whose skip stays.
        widths: Channels kept of every layer that stays, by the *origin's* name of the layer.
        order: Every layer's channels, by the origin's name, most worth keeping first.
        decisions: How it came to be.
        target: What was asked for.
        rule: Name and digest of the rule that proposed it; empty for a plan by hand.
        cost: What the network costs before and after, by measure.
        summary: Sentences about the whole.

    Raises:
        SlimError: It keeps what is not there.

    Example:
        >>> plan = SlimPlan.keep_all(UNetSpec.by_level((8, 16, 32)), "digest").with_changes(depth=1, skips=(0,))
        >>> plan.spec.level_widths, plan.source_of("bottleneck.conv2")
        ((8, 16), 'encoder.1.conv2')
    """

    origin: UNetSpec = field(repr=False)
    weights: str
    depth: int
    skips: tuple[int, ...]
    widths: Mapping[str, int]
    order: Mapping[str, tuple[int, ...]] = field(repr=False)
    decisions: tuple[Decision, ...] = field(default=(), repr=False)
    target: Mapping[str, Any] = field(default_factory=dict)
    rule: Mapping[str, str] = field(default_factory=dict)
    cost: Mapping[str, Mapping[str, float]] = field(default_factory=dict, repr=False)
    summary: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Refuse what the origin does not have."""
        for place, problem in _find_problems(self):
            raise _PlanError(place, problem)

    @classmethod
    def keep_all(cls, origin: UNetSpec, weights: str) -> Self:
        """The plan that changes nothing."""
        order = {layer: tuple(range(width)) for layer, width in origin.widths.items()}
        return cls(origin, weights, origin.depth, origin.skip_levels, dict(origin.widths), order)

    def with_changes(self, **changes: Any) -> Self:
        """The same plan with other decisions; what was said about the whole and its cost no longer holds."""
        return replace(self, **{"cost": {}, "summary": (), **changes})

    @cached_property
    def spec(self) -> UNetSpec:
        """The slim network."""
        names = _layer_names(self.origin, self.depth)
        return replace(
            self.origin,
            depth=self.depth,
            skips=tuple(level for level in self.skips if level < self.depth),
            strides=self.origin.level_strides[: self.depth],
            widths={layer: self.widths[self.source_of(layer)] for layer in names},
        )

    def source_of(self, layer: str) -> str:
        """The layer of the origin whose channels a layer of the slim network keeps."""
        if self.depth < self.origin.depth and layer.startswith("bottleneck."):
            return layer.replace("bottleneck", f"encoder.{self.depth}")
        return layer

    def kept(self, layer: str) -> tuple[int, ...]:
        """Numbers of the origin's channels that a layer of the slim network keeps, ascending."""
        if layer in (IMAGE, HEAD):
            return tuple(range(self.origin.width(layer)))
        source = self.source_of(layer)
        ordered = self.order[self.origin.placed_by(source) or source]  # values stay with the maxima that place them
        return tuple(sorted(ordered[: self.widths[source]]))

    def check_fits(self, checkpoint: Checkpoint) -> None:
        """Refuse to slim another network than the plan is for.

        Raises:
            SlimError: The checkpoint's network or its weights are not those of the plan.
        """
        if checkpoint.spec != self.origin or checkpoint.digest() != self.weights:
            raise SlimError(
                f"the plan is for another network (weights {self.weights[:12]}, and {checkpoint.digest()[:12]} came); "
                "channels go by their numbers, so that a plan fits one training only: propose one for this run"
            )

    def digest(self) -> str:
        """SHA-256 of what the plan decides, and of what network."""
        content = [self.origin.to_json(), self.weights, self.depth, list(self.skips), dict(self.widths), {
            layer: list(channels) for layer, channels in self.order.items()
        }]  # fmt: skip
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _repr_html_(self) -> str:
        """How a notebook displays it."""
        return to_html(lay_out(self))

    def save(self, path: Path | str) -> None:
        """Write the plan as JSON for people: what decides comes first.

        Raises:
            OutputError: The file cannot be written.
        """
        write_json(Path(path), self.to_json())

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a plan, edited or not.

        Raises:
            SlimError: The file cannot be read, or decides what cannot be; the message names the line.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8-sig")  # some editors mark a text so
        except (OSError, UnicodeDecodeError) as error:
            raise SlimError(f"{path} cannot be read ({error}); give a plan that `propose` wrote") from error
        try:
            content = json.loads(text, parse_constant=_refuse_constant)
        except json.JSONDecodeError as error:
            raise SlimError(f"{path}, line {error.lineno}: no JSON ({error.msg}); mend the line") from error
        except (ValueError, RecursionError) as error:
            raise SlimError(f"{path} cannot be read as a plan ({error}); give one that `propose` wrote") from error
        try:
            return cls.from_json(content)
        except _PlanError as problem:
            raise SlimError(f"{path}, line {_find_line(text, problem.place)}: {problem}") from problem

    def to_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` makes the same plan."""
        return {
            "format": FORMAT,
            "depth": self.depth,
            "skips": list(self.skips),
            "widths": dict(self.widths),
            "summary": list(self.summary),
            "cost": dict(self.cost),
            "decisions": [asdict(decision) for decision in self.decisions],
            "target": dict(self.target),
            "rule": dict(self.rule),
            "network": {"weights": self.weights, "spec": self.origin.to_json()},
            "order": {layer: " ".join(map(str, channels)) for layer, channels in self.order.items()},
        }

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """The plan that `to_json` wrote.

        Raises:
            SlimError: An entry is missing, unknown or impossible.
        """
        if not isinstance(content, Mapping) or content.get("format") != FORMAT:
            raise _PlanError(("format",), f"a plan of format {FORMAT} was needed; give one that `propose` wrote")
        known = set(cls.__dataclass_fields__) - {"origin", "weights"} | {"format", "network"}
        if unknown := [name for name in content if name not in known]:
            raise _PlanError((unknown[0],), f"a plan has no entry {unknown[0]!r}; take it out")
        if missing := [name for name in ("depth", "skips", "widths", "network", "order") if name not in content]:
            raise _PlanError((), f"the plan has no entry {missing[0]!r}; put it back, or propose anew")
        for name, kind in _KINDS.items():
            if name in content and not isinstance(content[name], kind):
                raise _PlanError((name,), f"{name} is {content[name]!r}; leave it in the form that `propose` wrote")
        return cls(
            origin=_read_origin(content["network"]),
            weights=str(content["network"]["weights"]),
            depth=content["depth"],
            skips=tuple(content["skips"]),
            widths=dict(content["widths"]),
            order={layer: _read_order(layer, channels) for layer, channels in content["order"].items()},
            decisions=_read_decisions(content.get("decisions", [])),
            target=content.get("target", {}),
            rule=content.get("rule", {}),
            cost=_read_cost(content.get("cost", {})),
            summary=tuple(_read_sentence(number, each) for number, each in enumerate(content.get("summary", ()))),
        )


_KINDS: Mapping[str, type] = {
    "skips": list, "widths": Mapping, "network": Mapping, "order": Mapping, "decisions": list, "target": Mapping,
    "rule": Mapping, "cost": Mapping, "summary": list,
}  # fmt: skip


_KINDS_OF_DECISION: Mapping[str, type] = {
    "subject": str, "before": int, "after": int, "trust": str, "figures": Mapping, "words": str,
}  # fmt: skip


class _PlanError(SlimError):
    """What is wrong with a plan, and under which keys it stands."""

    def __init__(self, place: Place, problem: str) -> None:
        super().__init__(problem)
        self.place = place


def _layer_names(origin: UNetSpec, depth: int) -> tuple[str, ...]:
    """The layers, but for the head, of the origin cut to a depth."""
    return tuple(UNetSpec.by_level((1,) * (depth + 1), convolutions=origin.convolutions, down=origin.down).widths)


def _find_problems(plan: SlimPlan) -> Iterator[tuple[Place, str]]:
    """What the origin does not have: where it stands in the file, and what to do about it; the first one counts."""
    origin = plan.origin
    if not _is_number(plan.depth) or not 0 <= plan.depth <= origin.depth:
        most = f"a whole number from 0 to {origin.depth}, as many poolings as the network has"
        yield ("depth",), f"depth is {plan.depth!r}; use {most}"
    there = f"some of {', '.join(map(str, origin.skip_levels))}" if origin.skip_levels else "none"
    for number, level in enumerate(plan.skips):
        if not _is_number(level) or level not in origin.skip_levels:
            yield ("skips", number), f"skips has level {level!r}, and the network has no such skip; use {there}"
    yield from _find_width_problems(plan)
    for layer in plan.order:
        if layer not in origin.widths:
            yield ("order", layer), f"the network has no layer {layer!r}; take the line out"
    for layer, width in origin.widths.items():
        if sorted(plan.order.get(layer, ())) != list(range(width)):
            yield ("order", layer), f"the order of {layer} must name each of its {width} channels once; put it back"


def _find_width_problems(plan: SlimPlan) -> Iterator[tuple[Place, str]]:
    origin = plan.origin
    for layer, width in plan.widths.items():
        if layer not in origin.widths:
            yield ("widths", layer), f"the network has no layer {layer!r}; take the line out"
        if not _is_number(width) or not 1 <= width <= origin.widths[layer]:
            yield ("widths", layer), f"{layer} is {width!r} wide; use 1 to {origin.widths[layer]} channels"
    needed = [plan.source_of(layer) for layer in _layer_names(origin, plan.depth)]
    for layer in needed:
        if layer not in plan.widths:
            yield ("widths",), f"widths has no {layer}; give it from 1 to {origin.widths[layer]} channels"
    for layer in needed:
        placing = origin.placed_by(layer)
        if placing and plan.widths[layer] != plan.widths[placing]:
            said = f"{layer} is {plan.widths[layer]} wide and {placing}, whose maxima place its values,"
            yield ("widths", layer), f"{said} {plan.widths[placing]}; give both the same width"


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _read_origin(content: Mapping[str, Any]) -> UNetSpec:
    if not isinstance(content.get("spec"), Mapping) or "weights" not in content:
        place = ("network", "spec") if "weights" in content else ("network",)
        raise _PlanError(place, "the plan does not say what network it is for; put it back, or propose anew")
    try:
        return UNetSpec.from_json(content["spec"])
    except (SpecError, TypeError) as error:
        raise _PlanError(("network", "spec"), f"the plan's network is none ({error}); put it back") from error


def _read_order(layer: str, channels: object) -> tuple[int, ...]:
    try:
        return tuple(map(int, str(channels).split()))
    except ValueError as error:
        raise _PlanError(("order", layer), f"the order of {layer} is {channels!r}; use channel numbers") from error


def _read_decisions(content: Sequence[Any]) -> tuple[Decision, ...]:
    return tuple(_read_decision(number, each) for number, each in enumerate(content))


def _read_decision(number: int, content: Any) -> Decision:
    try:
        decision = Decision(**content)
    except TypeError as error:
        raise _PlanError(("decisions", number), f"a decision is not in its form ({error}); put it back") from error
    for name, kind in _KINDS_OF_DECISION.items():
        if not isinstance(content[name], kind):
            raise _PlanError(("decisions", number, name), f"{name} of a decision is {content[name]!r}; put it back")
    return decision


def _read_cost(content: Mapping[str, Any]) -> Mapping[str, Mapping[str, float]]:
    sides: list[Any] = [content.get("before"), content.get("after")]
    known = all(isinstance(side, Mapping) and side.keys() <= MEASURES.keys() for side in sides)
    if content and not (known and sides[0].keys() == sides[1].keys() and all(map(_are_numbers, sides))):
        raise _PlanError(("cost",), "cost does not say what is known before and after; put it back, or take it out")
    return content


def _are_numbers(side: Mapping[str, Any]) -> bool:
    return all(isinstance(value, int | float) for value in side.values())


def _read_sentence(number: int, content: Any) -> str:
    if not isinstance(content, str):
        raise _PlanError(("summary", number), f"summary has {content!r}; put the sentence back, or take it out")
    return content


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no number")


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[][{},:]|[^][{},:"\s]+')


def _find_line(text: str, place: Place) -> int:
    r"""Number of the line in which an entry stands, as far down as it is there; of two of one name the last counts.

    Example:
        >>> text = '{\n "widths": {\n  "head": 0},\n "skips": [\n  1,\n  7]}'
        >>> _find_line(text, ("widths", "head")), _find_line(text, ("skips", 1)), _find_line(text, ("skips", "head"))
        (3, 6, 4)
    """
    found, at = 0, 0
    for start, path in _walk(text):
        if found <= len(path) and path == place[: len(path)]:
            found, at = len(path), start
    return text.count("\n", 0, at) + 1


def _walk(text: str) -> Iterator[tuple[int, Place]]:
    """Where every entry of a JSON text starts, and under which keys and numbers it stands."""
    path: list[Any] = []  # of the objects and lists that are open; None where a key comes next
    for token in _TOKEN.finditer(text):
        word = token.group()
        if word == ",":
            path[-1] = path[-1] + 1 if isinstance(path[-1], int) else None
        elif word in "]}":
            path.pop()
        elif word != ":":
            is_key = bool(path) and path[-1] is None
            if is_key:
                path[-1] = json.loads(word)
            if path and (is_key or isinstance(path[-1], int)):
                yield token.start(), tuple(path)
            if word in "[{":
                path.append(0 if word == "[" else None)
