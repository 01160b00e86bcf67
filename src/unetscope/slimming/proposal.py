"""From a profile to a plan: which levels, skips and channels can go, by a frozen rule; knows values, runs nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from unetscope.checkpoint import Checkpoint
from unetscope.errors import SlimError
from unetscope.information.findings import LINEAR, Kind, LayerProfile, Part
from unetscope.information.profile import Profile
from unetscope.model.spec import UNetSpec
from unetscope.slimming.channels import descending, order_by_weights
from unetscope.slimming.plan import Decision, SlimPlan, Trust
from unetscope.slimming.plan_text import describe_network
from unetscope.slimming.rules import Rule, latest_rule
from unetscope.slimming.shapes import Shape
from unetscope.slimming.targets import MEASURES, Meter, Target, format_amount, largest_within
from unetscope.slimming.weighing import check_measured, count_directions, count_needed, weigh

FLAT = 1.25
"""Widths of levels that differ from each other by at most this factor are as good as one width."""


def propose(
    checkpoint: Checkpoint,
    profile: Profile,
    target: Target = Target(),
    rule: Rule | None = None,
    meter: Meter = Meter(),
    bold: bool = False,
) -> SlimPlan:
    """Propose a smaller network.

    Args:
        checkpoint: The network.
        profile: Of this network, or of several of its design.
        target: What the smaller network must keep to.
        rule: How evidence decides; the latest frozen rule if None.
        meter: What networks cost.
        bold: Take the decisions too whose evidence only ranks (`relative`): to try them, not to trust them. A limit
            that the others do not meet is met this way in any case.

    Returns:
        The plan. Its spec is the network itself where nothing can go.

    Raises:
        SlimError: The profile is of another network, or no network of this kind keeps to the target.
    """
    _check_profile(checkpoint, profile)
    rule = rule or latest_rule()
    check_measured(profile, rule)
    evidence = _Evidence(checkpoint.spec, profile, rule, target.max_dice_loss)
    decisions = (evidence.decide_depth(), *evidence.decide_skips(), *evidence.decide_widths())
    kept = SlimPlan.keep_all(checkpoint.spec, checkpoint.digest())
    kept = kept.with_changes(order=_order_channels(checkpoint, profile), decisions=decisions, rule=rule.describe())
    plan = _take(kept, decisions, ("ok", "relative") if bold else ("ok",))
    if meter.excess(plan.spec, target) > 1:
        plan = _meet(_take(kept, decisions, ("ok", "relative")), target, meter)
    cost = {"before": meter.measure(plan.origin), "after": meter.measure(plan.spec)}
    plan = replace(plan, target=target.to_json(), cost=cost)
    return replace(plan, summary=tuple(_summarize(plan, profile)))


class _Evidence:
    """What a profile says about the parts of a network, under a rule."""

    def __init__(self, spec: UNetSpec, profile: Profile, rule: Rule, allowed: float) -> None:
        self.spec, self.profile, self.rule, self.allowed = spec, profile, rule, allowed
        self.gates = {spec.level(gate.join): gate for gate in profile.gates}
        self.dead = min((level for level, gate in self.gates.items() if gate.part("up").is_flat), default=spec.depth)

    def decide_depth(self) -> Decision:
        """The shallowest level into which nothing must come up."""
        depth = self.spec.depth
        judged = {level: self._judge(level, "up") for level in self.gates}
        ranks: tuple[Trust, ...] = ("ok", "relative")
        for trust in ranks:
            found = [level for level, (can_go, trusted) in judged.items() if can_go and trusted == trust]
            if found:
                part = self.gates[min(found)].part("up")
                return Decision(
                    "depth", depth, min(found), trust, _figures(part), self._say_cut(min(found), part, trust)
                )
        told: Trust = "ok" if judged and all(trusted == "ok" for _, trusted in judged.values()) else "cannot tell"
        figures = _figures(self.gates[max(self.gates)].part("up")) if self.gates else {}
        return Decision("depth", depth, depth, told, figures, self._say_kept(told))

    def decide_skips(self) -> Iterator[Decision]:
        """Skip by skip."""
        for level in self.spec.skip_levels:
            if level not in self.gates:
                continue
            part = self.gates[level].part("skip")
            can_go, trust = self._judge(level, "skip")
            words = self._say_skip(level, part, can_go)
            yield Decision(f"skip {level}", 1, 0 if can_go else 1, trust, _figures(part), words)

    def decide_widths(self) -> Iterator[Decision]:
        """Layer by layer; what a layer carries ranks widths and never decides them."""
        for layer in self.profile.layers:
            width = self.spec.widths.get(layer.layer)
            if width is None:
                continue
            directions = count_directions(layer, self.rule)
            after = self._placed(layer.layer, self.rule.count_channels(directions, width))
            trust: Trust = "relative" if after < width else "ok"
            words = (
                f"{layer.layer}: {after} of {width} channels, for {directions:.1f} {_DIRECTIONS[self.rule.widths_by]}"
            )
            yield Decision(layer.layer, width, after, trust, _measure(layer), words)

    def _placed(self, layer: str, width: int) -> int:
        """Values that are put where another layer's maxima were need as many channels as that layer keeps."""
        placing = self.spec.placed_by(layer)
        if placing is None:
            return width
        directions = count_directions(self.profile.layer(placing), self.rule)
        return self.rule.count_channels(directions, self.spec.widths[placing])

    def _judge(self, level: int, kind: Kind) -> tuple[bool, Trust]:
        """Whether a part can go, and how far that can be trusted: not below a dead path, which wants its cure first."""
        part = self.gates[level].part(kind)
        if part.is_flat:
            return True, "relative"
        can_go, trust = weigh(part, self.rule.depth_by if kind == "up" else self.rule.skips_by, self.allowed)
        return can_go, "relative" if can_go and level > self.dead else trust

    def _say_cut(self, level: int, part: Part, trust: Trust) -> str:
        if part.is_flat:
            return (
                f"what comes up into level {level} does not vary at all, {_CURE}; if it stays dead, a depth of {level} "
                "loses nothing"
            )
        how = "can be cut off" if trust == "ok" else "may perhaps be cut off"
        return f"everything below level {level} {how}: what comes up into it {_say_part(part)[3:]}"

    def _say_skip(self, level: int, part: Part, can_go: bool) -> str:
        if part.is_flat:
            return f"the skip of level {level} does not vary at all, {_CURE}; if it stays dead, it can go"
        return f"the skip of level {level} {'can go' if can_go else 'stays'}: {_say_part(part)}"

    def _say_kept(self, trust: Trust) -> str:
        if self.rule.depth_by == "keep":
            return f"all {self.spec.depth} poolings stay: this rule does not look at the depth"
        if trust == "ok":
            return f"all {self.spec.depth} poolings stay: every level is fed something that is needed from below"
        return "cannot tell which levels are needed: the intervals hold the thresholds; profile more images"


_CURE = "which is a fault of training: first retrain with a norm (--norm batch)"

_DIRECTIONS: Mapping[str, str] = {
    "rank": "directions that its activations use",
    "components": "principal components that keep 99 % of its bits",
    "worth": "channels that are each worth something",
    "keep": "directions, which this rule does not look at",
}


def _figures(part: Part) -> dict[str, float | None]:
    """The evidence about a part."""
    added, lost = part.added[LINEAR], part.lost_dice
    found = {
        "bits": added.value,
        "bits_low": added.interval.low,
        "bits_high": added.interval.high,
        "lost_dice": lost.value,
        "lost_dice_high": lost.interval.high,
    }
    return {name: round(value, 5) if np.isfinite(value) else None for name, value in found.items()}


def _measure(layer: LayerProfile) -> dict[str, float | None]:
    """The evidence about a layer."""
    return {
        "effective_rank": round(layer.effective_rank, 2),
        "bits": round(layer.linear.value, 4),
        "components": layer.components,
        "needed_channels": count_needed(layer) if layer.channels else None,
    }


def _say_part(part: Part) -> str:
    added, lost = part.added[LINEAR], part.lost_dice
    dice = f"{max(0.0, lost.value):.3f} Dice are lost (at most {lost.interval.high:.3f})"
    return (
        f"it adds {added.value:.3f} \u00b1 {added.interval.half_width:.3f} bits to what the rest tells, and without it "
        f"{'nobody knows how much Dice is lost' if np.isnan(lost.value) else dice}"
    )


def _check_profile(checkpoint: Checkpoint, profile: Profile) -> None:
    """Refuse a profile of another design, or of another training: paths are needed in one and dead in the next."""
    if profile.wiring != checkpoint.spec.wiring:
        raise SlimError(
            f"the profile of {profile.name!r} is of another network ({len(profile.layers)} layers) than the run's "
            f"({len(checkpoint.spec.wiring.layers)}); profile this run"
        )
    weights = profile.provenance.get("weights", checkpoint.digest())  # several pooled networks do not have one digest
    if weights != checkpoint.digest():
        raise SlimError(
            f"the profile of {profile.name!r} is of another training (weights {str(weights)[:12]}, and the run's are "
            f"{checkpoint.digest()[:12]}); profile this run"
        )


def _take(plan: SlimPlan, decisions: Sequence[Decision], trusted: Sequence[Trust]) -> SlimPlan:
    """The plan with those decisions that are trusted enough."""
    taken = {decision.subject: decision.after for decision in decisions if decision.trust in trusted}
    depth = taken.get("depth", plan.depth)
    skips = tuple(level for level in plan.skips if level < depth and taken.get(f"skip {level}", 1))
    widths = {layer: taken.get(layer, width) for layer, width in plan.widths.items()}
    return plan.with_changes(depth=depth, skips=skips, widths=widths)


def _meet(plan: SlimPlan, target: Target, meter: Meter) -> SlimPlan:
    """The plan narrowed, all layers by one factor, until it keeps to the limits."""
    spec = largest_within(Shape("plan", plan.spec).scaled, target, meter)
    narrowed = {plan.source_of(layer): width for layer, width in spec.widths.items()}
    return plan.with_changes(widths={**plan.widths, **narrowed})


def _order_channels(checkpoint: Checkpoint, profile: Profile) -> dict[str, tuple[int, ...]]:
    """Every layer's channels, by their worth where it is known of these weights, else by the size of their weights."""
    is_own = profile.provenance.get("weights") == checkpoint.digest()
    known = {
        one.layer: one for one in profile.layers if is_own and one.channels and one.layer in checkpoint.spec.widths
    }
    worth = {
        layer: descending([channel.worth.value for channel in profiled.channels]) for layer, profiled in known.items()
    }
    return order_by_weights(checkpoint) | worth


def _summarize(plan: SlimPlan, profile: Profile) -> Iterator[str]:
    """The whole plan in a few sentences."""
    cures = [part.source for gate in profile.gates for part in gate.parts if part.is_flat]
    if cures:
        yield f"{', '.join(cures)} carry nothing at all: retrain with a norm (--norm batch) before you cut"
    if plan.spec == plan.origin:
        yield "keep it: no part of this network can go by this evidence"
    else:
        yield describe_network(plan)
        yield _say_cost(plan)
        if any(plan.widths.get(decision.subject, decision.after) < decision.after for decision in plan.decisions):
            yield "its layers are narrower than the decisions say, all by one factor, to keep to the limits"
        if len(plan.spec.level_widths) > 1 and max(plan.spec.level_widths) <= FLAT * min(plan.spec.level_widths):
            width = round(float(np.mean(plan.spec.level_widths)))
            yield f"its levels are about equally wide: a flat network of width {width} does as well by this evidence"
    open_ones = [decision for decision in plan.decisions if decision.trust == "relative"]
    if open_ones:
        yield (
            f"{len(open_ones)} of {len(plan.decisions)} decisions only follow a ranking (relative): they are to be "
            "tried by training, not trusted"
        )


def _say_cost(plan: SlimPlan) -> str:
    parts = [
        f"{format_amount(plan.cost['after'][name])} instead of {format_amount(before)} {MEASURES[name]}"
        for name, before in plan.cost["before"].items()
    ]
    return "; ".join(parts)
