"""Runs that are to be compared: what is known of each, whether they may be, and which are one network; no scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from statistics import median
from typing import Any

from unetscope.checkpoint import WEIGHTS, Checkpoint
from unetscope.data.blocks import share_pixels
from unetscope.data.dataset import Dataset
from unetscope.data.item import Item
from unetscope.data.reading import is_spaced
from unetscope.data.spacing import Spacing, resampled_shape
from unetscope.errors import DataError, SlimError
from unetscope.evaluation import Part
from unetscope.model.spec import UNetSpec
from unetscope.slimming.scoring import find_images

LENGTHS = ("epochs", "epoch_steps", "minutes")  # of a recipe: ways to say how many steps there are
BEGINNINGS = {"slice": "slices", "distill": "distillation"}  # what a training began from, in words


@dataclass(frozen=True)
class Image:
    """An image that is scored: its name, what its pixels are known by, and what belongs together with it."""

    name: str
    digest: str
    group: str


@dataclass(frozen=True)
class Contender:
    """One run.

    Attributes:
        run: Its folder.
        spec: The network.
        classes: Names of the classes.
        objects: Whether it tells objects apart.
        seed: Of its training.
        weights: Digest of its weights.
        file_bytes: Size of the file of its weights.
        training: How it was trained, but for the seed: recipe and beginning, plain values.
        seen: Digests of the images it has seen, by role.
        images: Those that it is to be scored on.
    """

    run: Path
    spec: UNetSpec
    classes: tuple[str, ...]
    objects: bool
    seed: int | None
    weights: str
    file_bytes: int
    training: Mapping[str, Any] = field(repr=False)
    seen: Mapping[str, Sequence[str]] = field(repr=False)
    images: tuple[Image, ...] = field(repr=False)

    @property
    def network(self) -> str:
        """What its other seeds have in common with it, as text: the network, and how it was trained."""
        return json.dumps([self.spec.to_json(), self.training], sort_keys=True)

    @property
    def learned(self) -> str:
        """What tells the images that its training saw, to learn from or to choose an epoch by, from those of others."""
        return hashlib.sha256(
            "\n".join(sorted({each for role in self.seen.values() for each in role})).encode()
        ).hexdigest()

    @property
    def width_name(self) -> str:
        """The network's widths by level, and its skips where it lacks some."""
        widths = "-".join(map(str, self.spec.level_widths))
        skips = self.spec.skip_levels
        return widths if len(skips) == self.spec.depth else f"{widths} skips {','.join(map(str, skips)) or 'none'}"


def read_contender(run: Path, dataset: Dataset, part: Part) -> Contender:
    """What is known of a run.

    Raises:
        CheckpointError: The folder is no finished run.
        DataError: The dataset does not fit the network, or has no image of that part.
    """
    checkpoint = Checkpoint.load(run)
    _, items = find_images(checkpoint, dataset, part)
    return Contender(
        run=run,
        spec=checkpoint.spec,
        classes=checkpoint.classes,
        objects=checkpoint.objects,
        seed=checkpoint.provenance.get("seed"),
        weights=checkpoint.digest(),
        file_bytes=(run / WEIGHTS).stat().st_size,
        training=_describe_training(checkpoint),
        seen={role: tuple(digests) for role, digests in checkpoint.provenance.get("seen", {}).items()},
        images=tuple(Image(item.name, item.digest(), item.group) for item in items),
    )


def check_comparable(contenders: Sequence[Contender], part: Part) -> None:
    """Refuse runs that cannot be compared.

    Raises:
        SlimError: They segment other things, hold the same weights, or are scored on other images.
        DataError: One has learned from an image that another is tested on.
    """
    first, known = contenders[0], dict[str, Path]()
    for each in contenders:
        _check_task(first, each)
        if each.weights in known:
            raise SlimError(
                f"{known[each.weights]} and {each.run} hold the same weights, and a copy is no other training; leave "
                "one of them out"
            )
        known[each.weights] = each.run
    for one, other in permutations(contenders, 2):
        _check_unseen(one, other, part)
    for each in contenders:
        if {image.digest for image in each.images} != {image.digest for image in first.images}:
            raise SlimError(
                f"{first.run} and {each.run} would be scored on other images ({len(first.images)} and "
                f"{len(each.images)}); compare runs that were trained on one division of the images"
            )


def group_contenders(contenders: Sequence[Contender]) -> dict[str, tuple[Contender, ...]]:
    """The trainings of each network, in the order in which they came, under a name for people.

    Trainings are those of one network where nothing but the seed differs. Networks of equal widths are told apart by
    what else is different.
    """
    groups: dict[str, list[Contender]] = {}
    for each in contenders:
        groups.setdefault(each.network, []).append(each)
    names = _name_apart([members[0] for members in groups.values()])
    return {name: tuple(members) for name, members in zip(names, groups.values(), strict=True)}


def find_usual_size(run: Path, dataset: Dataset, part: Part) -> tuple[int, ...]:
    """The median size, axis by axis, of the images that a run is scored on, as its network sees them.

    Returns:
        ([z,] y, x), pixels.
    """
    checkpoint = Checkpoint.load(run)
    seen, items = find_images(checkpoint, dataset, part)
    sizes = [_size_seen(seen, item, checkpoint.spacing) for item in items]
    return tuple(round(median(axis)) for axis in zip(*sizes, strict=True))


def _size_seen(dataset: Dataset, item: Item, target: Spacing | None) -> tuple[int, ...]:
    """The size of an image, brought to the network's spacing where that has one."""
    shape = tuple(dataset.read_image(item).shape[1:])
    spacing = dataset.read_spacing(item) if target else None
    if target is None or spacing is None or is_spaced(spacing, target):
        return shape
    return resampled_shape(shape, spacing.in_unit(target.unit).steps, target.steps)


def _describe_training(checkpoint: Checkpoint) -> dict[str, Any]:
    """Recipe and beginning; its length in steps where that is known, as several settings may say the same."""
    known, recipe = checkpoint.provenance, dict(checkpoint.recipe)
    recipe.pop("seed", None)
    if "steps" in known:
        recipe = {key: value for key, value in recipe.items() if key not in LENGTHS} | {"steps": known["steps"]}
    start = known.get("start", {})
    how = start.get("origin", {}).get("how") or ("given weights" if start.get("weights") else "scratch")
    return {**recipe, "from": BEGINNINGS.get(how, how), "teacher": "teacher" in known}


def _check_task(first: Contender, other: Contender) -> None:
    """Refuse networks that segment other things."""
    for what, one, two in (
        ("axes", first.spec.ndim, other.spec.ndim),
        ("image channels", first.spec.image_channels, other.spec.image_channels),
        ("classes", ", ".join(first.classes), ", ".join(other.classes)),
        ("objects told apart", first.objects, other.objects),
    ):
        if one != two:
            raise SlimError(
                f"{first.run} and {other.run} differ in {what} ({one} and {two}), so that their scores do not compare; "
                "give runs of one task"
            )


def _check_unseen(one: Contender, other: Contender, part: Part) -> None:
    """Refuse a run that has learned from an image that another is scored on as one that it has not seen."""
    roles = {"test": ("train", "validation"), "validation": ("train",), "all": ()}[part]
    known = {digest for role in roles for digest in other.seen.get(role, ())}
    blocks = [digest for digest in known if digest.endswith("]")]
    for image in one.images:
        whole = image.digest.partition("[")[0]
        if whole in known or any(share_pixels(image.digest, block) for block in blocks):
            raise DataError(
                f"{image.name} is a {part} image of {one.run}, and {other.run} has learned from it; compare runs that "
                "were trained on one division of the images: name the test images in the dataset, then train again"
            )


def _name_apart(networks: Sequence[Contender]) -> Iterator[str]:
    """A name for each, with what tells it from others of the same widths."""
    for index, network in enumerate(networks):
        alike = [each for each in networks if each.width_name == network.width_name]
        facts = [_list_facts(each) for each in alike]
        own = _list_facts(network)
        different = [key for key in own if len({str(each.get(key)) for each in facts}) > 1]
        told = ", ".join([network.width_name, *(f"{key} {own[key]}" for key in different)])
        twins = [each for each in networks[:index] if each.width_name == network.width_name]
        same = sum(_list_facts(each) == own for each in twins)
        yield f"{told} ({same + 1})" if same else told


def _list_facts(contender: Contender) -> dict[str, Any]:
    """What may differ between networks of the same widths by level."""
    spec = {key: value for key, value in contender.spec.to_json().items() if key not in ("widths", "skips")}
    return {**spec, **contender.training}
