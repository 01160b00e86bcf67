"""Images that come twice, or nearly so; knows what was seen of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from unetscope.data.findings.evidence import PURPOSES, Evidence, Rule, group_alike, list_files
from unetscope.data.glance import Glance
from unetscope.data.item import PARTS
from unetscope.data.pairing import Problem
from unetscope.data.similarity import find_alike


@dataclass(frozen=True)
class NearDuplicate:
    """Two images in different roles that are nearly the same.

    Attributes:
        name: The one that is tested, or else validated with.
        other: The one that is validated with, or trained on.
        correlation: The largest over all shifts, from 0 to 1.
    """

    name: str
    other: str
    correlation: float


def find_near_duplicates(evidence: Evidence) -> tuple[NearDuplicate, ...]:
    """Images that are nearly the same as one in a role that comes before: training, validation, testing.

    Args:
        evidence: What was seen.

    Returns:
        Every image that has such a neighbor, with the nearest, the most alike first; equal images are not among them.
    """
    nearest: dict[str, NearDuplicate] = {}
    for earlier, later in combinations(PARTS, 2):
        known, new = evidence.in_role(earlier), evidence.in_role(later)
        for one, other, correlation in find_alike(_thumbnails(new), _thumbnails(known)):
            pair = NearDuplicate(new[one].name, known[other].name, correlation)
            is_closer = pair.name not in nearest or nearest[pair.name].correlation < correlation
            if is_closer and _are_different(new[one], known[other]):
                nearest[pair.name] = pair
    return tuple(sorted(nearest.values(), key=lambda pair: -pair.correlation))


def _find_contradictions(evidence: Evidence) -> Iterator[Problem]:
    """The same image with different labels."""
    for same in group_alike(evidence.glances, lambda glance: glance.pixels):
        for one, other in pairwise(same):
            if one.labels != other.labels:
                yield Problem(
                    other.label_file,
                    f"{one.item.image} and {other.item.image} are the same image, and {one.label_file} and "
                    f"{other.label_file} label it differently; keep the pair that is right",
                )


def _find_leaks(evidence: Evidence) -> Iterator[Problem]:
    """The same image in training or validation and in testing."""
    for same in group_alike(evidence.glances, lambda glance: glance.pixels):
        tested = [glance for glance in same if evidence.roles.get(glance.name) == "test"]
        seen = [glance for glance in same if glance not in tested and glance.name in evidence.roles]
        if tested and seen:
            purpose = PURPOSES[evidence.roles[seen[0].name]]
            yield Problem(
                tested[0].item.image,
                f"{tested[0].item.image} is for testing and is the same image as {seen[0].item.image}, which is for "
                f"{purpose}, so its score would prove nothing; remove one of them",
            )


def _find_copies(evidence: Evidence) -> Iterator[Problem]:
    """The same image and labels twice on one side of the split."""
    for same in group_alike(evidence.glances, lambda glance: glance.pixels + glance.labels):
        if len({evidence.roles.get(glance.name) == "test" for glance in same}) == 1:
            yield Problem(
                same[1].item.image,
                f"{list_files(same)} are the same image with the same labels, which then counts {len(same)} times; "
                "keep one of them",
            )


def _find_relatives(evidence: Evidence) -> Iterator[Problem]:
    """Nearly the same image in two roles."""
    files = {glance.name: glance.item.image for glance in evidence.glances}
    for pair in find_near_duplicates(evidence):
        here, there = (PURPOSES[evidence.roles[name]] for name in (pair.name, pair.other))
        yield Problem(
            files[pair.name],
            f"{files[pair.name]} (for {here}) and {files[pair.other]} (for {there}) are nearly the same image "
            f"(correlation {pair.correlation:.2f}), which makes scores too good; put both into one group in "
            f"{evidence.place}, or remove one",
        )


def _thumbnails(glances: Sequence[Glance]) -> list[np.ndarray[Any, Any]]:
    return [glance.thumbnail for glance in glances]


def _are_different(one: Glance, other: Glance) -> bool:
    """Whether they are neither equal nor parts of one file."""
    return one.pixels != other.pixels and one.item.image != other.item.image


ERRORS: tuple[Rule, ...] = (_find_contradictions, _find_leaks)
WARNINGS: tuple[Rule, ...] = (_find_relatives, _find_copies)
