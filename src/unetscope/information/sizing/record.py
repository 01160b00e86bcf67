"""What was said before training of the sets that were tried, and what training showed; knows no images.

The lines are kept with the code, so that what is said comes with how often it was right.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

UNCHECKED = "not yet checked"
UNTOLD = "networks were trained, but 5 validation images could not tell"


@dataclass(frozen=True)
class Case:
    """One set of images.

    Attributes:
        name: Of the set.
        said: What was said before training.
        shown: What networks showed that were trained afterwards.
    """

    name: str
    said: str
    shown: str = UNCHECKED

    @property
    def checked(self) -> bool:
        """Whether networks that were trained to find out could tell."""
        return self.shown not in (UNCHECKED, UNTOLD)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"checked": self.checked}


RECORD: tuple[Case, ...] = (
    Case("dsb2018 (nuclei)", "depth 1", "at 128x128 depth 2 was as good as 4 (validation), and 1 lost .02 to .06 Dice"),
    Case("isbi2012 (membranes)", "depth 2", "depth 2 was as good as 4 by the mean; narrow networks gained by 4"),
    Case("hippocampus (volumes)", "depth 2 or more", "depth 2, the most that was tried, was the smallest as good"),
    Case("vnc_em (five classes)", "cannot tell: 2 to 3", UNTOLD),
)


def state_record(record: tuple[Case, ...] = RECORD) -> str:
    """How often it was found out whether such advice was right, as a sentence.

    Example:
        >>> state_record((Case("a", "depth 2"), Case("b", "depth 3", "depth 3 was best of 1 to 4")))
        'of 2 sets that were sized, 1 was checked by training: b (depth 3; depth 3 was best of 1 to 4)'
    """
    checked = [case for case in record if case.checked]
    said = "; ".join(f"{case.name} ({case.said}; {case.shown})" for case in checked)
    were = "was" if len(checked) == 1 else "were"
    if not checked:
        return f"none of the {len(record)} sets that were sized has been checked by training, so take this as a guess"
    return f"of {len(record)} sets that were sized, {len(checked)} {were} checked by training: {said}"
