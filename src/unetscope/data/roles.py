"""Which images are learned from, chosen with and tested on; knows names, parts and groups, not files."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from unetscope.data.item import PARTS, Item, Part, name_few
from unetscope.errors import DataError

_FEWEST_FOR_TEST = 5


@dataclass(frozen=True)
class Split:
    """Names of images by role; no name has two roles.

    Attributes:
        train: To learn from.
        validation: To choose and to profile with.
        test: To score in the end; may be empty.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...] = ()

    @property
    def profile(self) -> tuple[str, ...]:
        """The images that information is measured on: those of validation."""
        return self.validation

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Read what `to_json` gave.

        Args:
            content: The mapping.

        Returns:
            An equal split.

        Raises:
            DataError: The mapping does not describe a split.
        """
        try:
            return cls(*(tuple(str(name) for name in content[role]) for role in PARTS))
        except (KeyError, TypeError) as error:
            raise DataError(f"{content!r} is not a split ({error}); train, validation and test are needed") from error

    def to_json(self) -> dict[str, Any]:
        """A mapping of plain values that `from_json` reads; all four roles are in it."""
        return {role: list(getattr(self, role)) for role in ("train", "validation", "profile", "test")}

    def only(self, names: Collection[str]) -> Self:
        """The same roles for these names alone.

        Example:
            >>> Split(("a", "b"), ("c",)).only({"a", "c"})
            Split(train=('a',), validation=('c',), test=())
        """
        return type(self)(*(tuple(name for name in getattr(self, part) if name in names) for part in PARTS))


def give_roles(items: Iterable[Item], split: Split) -> tuple[Item, ...]:
    """The items of a split, each with its role there as its part.

    Args:
        items: At least those of the split.
        split: Names by role.

    Returns:
        The items that have a role, in their order.

    Raises:
        DataError: A name has two roles, or there is no such image.
    """
    roles: dict[str, Part] = {}
    for part in PARTS:
        for name in getattr(split, part):
            if name in roles:
                raise DataError(f"{name} has the roles {roles[name]} and {part}, and one is needed; leave one out")
            roles[name] = part
    members = tuple(replace(item, part=roles[item.name]) for item in items if item.name in roles)
    missing = sorted(roles.keys() - {item.name for item in members})
    if missing:
        raise DataError(
            f"a split gives roles to {name_few(missing)}, and there is no such image; use the names in this dataset"
        )
    return members


def check_groups(items: Iterable[Item], place: str) -> None:
    """Refuse groups that reach over two parts.

    Args:
        items: Images with their groups and parts.
        place: Where the groups are declared, for the message.

    Raises:
        DataError: Images of one group are in two parts.
    """
    parts: dict[str, set[str]] = {}
    for item in items:
        parts.setdefault(item.group, set()).add(item.part or "train")
    divided = sorted(group for group, found in parts.items() if len(found) > 1)
    if divided:
        first, second = [_PURPOSES[part] for part in PARTS if part in parts[divided[0]]][:2]
        raise DataError(
            f"{place} puts images for {first} and for {second} into one group ({name_few(divided)}), so {second} "
            "would not be independent; move them to the same side"
        )


_PURPOSES = {"train": "training", "validation": "validation", "test": "testing"}


def draw_split(items: Sequence[Item], seed: int, validation: float, test: float) -> Split:
    """Divide images into roles, group by group, in the same way for the same seed on every machine.

    Images with the part "validation" or "test" have that role, and nothing is drawn for it. Otherwise test groups are
    drawn where there are at least 5 groups, and validation groups from the rest.

    Args:
        items: All images, in any order.
        seed: Of numpy's default generator.
        validation: Share of the groups that are not for testing; at least one group is taken.
        test: Share of all groups; 0 for none, otherwise at least one group is taken.

    Returns:
        Roles that are disjoint and cover all images.

    Raises:
        DataError: A share is out of range, or too few groups are left to train and to validate on.
    """
    _check_shares(validation, test)
    validated = {item.group for item in items if item.part == "validation"}
    tested = {item.group for item in items if item.part == "test"}
    drawn = _shuffle({item.group for item in items} - tested - validated, [seed])
    needed = 1 if validated else 2
    if not tested and len(drawn) >= _FEWEST_FOR_TEST:
        count = _share(test, len(drawn), left=needed)
        tested, drawn = set(drawn[:count]), drawn[count:]
    _check_enough(items, drawn, needed)
    return _by_role(items, validated or set(drawn[: _share(validation, len(drawn), left=1)]), tested)


def draw_folds(items: Sequence[Item], count: int, seed: int, validation: float) -> tuple[Split, ...]:
    """Divide images into folds, so that each is tested exactly once; parts that folders or lists give do not count.

    Args:
        items: All images, in any order.
        count: Folds, at least 2; the groups of two folds differ by at most one in number.
        seed: Of numpy's default generator.
        validation: Share of the groups that a fold does not test; at least one group is taken.

    Returns:
        One split a fold; each covers all images and divides no group.

    Raises:
        DataError: There are fewer groups than folds, or the share is out of range.
    """
    _check_shares(validation, 0)
    groups = {item.group for item in items}
    _check_folds(count, len(groups), len(items))
    drawn = _shuffle(groups, [seed])
    splits = []
    for fold in range(count):
        tested = set(drawn[fold::count])
        rest = _shuffle(groups - tested, [seed, fold])
        splits.append(_by_role(items, set(rest[: _share(validation, len(rest), left=1)]), tested))
    return tuple(splits)


def _by_role(items: Sequence[Item], validated: set[str], tested: set[str]) -> Split:
    """The split in which these groups validate and test and all others train."""
    return Split(
        train=tuple(item.name for item in items if item.group not in validated | tested),
        validation=tuple(item.name for item in items if item.group in validated),
        test=tuple(item.name for item in items if item.group in tested),
    )


def _shuffle(groups: Iterable[str], seed: list[int]) -> list[str]:
    """Groups in an order that depends on their names and the seed alone."""
    ordered = sorted(groups)
    return [ordered[index] for index in np.random.default_rng(seed).permutation(len(ordered))]


def _share(share: float, count: int, left: int) -> int:
    """A share of `count` as a number: at least 1 unless the share is 0, and at most what leaves `left`."""
    return min(max(1, round(share * count)), count - left) if share else 0


def _check_shares(validation: float, test: float) -> None:
    """Refuse shares that are no shares."""
    if not 0 < validation < 1 or not 0 <= test < 1:
        raise DataError(f"shares of {validation} for validation and {test} for testing came; between 0 and 1 is needed")


def _check_folds(count: int, groups: int, images: int) -> None:
    """Refuse more folds than groups, and folds that leave less than two groups to train and to validate on."""
    possible = [folds for folds in range(2, groups + 1) if groups - math.ceil(groups / folds) >= 2]
    if count not in possible:
        fix = f"choose {_span(possible)} folds" if possible else "annotate more images"
        raise DataError(
            f"{count} folds of {images} images in {groups} groups came; each fold needs at least 1 group to test and 2 "
            f"others to train and to validate on, so {fix}"
        )


def _span(numbers: Sequence[int]) -> str:
    """Neighboring numbers for a message."""
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def _check_enough(items: Sequence[Item], groups: Sequence[str], needed: int) -> None:
    """Refuse what cannot be trained and validated on."""
    if len(groups) >= needed:
        return
    if needed == 1 or not groups:
        goal = "1 is needed to train on" if needed == 1 else "2 are needed to train and to validate on"
        raise DataError(
            f"all annotated images are for validation or testing; at least {goal}, so take some out of these parts"
        )
    count = sum(item.group in groups for item in items)
    came = "1 annotated image" if count == 1 else f"{count} annotated images in {len(groups)} group"
    raise DataError(
        f"{came} came; at least 2{' groups' * (count > 1)} are needed, one to train on and one to validate on; "
        "annotate another image, or cut a large one into two files"
    )
