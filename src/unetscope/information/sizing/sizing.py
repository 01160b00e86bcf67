"""From annotated images to how deep and how wide a network should be about; knows probes, trains no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from unetscope.checkpoint import record_versions
from unetscope.data.dataset import Dataset
from unetscope.data.item import Item
from unetscope.errors import RecipeError
from unetscope.information.quantity import Quantity
from unetscope.information.sizing.choices import MARGIN, Choice, choose_smallest
from unetscope.information.sizing.growth import Growth, foresee
from unetscope.information.sizing.measuring import WIDTHS, Trial
from unetscope.information.sizing.ranking import Probe, Ranking, rank_images
from unetscope.information.sizing.record import RECORD
from unetscope.information.sizing.sampling import Eye, Samples, draw_samples
from unetscope.information.tally import Tally
from unetscope.information.verdicts import Verdict
from unetscope.model.geometry import receptive_field
from unetscope.model.spec import UNetSpec

FORMAT = 1
DEEPEST = 4
NARROWEST, WIDEST, WIDEST_INSIDE = 8, 32, 64  # channels at full resolution, and at the other levels
RARE_IMAGES, RARE_PIXELS = 5, 50
READING_STEPS = 8  # as long as so many probes take

OnStep = Callable[[float, int, str], None]


@dataclass(frozen=True)
class SizingSettings:
    """How annotated images are looked at.

    Attributes:
        pixels: How many are sampled in all, about.
        seed: Start of what is random.

    Raises:
        RecipeError: A number is out of range.
    """

    pixels: int = 25_000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        for name, least in (("pixels", 100), ("seed", 0)):
            if getattr(self, name) < least:
                raise RecipeError(f"{name} is {getattr(self, name)}; use a whole number of at least {least}")


@dataclass(frozen=True)
class ClassCount:
    """How much of a class is annotated.

    Attributes:
        name: Of the class.
        share: Of the labelled pixels.
        images: Images or groups that hold it.
        sampled: Pixels of it that the probes saw.
        rare: Whether that is too little to say anything of it: less than 50 pixels, or less than 5 images though there
            are others.
    """

    name: str
    share: float
    images: int
    sampled: int
    rare: bool


@dataclass(frozen=True)
class Depth:
    """A number of poolings.

    Attributes:
        value: The least whose network can look as far as the window that was chosen.
        low: The same for the smallest window that might do.
        high: The same for the smallest window that does for sure.
        open_ended: Whether still larger windows might tell more.
        verdict: "ok" where low and high agree.
    """

    value: int
    low: int
    high: int
    open_ended: bool
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Sizing:
    """What annotated images say about the network they need; all in bits per pixel, held out, by image.

    Attributes:
        names: Of the images, or of the groups that belong together.
        classes: How much of each is annotated.
        ndim: Number of spatial axes.
        pixels: Pixels that were sampled.
        prior: H0, the loss of who knows only how often each class occurs.
        place: What the relative coordinates alone tell.
        windows: Window, pixels per axis -> what is read in it.
        widths: Hidden units -> what a probe with as many reads.
        shares: Share of the images -> what is read by probes that learned from as many.
        window: The smallest window that is as good as the best.
        width: The smallest probe that is as good as the best.
        growth: What more annotations would add; none where the images are too few for a curve.
        ranking: Images without labels, those to annotate first in front; none where none came.
        settings: How it was measured.
        provenance: Versions, the digest of the data, normalization and spacing.
    """

    names: tuple[str, ...]
    classes: tuple[ClassCount, ...]
    ndim: int
    pixels: int
    prior: Quantity
    place: Quantity
    windows: Mapping[int, Quantity]
    widths: Mapping[int, Quantity]
    shares: Mapping[float, Quantity]
    window: Choice
    width: Choice
    growth: Growth | None
    ranking: Ranking | None
    settings: SizingSettings
    provenance: Mapping[str, Any]

    @property
    def rare(self) -> tuple[ClassCount, ...]:
        """Classes of which too little is annotated."""
        return tuple(each for each in self.classes if each.rare)

    @property
    def depth(self) -> Depth:
        """How many poolings bring the window that was chosen into sight."""
        value, low, high = (
            find_depth(size, self.ndim) for size in (self.window.value, self.window.low, self.window.high)
        )
        verdict = self.window.verdict
        if verdict.word != "ok" and low == high and self.windows[self.window.high].interval.low > 0:
            verdict = Verdict(
                "ok", f"all windows that might do, {self.window.low} to {self.window.high} pixels, need it"
            )
        return Depth(value, low, high, self.window.open_ended, verdict)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels by level, the bottleneck last: about as many at full resolution as the probe has hidden units."""
        first = min(max(self.width.value, NARROWEST), WIDEST)
        return tuple(min(first * 2**level, WIDEST_INSIDE) for level in range(self.depth.value + 1))

    def to_json(self) -> dict[str, Any]:
        """Plain values, with every interval and verdict."""
        curves = {name: getattr(self, name) for name in ("windows", "widths", "shares")}
        return {
            "format": FORMAT,
            "images": list(self.names),
            "classes": [asdict(each) for each in self.classes],
            "ndim": self.ndim,
            "pixels": self.pixels,
            "prior": self.prior.to_json(),
            "place": self.place.to_json(),
            **{name: {str(at): each.to_json() for at, each in curve.items()} for name, curve in curves.items()},
            "window": self.window.to_json(),
            "depth": self.depth.to_json(),
            "width": self.width.to_json(),
            "channels_about": list(self.channels),
            "growth": None if self.growth is None else self.growth.to_json(),
            "ranking": None if self.ranking is None else self.ranking.to_json(),
            "margin": MARGIN,
            "settings": asdict(self.settings),
            "provenance": dict(self.provenance),
            "record": [case.to_json() for case in RECORD],
        }


def find_depth(size: int, ndim: int) -> int:
    """The least number of poolings at which our U-Net, two convolutions a level, can look as far as a window.

    Example:
        >>> [find_depth(size, 2) for size in (1, 7, 15, 31, 63)]
        [0, 1, 1, 2, 3]
    """
    specs = {depth: UNetSpec.by_level((8,) * (depth + 1), ndim=ndim) for depth in range(DEEPEST + 1)}
    return next((depth for depth, spec in specs.items() if receptive_field(spec)[0] >= size), DEEPEST)


def size_network(
    dataset: Dataset,
    settings: SizingSettings = SizingSettings(),
    unlabelled: Sequence[Item] = (),
    on_step: OnStep | None = None,
) -> Sizing:
    """Find out from annotated images alone what network they need, by small probes in windows of growing size.

    Args:
        dataset: Annotated images; those for testing are not looked at.
        settings: How.
        unlabelled: Images to rank by how much annotating them would teach.
        on_step: Called with steps done, all steps and what is done next.

    Returns:
        How deep, about how wide, whether more annotations would help, and which; each with its verdict.

    Raises:
        DataError: Too few images, or one that cannot be read.
    """
    steps = _Steps(on_step or (lambda *_: None), with_ranking=bool(unlabelled))
    eye = Eye.on(dataset)
    samples = draw_samples(eye, settings.pixels, settings.seed, steps.share(READING_STEPS, "reading images"))
    trial = Trial(samples, settings.seed, steps.advance)
    prior, windows = trial.prior, trial.read_windows()
    window = choose_smallest(windows, prior.mean)
    widths = trial.read_widths(window.value, windows[window.value])
    shares = trial.read_shares(window.value, windows[window.value])
    place = trial.read_place()
    probe = Probe(window.value, WIDTHS[-1], trial.settings)
    on_image = steps.share(READING_STEPS, "unlabelled images")
    ranking = rank_images(eye, unlabelled, samples, probe, on_image) if unlabelled else None
    curve = tuple((share, tally.mean) for share, tally in shares.items())

    def quantify(tally: Tally, curve: tuple[tuple[float, float], ...] = ()) -> Quantity:
        return Quantity(tally, prior.mean, curve=curve)

    return Sizing(
        names=samples.names,
        classes=_count_classes(samples),
        ndim=dataset.ndim,
        pixels=len(samples.labels),
        prior=quantify(prior),
        place=quantify(place),
        windows={size: quantify(tally, curve if size == window.value else ()) for size, tally in windows.items()},
        widths={width: quantify(tally) for width, tally in widths.items()},
        shares={share: quantify(tally) for share, tally in shares.items()},
        window=window,
        width=choose_smallest(widths, prior.mean),
        growth=foresee(shares, prior.mean),
        ranking=ranking,
        settings=settings,
        provenance=_describe(eye),
    )


class _Steps:
    """Counts steps; reading images is worth several."""

    def __init__(self, report: OnStep, with_ranking: bool) -> None:
        self._report, self._done = report, 0
        probes = 6 + len(WIDTHS) - 1 + 3 + 1
        self._all = READING_STEPS + probes + with_ranking * READING_STEPS

    def advance(self, text: str) -> None:
        """The next step begins."""
        self._report(self._done, self._all, text)
        self._done += 1

    def share(self, steps: int, text: str) -> Callable[[int, int], None]:
        """What is to be told of the images of work that is worth some steps."""

        def tell(done: int, count: int) -> None:
            self._report(self._done + steps * done / count, self._all, text)
            self._done += steps * (done == count)

        return tell


def _count_classes(samples: Samples) -> tuple[ClassCount, ...]:
    """How much of each class is annotated and sampled."""
    counts, images = samples.occurrence.sum(axis=0), (samples.occurrence > 0).sum(axis=0)
    sampled = np.bincount(samples.labels, minlength=len(samples.classes))
    rare = (sampled < RARE_PIXELS) | (images < min(RARE_IMAGES, len(samples.names)))
    columns = (counts / counts.sum()).tolist(), images.tolist(), sampled.tolist(), rare.tolist()
    return tuple(ClassCount(*row) for row in zip(samples.classes, *columns, strict=True))


def _describe(eye: Eye) -> dict[str, Any]:
    """What determines the result."""
    grid = eye.dataset.grid
    return {
        "versions": record_versions(),
        "data": eye.dataset.digest(),
        "normalization": eye.normalization.to_json(),
        "spacing": None if grid is None else grid.to_json(),
    }
