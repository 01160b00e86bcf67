"""What the evidence about a part says under a rule; knows findings and rules, neither networks nor plans."""

from __future__ import annotations

from unetscope.errors import SlimError
from unetscope.information.findings import LINEAR, LayerProfile, Part
from unetscope.information.profile import Profile
from unetscope.information.quantity import GATE_SHARE
from unetscope.slimming.plan import Trust
from unetscope.slimming.rules import Evidence, Rule


def weigh(part: Part, by: Evidence, allowed: float) -> tuple[bool, Trust]:
    """What the evidence that a rule names says of a skip, or of what comes up.

    Args:
        part: It, at its gate.
        by: The evidence that counts.
        allowed: Dice that may be lost.

    Returns:
        Whether it can go, and how far that can be trusted: "ok" where the intervals tell, else "relative" where it can
        go and "cannot tell" where it stays.
    """
    if by == "keep":
        return False, "ok"
    lost = part.lost_dice
    ablation: tuple[bool, bool] = (lost.value < allowed, lost.interval.excludes(allowed))
    nothing = GATE_SHARE * part.added[LINEAR].scale
    bits = (part.added[LINEAR].value < nothing, part.status.word in ("redundant", "needed"))
    named = {"bits": (bits,), "ablation": (ablation,), "either": (bits, ablation), "both": (bits, ablation)}[by]
    voices = [can_go for can_go, _ in named]
    agreed = any(voices) if by == "either" else all(voices)
    decisive = [is_told for can_go, is_told in named if can_go == agreed]
    told = any(decisive) if agreed == (by == "either") else all(decisive)
    return agreed, "ok" if told else "relative" if agreed else "cannot tell"


def count_directions(layer: LayerProfile, rule: Rule) -> float:
    """What the channels of a layer follow, by a rule."""
    if rule.widths_by == "worth":
        return float(count_needed(layer))
    return float(layer.components or 0) if rule.widths_by == "components" else layer.effective_rank


def count_needed(layer: LayerProfile) -> int:
    """Channels of a layer that are each worth something, given the others."""
    return sum(channel.word == "needed" for channel in layer.channels)


def check_measured(profile: Profile, rule: Rule) -> None:
    """Refuse to go by what a profile does not have.

    Raises:
        SlimError: The rule's widths follow what was not measured.
    """
    if rule.widths_by == "worth" and not any(layer.channels for layer in profile.layers):
        raise SlimError(
            f"rule {rule.name!r} goes by the worth of single channels, and the profile has none; profile "
            "again without brief effort, and one network alone"
        )
    if rule.widths_by == "components" and all(layer.components is None for layer in profile.layers):
        raise SlimError(
            f"rule {rule.name!r} goes by principal components, and the profile has none; profile again with --thorough"
        )
