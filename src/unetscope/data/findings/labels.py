"""Labels from which little or nothing can be learned; knows what was seen of images and labels."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import numpy as np

from unetscope.data.findings.evidence import Evidence, Rule, group_alike, name_images
from unetscope.data.glance import Glance
from unetscope.data.pairing import Problem

_FEWEST = 3
_OPPOSITE = 0.3  # of the usual difference in brightness, with the other sign
_TINY = 1e-3  # share of the pixels below which a few decide on a class


def _find_one_class(evidence: Evidence) -> Iterator[Problem]:
    """Nothing to tell apart."""
    present = np.flatnonzero(evidence.counts.any(axis=0))
    if len(present) < 2:
        held = f"only {evidence.classes[present[0]]}" if len(present) else "only pixels to ignore"
        yield Problem(
            evidence.root,
            f"the {len(evidence.glances)} label images of {evidence.root} hold {held}, and at least two classes are "
            "needed to learn from; annotate some pixels of each class",
        )


def _find_one_label_image(evidence: Evidence) -> Iterator[Problem]:
    """One label image for different images."""
    if _is_one_label_image(evidence):
        first = evidence.glances[0].label_file
        yield Problem(
            first,
            f"all {len(evidence.glances)} label images of {evidence.root} are the same as {first}, and the images "
            "differ; export the label image of each",
        )


def _find_other_palettes(evidence: Evidence) -> Iterator[Problem]:
    """Palette images in which the number of a color means another color in others; numbered objects may be so."""
    first: dict[tuple[int, ...], tuple[Glance, int]] = {}
    for glance in (glance for glance in evidence.glances if glance.objects is None):
        for number, color in glance.palette.items():
            other, known = first.setdefault(color, (glance, number))
            if known != number and other.palette.get(number, color) != color:
                yield Problem(
                    glance.label_file,
                    f"{glance.label_file} has the color {color} as number {number} of its palette, and "
                    f"{other.label_file} as number {known}, and a number must mean the same in all files; save them "
                    "with one palette, or in declared colors",
                )
                break


def _find_repeated_labels(evidence: Evidence) -> Iterator[Problem]:
    """The same labels for some different images."""
    telling = [] if _is_one_label_image(evidence) else [glance for glance in evidence.glances if not glance.is_blank]
    for same in group_alike(telling, lambda glance: glance.labels):
        if len({glance.pixels for glance in same}) > 1:
            yield Problem(
                same[1].label_file,
                f"{same[1].label_file} holds the same labels as {same[0].label_file} (the label images of "
                f"{name_images(same)}), and their images differ; export the wrong one again",
            )


def _find_empty(evidence: Evidence) -> Iterator[Problem]:
    """Images without foreground, and images without any label."""
    unsaid = [glance for glance in evidence.glances if not glance.counts.any()]
    empty = [glance for glance in evidence.glances if glance.counts.any() and not glance.counts[1:].any()]
    if np.count_nonzero(evidence.counts.any(axis=0)) < 2:
        return
    if empty:
        yield Problem(
            empty[0].label_file,
            f"{len(empty)} of {len(evidence.glances)} label images of {evidence.root}: {evidence.classes[0]} alone "
            f"({name_images(empty)}); annotate what was forgotten, and leave those that are truly empty",
        )
    if unsaid:
        yield Problem(
            unsaid[0].label_file,
            f"{len(unsaid)} of {len(evidence.glances)} label images of {evidence.root}: pixels to ignore alone "
            f"({name_images(unsaid)}), from which nothing is learned; annotate some pixels or move them away",
        )


def _find_inverted(evidence: Evidence) -> Iterator[Problem]:
    """Label images in which background and foreground are exchanged: share and brightness are those of the other."""
    telling = [glance for glance in evidence.glances if glance.contrast]
    if len(evidence.classes) != 2 or len(telling) < _FEWEST:
        return
    shares = {glance.name: float(glance.counts[1] / glance.counts.sum()) for glance in telling}
    share, contrast = median(shares.values()), median(glance.contrast for glance in telling)
    for glance in telling:
        is_other_share = abs(shares[glance.name] - (1 - share)) < abs(shares[glance.name] - share)
        if is_other_share and -glance.contrast / contrast > _OPPOSITE:
            yield Problem(
                glance.label_file,
                f"{glance.label_file} fits {glance.item.image} the other way round, judged by the others: background "
                "and foreground seem to be exchanged; look at it and mend it",
            )


def _find_rare_classes(evidence: Evidence) -> Iterator[Problem]:
    """Classes with too little to learn from."""
    total = evidence.counts.sum(axis=0)
    if np.count_nonzero(total) < 2:
        return
    learned = np.any([glance.counts > 0 for glance in evidence.in_role("train")], axis=0)
    for index, name in enumerate(evidence.classes):
        share = float(total[index] / total.sum())
        problem = ""
        if share == 0:
            problem = "occurs in no label image; annotate it, or leave it out of the declared classes"
        elif evidence.roles and not learned[index]:
            problem = "occurs in no image that trains, so it would never be predicted; annotate it in more images"
        elif share < _TINY:
            images = np.count_nonzero(evidence.counts[:, index])
            problem = (
                f"covers {100 * share:.2g} % of the labelled pixels, in {images} of {len(evidence.glances)} images; "
                "annotate more of it, or expect scores that a few pixels decide"
            )
        if problem:
            yield Problem(evidence.root, f"the class {name!r} of {evidence.root} {problem}")


def _is_one_label_image(evidence: Evidence) -> bool:
    """Whether all labels are the same and say something, and their images differ."""
    glances = evidence.glances
    are_same = len({glance.labels for glance in glances}) == 1 and not glances[0].is_blank
    return are_same and len({glance.pixels for glance in glances}) > 1


ERRORS: tuple[Rule, ...] = (_find_one_class, _find_other_palettes, _find_one_label_image)
WARNINGS: tuple[Rule, ...] = (_find_inverted, _find_repeated_labels, _find_empty, _find_rare_classes)
