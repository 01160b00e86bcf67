"""The five questions of a page, answered from what came or with the command that would tell; measures nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from unetscope.information.findings import UNTRAINED
from unetscope.information.profile import Profile
from unetscope.information.sentences import describe
from unetscope.reporting.page.evidence_content import (
    capitalize,
    describe_comparison,
    describe_costs,
    list_sentences,
)
from unetscope.reporting.page.learning import describe_growth
from unetscope.reporting.page.numbers import format_ends, look_up
from unetscope.reporting.page.repetition import name_run
from unetscope.reporting.page.segmentation_content import list_problems
from unetscope.reporting.page.sources import Network, Sources
from unetscope.scores.overlap import Scores
from unetscope.scores.power import describe_evidence, interval
from unetscope.slimming.comparison_text import describe_power
from unetscope.slimming.plan_text import describe_network
from unetscope.wording import format_count, format_number

UNTOLD = "Cannot tell: nothing was given that says it."
NAMED = 3


def answer(sources: Sources) -> list[dict[str, Any]]:
    """The five answers, in the order in which they are asked."""
    return [_answer(sources, *question) for question in QUESTIONS]


def _answer(
    sources: Sources,
    name: str,
    question: str,
    tell: Callable[[Sources], Iterator[str]],
    lack: Callable[[Sources], str | None],
) -> dict[str, Any]:
    sentences = list(dict.fromkeys(tell(sources)))
    return {"id": name, "question": question, "sentences": sentences or [UNTOLD], "missing": lack(sources)}


# ------------------------------------------------------------------------------------------------------ segmenting


def _tell_segmentation(sources: Sources) -> Iterator[str]:
    for network in sources.networks:
        if network.scores is not None:
            yield from _tell_scores(sources.call(network), network, network.scores)
        elif network.run is not None:
            yield from _tell_validation(sources.call(network), network)
    if sources.comparison is not None:
        mean, seeds = sources.comparison.means[0], len(sources.comparison.rows[0].trainings)
        yield (
            f"{sources.comparison.rows[0].name}, trained {format_count(seeds, 'time')}, reaches a mean Dice of "
            f"{format_number(mean.value)} ({format_ends((mean.low, mean.high))}) on {sources.comparison.evidence}."
        )
    known = [one for one in sources.specimens if one.uncertainty is not None]
    if known:
        first = max(known, key=lambda one: one.uncertainty or 0.0)
        yield f"{sources.call(sources.networks[0])} is least sure of {first.name}: look at it first."


def _tell_scores(name: str, network: Network, scores: Scores) -> Iterator[str]:
    count = sum(image.dice is not None for image in scores.images)
    fresh = network.part == "test"
    images = format_count(count, f"{network.part} image")
    ends = scores.dice_interval
    between = f" (95 % of such sets of images: {format_ends(ends)})" if ends else ""
    which = "that training never saw" if fresh else "that chose the epoch, so that this is optimistic"
    yield f"{name} reaches a mean Dice of {format_number(scores.dice)}{between} on {images} {which}."
    if len(scores.classes) > 1:
        parts = []
        for at, each in enumerate(scores.classes):
            own = format_ends(interval(image.classes[at].dice for image in scores.images))
            parts.append(f"{each.name} {format_number(each.dice)} ({own})")
        yield f"By class: {', '.join(parts)}."
    judged = [image for image in scores.images if image.dice is not None]
    if len(judged) > 1:
        worst = min(judged, key=lambda image: image.dice or 0.0)
        yield f"Its worst image is {worst.name}, with a Dice of {format_number(worst.dice)}."


def _tell_validation(name: str, network: Network) -> Iterator[str]:
    """What training itself says, where nothing was scored."""
    assert network.run is not None
    best = network.run.checkpoint.provenance.get("validation")
    dice, epoch = look_up(best, "dice"), look_up(best, "epoch")
    if isinstance(dice, float):
        yield (
            f"{name} reached a validation Dice of {format_number(dice)} in epoch {epoch}; these images chose the "
            "epoch, so that this is optimistic."
        )


def _lack_segmentation(sources: Sources) -> str | None:
    if sources.specimens:
        return None
    run = next((name_run(network) for network in sources.networks if network.run is not None), "RUN")
    return f"unetscope report {run} --dataset {sources.dataset or 'DATASET'}"


# ------------------------------------------------------------------------------------------------------ information


def _tell_flow(sources: Sources) -> Iterator[str]:
    several = len([one for one in sources.networks if one.profile is not None or one.paper is not None]) > 1
    for network in sources.networks:
        lead = f"{sources.call(network)}: " if several else ""
        if network.profile is not None:
            yield from (f"{lead}{sentence}" for sentence in _tell_profile(network.profile)[0])
        if network.paper is not None:
            yield f"{lead}As published in 2021: {network.paper.verdict}"


def _tell_profile(profile: Profile) -> tuple[Sequence[str], Sequence[str]]:
    """What a profile says of the network, and how far it can be trusted, with its warnings.

    Of a profile without the references that its sentences speak of, only where labels are read best.
    """
    windows = [name for name in profile.floors if name.startswith("patch")]
    if windows and all(UNTRAINED in layer.bits for layer in profile.layers):
        told = describe(profile)
        trust = len(told) - 1 - len(profile.warnings)
        return told[:trust], told[trust:]
    best = max(profile.layers, key=lambda layer: layer.linear.value)
    read = f"Labels are read best at {best.layer}: {best.linear.value:.3f} of {profile.prior.value:.3f} bits per pixel."
    return (read,), tuple(map(capitalize, profile.warnings))


def _lack_flow(sources: Sources) -> str | None:
    if any(network.profile is not None for network in sources.networks):
        return None
    return f"unetscope profile {_run_or_word(sources)} {sources.dataset or 'DATASET'} --out profile.json"


# ------------------------------------------------------------------------------------------------------ design


def tell_design(sources: Sources) -> Iterator[str]:
    """How deep, how wide, which skips: by a search, a plan, or probes before training."""
    plan = sources.plan
    if sources.searches:
        yield from map(capitalize, sources.searches[0].sentences[:1])
    if plan is not None:
        yield from (capitalize(f"planned: {sentence}") for sentence in plan.summary or (describe_network(plan),))
        yield from (capitalize(one.words) for one in plan.decisions if "." not in one.subject)
    if sources.sizing is not None:
        depth, widths = sources.sizing["depth"], "-".join(map(str, sources.sizing["channels_about"]))
        sure = look_up(depth, "verdict", "word") == "ok"
        lead = (
            "Before training, small probes suggested" if sure else "Before training, small probes could not tell, but"
        )
        yield f"{lead} {look_up(depth, 'value')} poolings and widths of about {widths}."


def _lack_design(sources: Sources) -> str | None:
    if sources.plan is not None or sources.searches:
        return None
    return f"unetscope propose {_run_or_word(sources)} profile.json --out plan.json"


# ------------------------------------------------------------------------------------------------------ cost


def tell_cost(sources: Sources) -> Iterator[str]:
    """What searches and comparisons found, or what a plan would save."""
    said = list_sentences(sources)
    yield from said
    if sources.comparison is not None:
        yield from describe_comparison(sources.comparison)
    elif sources.plan is not None and not said:
        yield from filter(None, [describe_costs(sources.plan)])


def _lack_cost(sources: Sources) -> str | None:
    if sources.comparison is not None or sources.searches:
        return None
    return f"unetscope shrink {_run_or_word(sources)} {sources.dataset or 'DATASET'} --out smaller"


# ------------------------------------------------------------------------------------------------------ trust


def _tell_trust(sources: Sources) -> Iterator[str]:
    for network in sources.networks:
        lead = f"{sources.call(network)}: " if len(sources.networks) > 1 else ""
        if network.scores is not None:
            yield f"{lead}{capitalize(describe_evidence(network.scores))}"
        if network.profile is not None:
            yield from (f"{lead}{sentence}" for sentence in _tell_profile(network.profile)[1])
    yield from _tell_comparison(sources)
    if sources.inspection is not None:
        problems = list_problems(sources)
        yield (
            f"The check of the images found {format_count(len(problems), 'thing')} to look at: "
            f"{'; '.join(problems[:NAMED])}{'; ...' if len(problems) > NAMED else ''}."
            if problems
            else "The check of the images found nothing wrong with them."
        )
    if sources.sizing is not None:
        yield from describe_growth(sources.sizing)
    yield from map(capitalize, sources.warnings)


def _tell_comparison(sources: Sources) -> Iterator[str]:
    """What the images and seeds of a comparison can tell."""
    if sources.comparison is not None:
        yield from map(capitalize, (describe_power(sources.comparison), *sources.comparison.warnings))


def _lack_trust(sources: Sources) -> str | None:
    if any(network.scores is not None or network.profile is not None for network in sources.networks):
        return None
    return f"unetscope evaluate {_run_or_word(sources)} {sources.dataset or 'DATASET'}"


def _run_or_word(sources: Sources) -> str:
    """The first run, as a command names it."""
    first = sources.networks[0]
    return "RUN" if first.run is None else name_run(first)


Question = tuple[str, str, Callable[[Sources], Iterator[str]], Callable[[Sources], str | None]]

QUESTIONS: tuple[Question, ...] = (
    ("segment", "Does it segment well?", _tell_segmentation, _lack_segmentation),
    ("flow", "Where does the information flow, and where does it stop?", _tell_flow, _lack_flow),
    ("design", "How deep, how wide, which skips?", tell_design, _lack_design),
    ("cost", "What would smaller cost?", tell_cost, _lack_cost),
    ("trust", "How sure are we?", _tell_trust, _lack_trust),
)
