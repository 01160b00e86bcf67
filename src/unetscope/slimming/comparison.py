"""Networks side by side: what they cost, how they score, and what may be said of it; knows runs, not how to make them.

Everything said follows from what the rows keep: the Dice of every image by every training, the times of every round.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any, Self

import numpy as np

from unetscope.checkpoint import record_versions
from unetscope.data.dataset import Dataset
from unetscope.engines.engine import estimate_memory
from unetscope.errors import SlimError
from unetscope.evaluation import Part
from unetscope.files import write_json
from unetscope.machine import describe_machine
from unetscope.model.cost import count_cost
from unetscope.model.geometry import fitting_shape, margin
from unetscope.model.spec import UNetSpec
from unetscope.scores.difference import (
    MARGIN,
    Difference,
    GroupMean,
    Spread,
    Word,
    check_margin,
    compare_groups,
    detectable,
    estimate_mean,
    expect_chance,
    judge,
    measure_spread,
)
from unetscope.scores.power import is_too_small
from unetscope.slimming.comparison_text import lay_out
from unetscope.slimming.contenders import (
    Contender,
    check_comparable,
    find_usual_size,
    group_contenders,
    read_contender,
)
from unetscope.slimming.rows import Row, Training
from unetscope.slimming.scoring import score_run
from unetscope.slimming.speed import Timing, Way, list_ways, time_networks
from unetscope.slimming.targets import SIDES
from unetscope.tables import to_html

FORMAT = 1

OnStep = Callable[[float, int, str], None]


@dataclass(frozen=True)
class ComparisonSettings:
    """How to compare.

    Attributes:
        part: Which images are scored, as in `evaluate`.
        margin: Dice that a network may lose and still be called as good.
        ways: Engines and precisions that networks are timed in; none for no times.
    """

    part: Part = "test"
    margin: float = MARGIN
    ways: tuple[Way, ...] = field(default_factory=list_ways)

    def __post_init__(self) -> None:
        """Refuse a margin that is none."""
        check_margin(self.margin)


@dataclass(frozen=True)
class Comparison:
    """Networks side by side, the first of them the one that the others are compared with.

    Attributes:
        rows: One for each network.
        images: Names of the scored images.
        groups: The group of each; its own name where none belongs to it.
        size: The usual size of an image, ([z,] y, x), as networks see it.
        part: Which images were scored.
        margin: Dice that a network may lose and still be called as good.
        provenance: Versions, machine, dataset.
    """

    rows: tuple[Row, ...]
    images: tuple[str, ...]
    groups: tuple[str, ...]
    size: tuple[int, ...]
    part: Part
    margin: float
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the foreground classes."""
        return tuple(self.rows[0].trainings[0].dice)

    @property
    def evidence(self) -> str:
        """What the scores rest upon, in words: how many images of which part, and groups where these are fewer."""
        count, groups = len(self.images), len(set(self.groups))
        what = "image" if self.part == "all" else f"{self.part} image"
        return f"{count} {what}{'s' if count > 1 else ''}" + (f" in {groups} groups" if groups < count else "")

    @cached_property
    def means(self) -> tuple[GroupMean, ...]:
        """The mean Dice of each network."""
        return tuple(estimate_mean(row.scores, self.groups) for row in self.rows)

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        """What each network after the first scores more than the first."""
        return tuple(compare_groups(self.rows[0].scores, row.scores, self.groups) for row in self.rows[1:])

    @property
    def words(self) -> tuple[Word, ...]:
        """What may be said of each network after the first."""
        return tuple(judge(each, self.margin) for each in self.differences)

    @cached_property
    def chance(self) -> Difference | None:
        """What another training of the first network would differ by; None where it was trained once."""
        return expect_chance(self.rows[0].scores, self.groups)

    @property
    def chance_word(self) -> Word:
        """What would be said of another training of the first network, if it came out as expected."""
        return judge(self.chance, self.margin) if self.chance else "no verdict"

    @property
    def against_others(self) -> tuple[float, ...]:
        """The mean Dice of each training of the first network, less that of its others; empty where there are none."""
        dice = np.nanmean(self.rows[0].scores, axis=1)
        return tuple(((dice - dice.mean()) * len(dice) / (len(dice) - 1)).tolist()) if len(dice) > 1 else ()

    @cached_property
    def spread(self) -> Spread | None:
        """How far the first network's own trainings scatter; None where it was trained once."""
        return measure_spread(self.rows[0].scores, self.groups)

    @property
    def detectable(self) -> float:
        """The smallest difference that these images tell, with the first network's seeds and the fewest of another."""
        first = len(self.rows[0].trainings)
        fewest = min((len(row.trainings) for row in self.rows[1:]), default=first)
        return detectable(self.means[0].images, (first, fewest), self.spread or Spread())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader has to know before believing the words."""
        return tuple(_list_warnings(self))

    def _repr_html_(self) -> str:
        """How a notebook displays it."""
        return to_html(lay_out(self))

    def to_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` makes the same comparison, and what follows from them."""
        judged = zip([None, *self.differences], [None, *self.words], strict=True)
        follows = [
            {"dice": asdict(own), "difference": asdict(difference) if difference else None, "word": word}
            for own, (difference, word) in zip(self.means, judged, strict=True)
        ]
        return {
            "format": FORMAT,
            "part": self.part,
            "margin": self.margin,
            "size": list(self.size),
            "detectable": self.detectable if isfinite(self.detectable) else None,
            "spread": asdict(self.spread) if self.spread else None,
            "chance": asdict(self.chance) if self.chance else None,
            "against_others": list(self.against_others),
            "warnings": list(self.warnings),
            "rows": [{**row.to_json(), **known} for row, known in zip(self.rows, follows, strict=True)],
            "images": list(self.images),
            "groups": list(self.groups),
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The comparison that `to_json` wrote; what follows from the scores is computed anew.

        Raises:
            SlimError: These are not the values of a comparison.
        """
        try:
            made = cls(
                rows=tuple(Row.from_json(row) for row in content["rows"]),
                images=tuple(content["images"]),
                groups=tuple(content["groups"]),
                size=tuple(content["size"]),
                part=content["part"],
                margin=float(content["margin"]),
                provenance=content["provenance"],
            )
            check_margin(made.margin)
            _check_whole(made)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise SlimError(f"this is no comparison ({type(error).__name__}: {error}); compare again") from error
        return made

    def save(self, path: Path) -> None:
        """Write the comparison as JSON, whole or not at all.

        Raises:
            OutputError: The file cannot be written.
        """
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a comparison.

        Raises:
            SlimError: It cannot be read, or is none.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise SlimError(f"{path} cannot be read as a comparison ({error}); compare again") from error
        return cls.from_json(content)


def compare(
    runs: Sequence[Path],
    dataset: Dataset,
    settings: ComparisonSettings | None = None,
    on_step: OnStep | None = None,
) -> Comparison:
    """Compare trained networks on the same images.

    Runs that differ in nothing but the seed are one network. Scores are kept in the run folders; times are measured.

    Args:
        runs: Run folders, at least one; the first run's network is the one that the others are compared with.
        dataset: Annotated images.
        settings: How to compare; `ComparisonSettings()` if None.
        on_step: Told how much is done, how much there is to do, and what is going on.

    Returns:
        The comparison.

    Raises:
        CheckpointError: A folder is no finished run.
        DataError: The dataset does not fit, or a network has learned from an image that another is tested on.
        SlimError: The networks cannot be compared.
    """
    settings = settings or ComparisonSettings()
    if not runs:
        raise SlimError("no run came; give at least one run folder")
    contenders = [read_contender(Path(run), dataset, settings.part) for run in runs]
    check_comparable(contenders, settings.part)
    tell = _Steps(len(contenders) + len(settings.ways), on_step)
    trainings = {each.run: _score(each, contenders[0], dataset, settings.part, tell) for each in contenders}
    groups = group_contenders(contenders)
    timings = _time_all([members[0].spec for members in groups.values()], settings.ways, tell)
    size = find_usual_size(Path(runs[0]), dataset, settings.part)
    rows = (
        _make_row(name, members, tuple(trainings[each.run] for each in members), (size, own))
        for (name, members), own in zip(groups.items(), timings, strict=True)
    )
    return Comparison(
        rows=tuple(rows),
        images=tuple(image.name for image in contenders[0].images),
        groups=tuple(image.group for image in contenders[0].images),
        size=size,
        part=settings.part,
        margin=settings.margin,
        provenance={
            "data": {"path": str(dataset.root), "sha256": dataset.digest()},
            "versions": record_versions(),
            "machine": describe_machine(),
        },
    )


class _Steps:
    """Steps of equal size, one after the other, told as shares of the whole."""

    def __init__(self, count: int, on_step: OnStep | None) -> None:
        self._count, self._on_step, self._begun = count, on_step, 0

    def begin(self, note: str) -> Callable[[int, int], None]:
        """What is to be told of the next step."""
        index, self._begun = self._begun, self._begun + 1
        if self._on_step:
            self._on_step(index, self._count, note)

        def tell(done: int, total: int) -> None:
            if self._on_step:
                self._on_step(index + done / total, self._count, note)

        return tell


def _score(each: Contender, first: Contender, dataset: Dataset, part: Part, steps: _Steps) -> Training:
    """The scores of a run, images in the order of the first run."""
    scores = score_run(each.run, dataset, part, steps.begin(f"scoring {each.run.name}"))
    places = {image.digest: place for place, image in enumerate(each.images)}
    images = [scores.images[places[image.digest]] for image in first.images]
    dice = {
        named.name: tuple(image.classes[index].dice for image in images)
        for index, named in enumerate(images[0].classes)
    }
    return Training(str(each.run), each.seed, each.weights, each.learned, dice)


def _time_all(specs: Sequence[UNetSpec], ways: Sequence[Way], steps: _Steps) -> list[tuple[Timing, ...]]:
    """For each network its timings in all engines and precisions."""
    block = (SIDES[specs[0].ndim],) * specs[0].ndim
    timed = [time_networks(specs, block, way, steps.begin(f"timing {' '.join(way)}")) for way in ways]
    return [tuple(way[index] for way in timed) for index in range(len(specs))]


def _make_row(
    name: str,
    members: tuple[Contender, ...],
    trainings: tuple[Training, ...],
    measured: tuple[tuple[int, ...], tuple[Timing, ...]],
) -> Row:
    """A network with its costs, by the usual size of an image and the timings."""
    from unetscope.engines.torch_engine import TorchEngine

    (size, timings), spec = measured, members[0].spec
    image = fitting_shape(spec, tuple(side + 2 * lost for side, lost in zip(size, margin(spec), strict=True)))
    block = fitting_shape(spec, (SIDES[spec.ndim],) * spec.ndim)
    return Row(
        name=name,
        spec=spec,
        training=members[0].training,
        trainings=trainings,
        multiply_adds=count_cost(spec, image).multiply_adds,
        file_bytes=members[0].file_bytes,
        peak_bytes=estimate_memory(spec, block, "float32", TorchEngine.workspace["float32"]),
        timings=timings,
    )


def _list_warnings(comparison: Comparison) -> Iterator[str]:
    """What a reader has to know, one sentence each."""
    first, count = comparison.rows[0], comparison.means[0].images
    if is_too_small(count):
        yield f"{count} images or groups of images are too few for a verdict; annotate at least 20 to test on"
    if comparison.detectable > comparison.margin:
        yield (
            f"a network that is as good will be called so less than four times in five within a margin of "
            f"{comparison.margin:g}; train each with more seeds, annotate more images, or give a larger margin"
        )
    for row, difference in zip(comparison.rows[1:], comparison.differences, strict=True):
        if difference.borrowed:
            yield (
                f"{row.name} and {first.name} were trained {len(row.trainings)} and {len(first.trainings)} times, so "
                "that the spread of one over seeds was taken for both; train the other again"
            )
        if not difference.seeds_known:
            yield (
                f"{row.name} and {first.name} were trained once each, so that another seed might say the opposite; "
                "train them again with other seeds"
            )
    if len({training.learned for row in comparison.rows for training in row.trainings}) > 1:
        yield "the networks have not all seen the same images in training, so that differences are due to these too"


def _check_whole(comparison: Comparison) -> None:
    """Refuse rows that do not belong together.

    Raises:
        ValueError: There is no row, or scores are missing.
    """
    counts = {len(comparison.images), len(comparison.groups)}
    counts |= {len(v) for row in comparison.rows for training in row.trainings for v in training.dice.values()}
    names = {tuple(training.dice) for row in comparison.rows for training in row.trainings}
    if len(counts) != 1 or len(names) != 1 or not all(row.trainings for row in comparison.rows):
        raise ValueError("rows, images and scores do not fit each other")
