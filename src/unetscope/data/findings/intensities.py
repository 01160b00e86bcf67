"""Images whose numbers or pixel sizes are out of the ordinary; knows what was seen of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from unetscope.data.findings.evidence import Evidence, Rule, name_images
from unetscope.data.pairing import Problem
from unetscope.data.signatures import name_axes

_SATURATED = 0.5  # share of the pixels
_UNEVEN = 2.0  # largest step by the smallest


def _find_flat(evidence: Evidence) -> Iterator[Problem]:
    """Images without contrast, and images of which most is clipped."""
    for glance in evidence.glances:
        image, statistics = glance.item.image, glance.statistics
        if not any(statistics.std):
            yield Problem(
                image,
                f"{image} has the same value {statistics.low[0]:g} everywhere; export it again or move it away",
            )
        elif glance.saturated > _SATURATED:
            yield Problem(
                image,
                f"{100 * glance.saturated:.0f} % of the pixels of {image} have the largest value "
                f"{max(statistics.high):g}, where details are lost; export it without clipping if you can",
            )


def _find_mixed_types(evidence: Evidence) -> Iterator[Problem]:
    """Images stored with different types of numbers."""
    (usual, most), *others = Counter(glance.statistics.dtype for glance in evidence.glances).most_common()
    for name, count in others:
        odd = [glance for glance in evidence.glances if glance.statistics.dtype == name]
        yield Problem(
            odd[0].item.image,
            f"the images of {evidence.root} are not of one type: {most} of type {usual}, {count} of type {name} "
            f"({name_images(odd)}), so their values are not compared; save all with one type if they mean the same",
        )


def _find_uneven_spacing(evidence: Evidence) -> Iterator[Problem]:
    """Pixels of unknown or very different sizes."""
    known = [(glance, glance.spacing) for glance in evidence.glances if glance.spacing]
    unknown = [glance for glance in evidence.glances if not glance.spacing]
    if known and unknown:
        yield Problem(
            unknown[0].item.image,
            f"the size of pixels is not said by {len(unknown)} of {len(evidence.glances)} images of {evidence.root} "
            f"({name_images(unknown)}), so these are taken as they are; save it in every file",
        )
    if len({spacing.unit for _, spacing in known}) > 1:
        return
    for axis, letter in enumerate(name_axes(known[0][1].steps) if known else ""):
        ordered = sorted(known, key=lambda each: each[1].steps[axis])
        (fine, small), (coarse, large) = ordered[0], ordered[-1]
        if large.steps[axis] > _UNEVEN * small.steps[axis]:
            yield Problem(
                coarse.item.image,
                f"the pixels of {coarse.item.image} are {large.steps[axis]:g} {large.unit} long along {letter}, and "
                f"those of {fine.item.image} {small.steps[axis]:g}; look whether both are right",
            )


WARNINGS: tuple[Rule, ...] = (_find_flat, _find_mixed_types, _find_uneven_spacing)
