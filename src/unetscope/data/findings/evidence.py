"""Everything that was seen of a dataset, and how images are named in a sentence; judges nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unetscope.data.glance import Glance
from unetscope.data.item import Part, name_few
from unetscope.data.pairing import Problem

PURPOSES: Mapping[Part, str] = {"train": "training", "validation": "validation", "test": "testing"}

_MOST_NAMED = 5


@dataclass(frozen=True)
class Evidence:
    """Everything that was seen of a dataset.

    Attributes:
        root: Its folder.
        place: The file where more can be declared.
        classes: Names in class order.
        glances: The images that could be read.
        roles: Role of an image by its name; empty where they cannot be divided.
    """

    root: Path
    place: Path
    classes: tuple[str, ...]
    glances: tuple[Glance, ...]
    roles: Mapping[str, Part]

    def in_role(self, part: Part) -> list[Glance]:
        """The images of a role."""
        return [glance for glance in self.glances if self.roles.get(glance.name) == part]

    @property
    def counts(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Labelled pixels (images, classes)."""
        return np.array([glance.counts for glance in self.glances], np.int64).reshape(-1, len(self.classes))


Rule = Callable[[Evidence], Iterator[Problem]]


def group_alike(glances: Iterable[Glance], key: Callable[[Glance], str]) -> list[list[Glance]]:
    """Images that have the same key as another one, group by group."""
    groups: dict[str, list[Glance]] = defaultdict(list)
    for glance in glances:
        groups[key(glance)].append(glance)
    return [group for group in groups.values() if len(group) > 1]


def name_images(glances: Sequence[Glance]) -> str:
    """Names for a message, not too many."""
    return name_few([glance.name for glance in glances], _MOST_NAMED)


def list_files(glances: Sequence[Glance]) -> str:
    """Image files for a message, not too many."""
    return name_few([str(glance.item.image) for glance in glances], _MOST_NAMED)
