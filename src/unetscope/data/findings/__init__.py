"""What is wrong or suspicious in images that can all be read; knows what is remembered of them, reads no files."""

from __future__ import annotations

from unetscope.data.findings import copies, intensities, labels, positions
from unetscope.data.findings.evidence import Evidence
from unetscope.data.pairing import Problem

_ERRORS = (*labels.ERRORS, *positions.ERRORS, *copies.ERRORS)
_WARNINGS = (*positions.WARNINGS, *labels.WARNINGS, *copies.WARNINGS, *intensities.WARNINGS)


def find_errors(evidence: Evidence) -> tuple[Problem, ...]:
    """What would train a network that is wrong.

    Args:
        evidence: What was seen of at least one image.

    Returns:
        One sentence each, with its file.
    """
    return tuple(problem for rule in _ERRORS for problem in rule(evidence))


def find_warnings(evidence: Evidence) -> tuple[Problem, ...]:
    """What may be as it should be, but is worth a look.

    Args:
        evidence: What was seen of at least one image.

    Returns:
        One sentence each, with its file.
    """
    return tuple(problem for rule in _WARNINGS for problem in rule(evidence))
