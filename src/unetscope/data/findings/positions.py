"""Labels that lie elsewhere than what they label; knows what was seen of images and labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from unetscope.data.alignment import TELLING, describe_move, find_exchanged, find_misfit
from unetscope.data.findings.evidence import Evidence, Rule
from unetscope.data.glance import Glance
from unetscope.data.pairing import Problem

_USUAL = 4 * TELLING
"""Certainty of the median image from which one without any is strange."""

_FEWEST = 3


def _find_common_misfit(evidence: Evidence) -> Iterator[Problem]:
    """Labels that all lie wrong in the same way."""
    misfit = find_misfit([glance.alignment for glance in evidence.glances])
    if misfit:
        where = "the label image fits its image" if misfit.images == 1 else "the label images fit their images"
        yield Problem(
            evidence.root,
            f"{where} in {evidence.root} better {describe_move(misfit.shift, misfit.transform)}: as they are, "
            f"{100 * misfit.lost:.0f} % of the information that both share is lost, judged by {misfit.images} of "
            f"{len(evidence.glances)}; mend the step that wrote them",
        )


def _find_single_misfits(evidence: Evidence) -> Iterator[Problem]:
    """Single images whose labels lie wrong."""
    if find_misfit([glance.alignment for glance in evidence.glances]):
        return
    for glance in evidence.glances:
        found = glance.alignment
        if found.is_suspicious:
            yield Problem(
                glance.label_file,
                f"{glance.label_file} fits {glance.item.image} better {describe_move(found.shift, found.transform)} "
                f"({found.best_bits:.3f} instead of {max(found.bits, 0):.3f} bits per pixel); look at its outline and "
                "mend it",
            )


def _find_exchanged(evidence: Evidence) -> Iterator[Problem]:
    """Labels that were saved beside the wrong image."""
    glances = {glance.name: glance for glance in evidence.glances}
    for name, other in _match_strangers(evidence).items():
        own = glances[name]
        yield Problem(
            own.label_file,
            f"{own.label_file} does not fit {own.item.image}, and {glances[other].label_file} does; exchange the label "
            "images",
        )


def _find_strangers(evidence: Evidence) -> Iterator[Problem]:
    """Labels that have nothing to do with their image, nor with another one that is known."""
    telling = [glance for glance in evidence.glances if not glance.is_blank]
    matched = _match_strangers(evidence)
    strangers = [glance for glance in telling if glance.is_stranger and glance.name not in matched]
    if not strangers or find_misfit([glance.alignment for glance in telling]):
        return
    if median(glance.alignment.certainty for glance in telling) > _USUAL:
        yield from _name_strangers(strangers)
    elif len(strangers) == len(telling) >= _FEWEST:
        yield Problem(
            evidence.root,
            f"the label images of {evidence.root} fit their images no better than by chance; look at the outlines "
            "whether each belongs to its image",
        )


def _match_strangers(evidence: Evidence) -> dict[str, str]:
    """Images on which the labels of another fit; nothing where all labels lie wrong in the same way."""
    if find_misfit([glance.alignment for glance in evidence.glances]):
        return {}
    return find_exchanged({glance.name: glance.signature for glance in evidence.glances if glance.signature})


def _name_strangers(strangers: Sequence[Glance]) -> Iterator[Problem]:
    """Labels without any relation to their image, where others have one."""
    for glance in strangers:
        yield Problem(
            glance.label_file,
            f"{glance.label_file} fits {glance.item.image} no better than by chance, unlike the other label images; "
            "look whether it belongs to another image",
        )


ERRORS: tuple[Rule, ...] = (_find_common_misfit, _find_exchanged)
WARNINGS: tuple[Rule, ...] = (_find_single_misfits, _find_strangers)
