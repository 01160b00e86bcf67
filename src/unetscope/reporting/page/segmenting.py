"""Segments and scores the images that a page shows, by the runs of the page; knows networks and datasets, no pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import log, prod

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unetscope.data.dataset import Dataset
from unetscope.data.inspection import inspect
from unetscope.data.item import Item
from unetscope.errors import DataError
from unetscope.evaluation import FOREGROUND, Part
from unetscope.reporting.page.sources import Network, Run, Sources, Specimen
from unetscope.reporting.sheet import middle_plane, stretch
from unetscope.scores.overlap import ImageScore, Scores
from unetscope.segmentation import Segmenter
from unetscope.slimming.scoring import EXACT, find_images, score_checkpoint

IMAGES = 20
LARGEST = 512  # pixels of a side
MOST_PROBABILITIES = 2**28  # numbers held for one image; of larger ones no uncertainty is told

OnStep = Callable[[float, int, str], None]


def look(sources: Sources, dataset: Dataset, images: int = IMAGES, on_step: OnStep | None = None) -> Sources:
    """Score the runs of a page on a dataset, and segment some images from the worst to the best.

    Scores are kept in the run folders, as `compare` keeps them. They are of test images, or of those of validation
    where no others are left.

    Args:
        sources: What the page tells; at least one network with its run.
        dataset: Annotated images.
        images: Images to show, at most.
        on_step: Told how much is done, how much there is to do, and what is going on.

    Returns:
        The same with scores, images to look at, and what was found in the files.

    Raises:
        DataError: No run came, or the dataset does not fit one of them.
    """
    runs = [(network, network.run) for network in sources.networks if network.run is not None]
    if not runs:
        raise DataError(f"{dataset.root} came without a run to segment it; give the run folder too, or no dataset")
    tell = _Teller(len(runs) + 2, on_step)
    inspection = inspect(dataset, tell.step("reading images"))
    scored = {
        network.name: _score(network, run, dataset, tell.step(f"scoring {network.name}")) for network, run in runs
    }
    networks = tuple(scored.get(network.name, network) for network in sources.networks)
    chosen = _choose(next(one.scores for one in scored.values() if one.scores is not None), images)
    shown = _Shown(networks, dataset)
    advance = tell.step("segmenting")
    specimens = []
    for number, score in enumerate(chosen, 1):
        specimens.append(shown.specimen(score))
        advance(number, len(chosen))
    return replace(
        sources,
        networks=networks,
        dataset=dataset.root.absolute().name,
        folder=dataset.root,
        classes=shown.classes,
        inspection=inspection,
        specimens=tuple(specimens),
        warnings=(*sources.warnings, *_warn(networks, shown.names)),
    )


class _Teller:
    """Steps of equal size, one after the other, told as parts of the whole."""

    def __init__(self, count: int, on_step: OnStep | None) -> None:
        self._count, self._begun, self._on_step = count, 0, on_step

    def step(self, note: str) -> Callable[[int, int], None]:
        """What is to be told of the next step."""
        index, self._begun = self._begun, self._begun + 1

        def tell(done: int, count: int) -> None:
            if self._on_step:
                self._on_step(index + done / max(1, count), self._count, note)

        tell(0, 1)
        return tell


def _score(network: Network, run: Run, dataset: Dataset, on_image: Callable[[int, int], None]) -> Network:
    part = find_part(run, dataset)
    scores = score_checkpoint(run.checkpoint, run.path, dataset, part, on_image)
    return replace(network, scores=scores, part=part)


def find_part(run: Run, dataset: Dataset) -> Part:
    """Which images of a dataset a run can be scored on: test images, else those of validation.

    Raises:
        DataError: The dataset does not fit, or has neither.
    """
    try:
        find_images(run.checkpoint, dataset, "test")
    except DataError:
        find_images(run.checkpoint, dataset, "validation")
        return "validation"
    return "test"


def _choose(scores: Scores, count: int) -> list[ImageScore]:
    """So many images, from the worst to the best, evenly; those without foreground only where there is room."""
    ordered = sorted((image for image in scores.images if image.dice is not None), key=lambda image: image.dice or 0.0)
    ordered += [image for image in scores.images if image.dice is None][: max(0, count - len(ordered))]
    if count < 2 or len(ordered) <= count:
        return ordered[:count]
    return [ordered[round(place * (len(ordered) - 1) / (count - 1))] for place in range(count)]


class _Shown:
    """The images of a page as its first run sees them, and the networks that segment them.

    Args:
        networks: Some of them with a run.
        dataset: Annotated images.
    """

    def __init__(self, networks: Sequence[Network], dataset: Dataset) -> None:
        first = next(network for network in networks if network.run is not None)
        assert first.run is not None
        self.seen, self.items = find_images(first.run.checkpoint, dataset, first.part)
        self.segmenters = [
            None if network.run is None else Segmenter(network.run.checkpoint, EXACT) for network in networks
        ]
        self.finds_objects = first.run.checkpoint.objects
        self.classes = FOREGROUND if self.finds_objects else first.run.checkpoint.classes

    @property
    def names(self) -> tuple[str, ...]:
        """Of the images that the first run is scored on."""
        return tuple(item.name for item in self.items)

    def specimen(self, score: ImageScore) -> Specimen:
        """An image with what all networks make of it."""
        item = self.seen.item(score.name)
        image, truth = self.seen.read(item)
        if self.finds_objects:
            truth = np.sign(self.seen.read_instances(item))
        made = [None if one is None else _segment(one, image, item, self.seen) for one in self.segmenters]
        return Specimen(
            name=score.name,
            dice=score.dice,
            uncertainty=next(one[1] for one in made if one is not None),
            image=_draw(image),
            truth=_show(truth),
            found=tuple(None if one is None else _show(one[0]) for one in made),
            size=(image.shape[-1], image.shape[-2]),
            plane=f"middle plane of {image.shape[1]}" if image.ndim == 4 else "",
        )


def _segment(
    segmenter: Segmenter, image: NDArray[np.generic], item: Item, dataset: Dataset
) -> tuple[NDArray[np.unsignedinteger], float | None]:
    """The labels of an image as it is scored, and how unsure the network is of them."""
    count = len(segmenter.classes)
    small = count * prod(image.shape[1:]) <= MOST_PROBABILITIES
    chances = np.empty((count, *image.shape[1:]), np.float32) if small else None
    labels = segmenter.fill(image, str(item.image), dataset.read_spacing(item), chances)
    if segmenter.finds_objects:
        labels = (segmenter.objects(labels) > 0).astype(np.uint8)
    return labels, None if chances is None else measure_uncertainty(chances)


def measure_uncertainty(probabilities: NDArray[np.float32]) -> float:
    """How unsure a network is: the entropy of its soft-max over the largest that it could be, mean over all pixels.

    Args:
        probabilities: (classes, ...).

    Returns:
        From 0 to 1.

    Example:
        >>> measure_uncertainty(np.full((2, 5), 0.5, np.float32)), measure_uncertainty(np.eye(2, dtype=np.float32))
        (1.0, 0.0)
    """
    chances = np.clip(probabilities, np.finfo(np.float32).tiny, 1)
    entropy = -np.sum(chances * np.log(chances), axis=0, dtype=np.float64)
    return round(float(np.clip(entropy.mean() / log(len(probabilities)), 0, 1)), 6)


def _find_step(shape: Sequence[int]) -> int:
    """Every so many pixels are shown."""
    return -(-max(shape) // LARGEST)


def _show(labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """Labels of the plane and the pixels that are shown."""
    plane = middle_plane(labels, 0)
    step = _find_step(plane.shape)
    return np.ascontiguousarray(plane[::step, ::step])


def _draw(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """The plane that is shown, in the range of a screen, (y, x, 3)."""
    plane = stretch(middle_plane(image, 1)).round().astype(np.uint8)
    step = _find_step(plane.shape[:2])
    return plane if step == 1 else np.asarray(Image.fromarray(plane).reduce(step))


def _warn(networks: Sequence[Network], shown: Sequence[str]) -> list[str]:
    """Where networks were not scored on the same fresh images."""
    said = []
    for network in networks:
        if network.part != "test":
            said.append(
                f"{network.name} was scored on the images that chose its epoch, since the dataset holds no others that "
                "it has not learned from; its scores are optimistic"
            )
        own = {image.name for image in network.scores.images} if network.scores and network.run else set(shown)
        if other := set(shown) - own:
            said.append(f"{network.name} has learned from {len(other)} of the images that the gallery is taken from")
    return said
