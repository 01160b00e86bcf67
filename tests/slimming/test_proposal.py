"""What a profile is known to say becomes the plan that follows from it, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from known_networks import NO, PERHAPS_NO, PERHAPS_YES, SPEC, YES, make_checkpoint, make_profile

from unetscope.checkpoint import Checkpoint
from unetscope.errors import SlimError
from unetscope.information.profile import pool_profiles
from unetscope.information.quantity import GATE_SHARE, Quantity
from unetscope.information.tally import Tally
from unetscope.model.spec import UNetSpec
from unetscope.slimming.plan import Decision, SlimPlan
from unetscope.slimming.proposal import propose
from unetscope.slimming.rules import Rule, latest_rule
from unetscope.slimming.shapes import multiply_adds_per_pixel
from unetscope.slimming.targets import Meter, Target

RULE = Rule("plain", "2026-01-31", depth_by="both", skips_by="both", widths_by="keep")


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return make_checkpoint()


def decision(plan: SlimPlan, subject: str) -> Decision:
    (found,) = (each for each in plan.decisions if each.subject == subject)
    return found


def everything(spec: UNetSpec) -> set[str]:
    return {"depth", *(f"skip {level}" for level in spec.skip_levels), *spec.widths}


# --- depth -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [(0,), (1,), (2,), (1, 2), (0, 1, 2)])
def test_what_lies_below_a_path_that_says_nothing_is_cut_off(checkpoint: Checkpoint, levels: tuple[int, ...]) -> None:
    plan = propose(checkpoint, make_profile(checkpoint, dict.fromkeys(levels, (YES, YES))), rule=RULE)
    assert decision(plan, "depth").trust == "ok"
    assert plan.depth == decision(plan, "depth").after == plan.spec.depth == min(levels)
    assert plan.widths == SPEC.widths
    assert plan.spec == SlimPlan.keep_all(SPEC, "").with_changes(depth=min(levels)).spec


def test_where_all_is_needed_all_is_kept(checkpoint: Checkpoint) -> None:
    plan = propose(checkpoint, make_profile(checkpoint), rule=RULE)
    assert plan.spec == SPEC
    assert {each.trust for each in plan.decisions} == {"ok"}
    assert {each.subject for each in plan.decisions} == everything(SPEC)
    assert plan.summary == ("keep it: no part of this network can go by this evidence",)
    assert propose(checkpoint, make_profile(checkpoint), rule=RULE, bold=True).spec == SPEC


def test_where_nothing_is_known_nothing_happens(checkpoint: Checkpoint) -> None:
    """Values that point to needing, in intervals that hold the threshold."""
    unknown = dict.fromkeys(range(3), (PERHAPS_NO, PERHAPS_NO))
    for bold in (False, True):
        plan = propose(checkpoint, make_profile(checkpoint, unknown, unknown), rule=RULE, bold=bold)
        assert plan.spec == SPEC
        assert decision(plan, "depth").trust == decision(plan, "skip 1").trust == "cannot tell"
        assert "cannot tell" in decision(plan, "depth").words


def test_what_only_ranks_is_tried_by_the_bold(checkpoint: Checkpoint) -> None:
    profile = make_profile(checkpoint, {1: (PERHAPS_YES, PERHAPS_YES)}, {0: (PERHAPS_YES, PERHAPS_YES)})
    timid, bold = (propose(checkpoint, profile, rule=RULE, bold=word) for word in (False, True))
    assert timid.decisions == bold.decisions
    assert decision(timid, "depth").trust == decision(timid, "skip 0").trust == "relative"
    assert timid.spec == SPEC
    assert (bold.depth, bold.skips) == (1, ())
    assert any("to be tried by training, not trusted" in sentence for sentence in timid.summary)


def test_what_is_known_goes_before_what_is_not(checkpoint: Checkpoint) -> None:
    profile = make_profile(checkpoint, {2: (YES, YES), 1: (PERHAPS_YES, PERHAPS_YES)})
    plan = propose(checkpoint, profile, rule=RULE)
    assert (plan.depth, decision(plan, "depth").trust) == (2, "ok")


@pytest.mark.parametrize(("loss", "cut"), [(0.01, False), (0.2, True)])
def test_what_may_be_lost_is_the_users_to_say(checkpoint: Checkpoint, loss: float, cut: bool) -> None:
    rule = replace(RULE, depth_by="ablation")
    plan = propose(checkpoint, make_profile(checkpoint), Target(max_dice_loss=loss), rule)
    assert (plan.depth == 0) == cut


def test_a_network_without_gates_is_kept() -> None:
    for spec in (UNetSpec.by_level((6,)), UNetSpec.by_level((6, 8), skips=())):
        checkpoint = make_checkpoint(spec)
        plan = propose(checkpoint, make_profile(checkpoint), rule=RULE)
        assert plan.spec == spec
        assert decision(plan, "depth").trust == "cannot tell"


# --- what the rule goes by ---------------------------------------------------------------------------------------

VOICES = {"no": (NO, NO), "yes": (YES, YES), "perhaps no": (PERHAPS_NO, PERHAPS_NO), "perhaps": (PERHAPS_YES,) * 2}


def expect(by: str, bits: str, dice: str) -> tuple[bool, str]:
    """What the words of a rule mean: what would have to come out for the outcome to be another?"""
    voices = {"bits": [bits], "ablation": [dice]}.get(by, [bits, dice])
    combine = any if by == "either" else all
    goes = combine(voice in ("yes", "perhaps") for voice in voices)
    swayed = ["no" if goes else "yes"]  # what is not known may turn out to be the opposite
    turned = [voice if voice in ("no", "yes") else swayed[0] for voice in voices]
    told = combine(voice == "yes" for voice in turned) == goes
    return goes, "ok" if told else "relative" if goes else "cannot tell"


@pytest.mark.parametrize("by", ["bits", "ablation", "either", "both"])
@pytest.mark.parametrize(("bits", "dice"), list(product(VOICES, VOICES)))
def test_the_words_of_a_rule_mean_what_they_say(checkpoint: Checkpoint, by: Any, bits: str, dice: str) -> None:
    goes, trust = expect(by, bits, dice)
    part = {1: (VOICES[bits][0], VOICES[dice][1])}
    depth = propose(checkpoint, make_profile(checkpoint, ups=part), rule=replace(RULE, depth_by=by))
    found = decision(depth, "depth")
    assert (found.after == 1, found.trust) == (goes, trust)
    skip = propose(checkpoint, make_profile(checkpoint, skips=part), rule=replace(RULE, skips_by=by))
    found = decision(skip, "skip 1")
    assert (found.after == 0, found.trust) == (goes, trust)
    assert skip.skips == ((0, 2) if goes and trust == "ok" else (0, 1, 2))


@pytest.mark.parametrize("bold", [False, True])
def test_a_rule_that_keeps_cuts_nothing_whatever_the_evidence(checkpoint: Checkpoint, bold: bool) -> None:
    silent = dict.fromkeys(range(SPEC.depth), (YES, YES))
    profile = make_profile(checkpoint, silent, silent)
    plan = propose(checkpoint, profile, rule=replace(RULE, depth_by="keep", skips_by="keep"), bold=bold)
    assert (plan.depth, plan.skips) == (SPEC.depth, SPEC.skip_levels)
    assert "this rule does not look at the depth" in decision(plan, "depth").words


# --- dead paths --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["bits", "ablation", "either", "both"])
def test_a_dead_path_is_first_offered_its_cure(checkpoint: Checkpoint, by: Any) -> None:
    """Nothing is known to come through it, or from below it; still nothing is cut before it was retrained."""
    silent = {1: (YES, YES), 2: (YES, YES)}
    profile = make_profile(checkpoint, silent, {2: (YES, YES)}, dead={1: "up"})
    rule = replace(RULE, depth_by=by, skips_by=by)
    plan = propose(checkpoint, profile, rule=rule)
    found = decision(plan, "depth")
    assert (found.after, found.trust, plan.spec) == (1, "relative", SPEC)
    assert found.words.index("retrain with a norm") < found.words.index("a depth of 1")
    assert "decoder.1.up" in plan.summary[0]
    assert "retrain with a norm (--norm batch) before you cut" in plan.summary[0]
    assert decision(plan, "skip 2").trust == "relative"
    assert propose(checkpoint, profile, rule=rule, bold=True).depth == 1


def test_above_a_dead_path_evidence_counts(checkpoint: Checkpoint) -> None:
    plan = propose(checkpoint, make_profile(checkpoint, {0: (YES, YES)}, dead={2: "up"}), rule=RULE)
    assert (plan.depth, decision(plan, "depth").trust) == (0, "ok")
    assert "before you cut" in plan.summary[0]


def test_a_dead_skip_is_first_offered_its_cure(checkpoint: Checkpoint) -> None:
    profile = make_profile(checkpoint, skips={0: (YES, YES)}, dead={0: "skip"})
    plan = propose(checkpoint, profile, rule=RULE)
    found = decision(plan, "skip 0")
    assert (found.after, found.trust, plan.skips) == (0, "relative", (0, 1, 2))
    assert found.words.index("retrain") < found.words.index("it can go")
    assert propose(checkpoint, profile, rule=RULE, bold=True).skips == (1, 2)


# --- skips -------------------------------------------------------------------------------------------------------


def test_skips_go_one_by_one_and_those_below_a_cut_go_with_it(checkpoint: Checkpoint) -> None:
    gone = {0: (YES, YES), 2: (YES, YES)}
    plan = propose(checkpoint, make_profile(checkpoint, skips=gone), rule=RULE)
    assert plan.skips == plan.spec.skip_levels == (1,)
    assert "without the skips of levels 0, 2" in plan.summary[0]
    cut = propose(checkpoint, make_profile(checkpoint, {2: (YES, YES)}, gone), rule=RULE)
    assert (cut.depth, cut.skips, cut.spec.skip_levels) == (2, (1,), (1,))
    assert "without the skips of levels 0" in cut.summary[0]


# --- widths ------------------------------------------------------------------------------------------------------

RANKS = {"encoder.0.conv1": 2.3, "encoder.1.conv2": 7.0, "bottleneck.conv1": 1.0, "decoder.0.up": 8.0}


def test_widths_follow_ranks_and_are_only_tried(checkpoint: Checkpoint) -> None:
    rule = replace(RULE, widths_by="rank", per_direction=1.5, narrowest=3)
    profile = make_profile(checkpoint, ranks=RANKS)
    timid, bold = (propose(checkpoint, profile, rule=rule, bold=word) for word in (False, True))
    assert timid.spec == SPEC
    expected = {"encoder.0.conv1": 4, "encoder.1.conv2": 8, "bottleneck.conv1": 3, "decoder.0.up": 8}
    assert bold.spec.widths == {**SPEC.widths, **expected}
    trusts = {each.subject: each.trust for each in bold.decisions}
    assert {name: trusts[name] for name in expected} == {
        "encoder.0.conv1": "relative", "encoder.1.conv2": "ok", "bottleneck.conv1": "relative", "decoder.0.up": "ok",
    }  # fmt: skip
    assert decision(bold, "encoder.0.conv1").figures["effective_rank"] == 2.3
    assert decision(bold, "encoder.0.conv1").figures["needed_channels"] is None


def test_widths_follow_the_worth_of_channels(checkpoint: Checkpoint) -> None:
    worths = {layer: (0.1,) * width for layer, width in SPEC.widths.items()}
    worths["encoder.0.conv1"] = (0.0, 0.2, 0.0, 0.0, 0.1, 0.0, 0.3, 0.0)
    profile = make_profile(checkpoint, worths=worths)
    plan = propose(checkpoint, profile, rule=replace(RULE, widths_by="worth", narrowest=1), bold=True)
    assert plan.spec.widths == {**SPEC.widths, "encoder.0.conv1": 3}
    assert plan.kept("encoder.0.conv1") == (1, 4, 6)
    assert plan.order["encoder.0.conv1"] == (6, 1, 4, 0, 2, 3, 5, 7)
    assert decision(plan, "encoder.0.conv1").figures["needed_channels"] == 3


def test_a_rule_by_worth_needs_single_channels(checkpoint: Checkpoint) -> None:
    with pytest.raises(SlimError, match="profile again without brief effort, and one network alone"):
        propose(checkpoint, make_profile(checkpoint), rule=replace(RULE, widths_by="worth"))


def test_widths_follow_the_components_that_keep_the_bits(checkpoint: Checkpoint) -> None:
    rule, known = replace(RULE, widths_by="components", narrowest=1), make_profile(checkpoint)
    with pytest.raises(SlimError, match="profile again with --thorough"):
        propose(checkpoint, known, rule=rule)
    counted = [replace(each, components=2 if each.layer == "encoder.0.conv1" else each.width) for each in known.layers]
    plan = propose(checkpoint, replace(known, layers=tuple(counted)), rule=rule, bold=True)
    assert plan.spec.widths == {**SPEC.widths, "encoder.0.conv1": 2}
    assert decision(plan, "encoder.0.conv1").figures["components"] == 2


@pytest.mark.parametrize("up", ["transposed", "nearest", "subpixel", "unpool"])
def test_channels_of_unknown_worth_are_ordered_by_their_weights(up: Any) -> None:
    spec = UNetSpec.by_level((3, 4), up=up)
    checkpoint = make_checkpoint(spec)
    weights = {name: np.asarray(array).copy() for name, array in checkpoint.weights.items()}
    weights["encoder.0.conv1.conv.weight"][:] = np.array([1, -3, 2]).reshape(3, 1, 1, 1)
    ups = weights["decoder.0.up.conv.weight"]
    rows = np.array([0.5, -0.1, 2.0])
    shape = (1, 3, 1, 1) if up == "transposed" else (-1, 1, 1, 1)
    ups[:] = (np.repeat(rows, 4) if up == "subpixel" else rows).reshape(shape)
    checkpoint = replace(checkpoint, weights=weights)
    order = propose(checkpoint, make_profile(checkpoint), rule=RULE).order
    assert order["encoder.0.conv1"] == (1, 2, 0)
    assert order["decoder.0.up"] == (2, 0, 1)
    assert {layer: sorted(channels) for layer, channels in order.items()} == {
        layer: list(range(width)) for layer, width in spec.widths.items()
    }


def test_what_unpools_is_as_wide_as_what_places_it() -> None:
    checkpoint = make_checkpoint(UNetSpec.by_level((8, 8, 8), up="unpool"))
    ranks = {"encoder.0.conv2": 5.0, "decoder.0.up": 2.0, "encoder.1.conv2": 3.0, "decoder.1.up": 8.0}
    rule = replace(RULE, widths_by="rank", narrowest=1)
    plan = propose(checkpoint, make_profile(checkpoint, ranks=ranks), rule=rule, bold=True)
    assert [plan.widths[name] for name in ranks] == [5, 5, 3, 3]
    small = propose(checkpoint, make_profile(checkpoint, ranks=ranks), Target(max_parameters=400), rule)
    assert small.cost["after"]["parameters"] <= 400


# --- targets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1, 0.02])
@pytest.mark.parametrize("measure_of", ["parameters", "multiply_adds"])
def test_limits_are_kept_whatever_the_evidence(checkpoint: Checkpoint, share: float, measure_of: str) -> None:
    limit = share * Meter().measure(SPEC)[measure_of]
    target = Target(**{f"max_{measure_of}": limit})
    for profile in (make_profile(checkpoint), make_profile(checkpoint, {1: (YES, YES)}, ranks=RANKS)):
        plan = propose(checkpoint, profile, target, replace(RULE, widths_by="rank"))
        assert plan.cost["after"] == Meter().measure(plan.spec)
        assert plan.cost["before"] == Meter().measure(SPEC)
        assert plan.cost["after"][measure_of] <= limit
        assert plan.target == target.to_json()
    narrowed = propose(checkpoint, make_profile(checkpoint), target, RULE)
    assert any("to keep to the limits" in sentence for sentence in narrowed.summary)


def test_limits_are_met_by_what_is_known_first(checkpoint: Checkpoint) -> None:
    """A cut that is trusted may be enough; what only ranks is left alone then."""
    profile = make_profile(checkpoint, {1: (YES, YES)}, ranks=RANKS)
    rule = replace(RULE, widths_by="rank")
    cut = propose(checkpoint, profile, rule=rule)
    target = Target(max_multiply_adds=multiply_adds_per_pixel(cut.spec))
    assert propose(checkpoint, profile, target, rule).spec == cut.spec


def test_impossible_limits_are_refused_with_the_nearest(checkpoint: Checkpoint) -> None:
    with pytest.raises(SlimError, match=r"at most 10 parameters cannot be had .* still takes \d+ parameters"):
        propose(checkpoint, make_profile(checkpoint), Target(max_parameters=10), RULE)


# --- words, and what is refused ----------------------------------------------------------------------------------


def test_a_flat_network_is_called_flat(checkpoint: Checkpoint) -> None:
    plan = propose(checkpoint, make_profile(checkpoint, {1: (YES, YES)}), rule=RULE)
    assert plan.spec.level_widths == (8, 8)
    assert "a flat network of width 8 does as well by this evidence" in plan.summary[-1]
    deeper = propose(checkpoint, make_profile(checkpoint, {2: (YES, YES)}), rule=RULE)
    assert not any("flat network" in sentence for sentence in deeper.summary)


def test_dice_that_nobody_knows_is_not_made_up(checkpoint: Checkpoint) -> None:
    nothing = Quantity(Tally.of(np.zeros(4), np.zeros(4)), 1.0, GATE_SHARE)
    profile = make_profile(checkpoint)
    gates = tuple(
        replace(gate, parts=tuple(replace(part, lost_dice=nothing) for part in gate.parts)) for gate in profile.gates
    )
    plan = propose(checkpoint, replace(profile, gates=gates), rule=replace(RULE, skips_by="ablation"))
    found = decision(plan, "skip 0")
    assert (found.after, found.trust, found.figures["lost_dice"]) == (1, "cannot tell", None)
    assert "nobody knows how much Dice is lost" in found.words
    assert "nan" not in found.words


def test_the_plan_says_by_which_rule(checkpoint: Checkpoint) -> None:
    profile = make_profile(checkpoint)
    assert propose(checkpoint, profile, rule=RULE).rule == RULE.describe()
    assert propose(checkpoint, profile).rule == latest_rule().describe()


def test_the_file_of_a_proposal_gives_the_same_plan(checkpoint: Checkpoint, tmp_path: Any) -> None:
    profile = make_profile(checkpoint, {1: (YES, PERHAPS_YES)}, dead={2: "skip"}, ranks=RANKS)
    plan = propose(checkpoint, profile, Target(max_parameters=900))
    plan.check_fits(checkpoint)
    plan.save(tmp_path / "plan.json")
    assert SlimPlan.load(tmp_path / "plan.json") == plan


def test_several_networks_of_the_design_may_be_pooled(checkpoint: Checkpoint) -> None:
    others = [make_checkpoint() for _ in range(2)]
    profiles = [make_profile(each, {1: (YES, YES)}, ranks=RANKS) for each in (checkpoint, *others)]
    plan = propose(checkpoint, pool_profiles(profiles), rule=replace(RULE, widths_by="rank", narrowest=1), bold=True)
    assert plan.weights == checkpoint.digest()
    assert (plan.depth, plan.widths["encoder.0.conv1"]) == (1, 3)


def test_profiles_of_other_networks_are_refused(checkpoint: Checkpoint) -> None:
    other = make_checkpoint(UNetSpec.by_level((8, 8)))
    with pytest.raises(SlimError, match=r"the profile of 'known' is of another network .*; profile this run"):
        propose(checkpoint, make_profile(other), rule=RULE)
    with pytest.raises(SlimError, match=r"the profile of 'known' is of another training .*; profile this run"):
        propose(checkpoint, make_profile(make_checkpoint()), rule=RULE)
