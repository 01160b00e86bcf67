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


def _find_strangers(evidence: Evidence) -> Iterator[Problem]:
    """Labels that have nothing to do with their image."""
    telling = [glance for glance in evidence.glances if not glance.is_blank]
    strangers = [glance for glance in telling if glance.is_stranger]
    if not strangers or find_misfit([glance.alignment for glance in telling]):
        return
    exchanged = find_exchanged({glance.name: glance.signature for glance in strangers if glance.signature})
    files = {glance.name: glance.label_file for glance in telling}
    for name, other in exchanged.items():
        image = next(glance.item.image for glance in strangers if glance.name == name)
        yield Problem(
            files[name], f"{files[name]} does not fit {image}, and {files[other]} does; exchange the label images"
        )
    rest = [glance for glance in strangers if glance.name not in exchanged]
    if median(glance.alignment.certainty for glance in telling) > _USUAL:
        yield from _name_strangers(rest)
    elif len(rest) == len(telling) >= _FEWEST:
        yield Problem(
            evidence.root,
            f"the label images of {evidence.root} fit their images no better than by chance; look at the outlines "
            "whether each belongs to its image",
        )


def _name_strangers(strangers: Sequence[Glance]) -> Iterator[Problem]:
    """Labels without any relation to their image, where others have one."""
    for glance in strangers:
        yield Problem(
            glance.label_file,
            f"{glance.label_file} fits {glance.item.image} no better than by chance, unlike the other label images; "
            "look whether it belongs to another image",
        )


ERRORS: tuple[Rule, ...] = (_find_common_misfit,)
WARNINGS: tuple[Rule, ...] = (_find_single_misfits, _find_strangers)
