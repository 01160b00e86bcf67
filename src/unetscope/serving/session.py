"""What one page knows: its networks, the images that were dropped, and what was computed of them; no requests.

Everything here is called by one thread at a time.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from secrets import token_urlsafe
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetscope.data.dataset import Dataset
from unetscope.data.normalization import Affine
from unetscope.data.spacing import resample_image
from unetscope.information.one_pixel import box_around, read_pixel
from unetscope.information.reading import Features
from unetscope.serving.images import Limits, Opened
from unetscope.serving.networks import Network
from unetscope.serving.refusals import RefusalError
from unetscope.tiles import Box, read_mirrored

MOST_HELD, MOST_BYTES = 8, 2**30  # images that are held, and their bytes; the one dropped last in any case
MOST_SAMPLES = 200
RUNS, ENOUGH = 5, 0.5  # a segmentation is timed so often, or until so many seconds are over

Labels = NDArray[np.unsignedinteger]
Progress = Callable[[int, int], None]


def ignore(done: int, total: int) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, eq=False)
class Segmented:
    """What became of an image, or of one of its planes.

    Attributes:
        labels: ([z,] y, x) class indices.
        milliseconds: From the array to its labels: the median of the runs.
        runs: How often it was timed.
        tiles: Tiles that were computed.
        objects: How many there are, of a network that tells objects apart.
    """

    labels: Labels
    milliseconds: float
    runs: int
    tiles: int
    objects: int | None


@dataclass(frozen=True, eq=False)
class Known:
    """What a network says at a pixel.

    Attributes:
        chances: Probability of every class: the soft-max of its scores, in float32.
        layers: What every layer puts out there, (channels,); of the last one score for each class.
        readers: Probability of every class as every layer's reader tells it; none where there are no readers.
    """

    chances: NDArray[np.float64]
    layers: Mapping[str, Features]
    readers: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Held:
    """An image that is looked at, and what was computed of it.

    Attributes:
        image: As it was read.
        segmented: By network and page.
        seen: The same pages on the grids of the networks, with what normalizes them, by network and page.
    """

    image: Opened
    segmented: dict[tuple[int, int], Segmented] = field(default_factory=dict)
    seen: dict[tuple[int, int], tuple[NDArray[Any], Affine]] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        resampled = sum(seen.nbytes for seen, _ in self.seen.values() if seen.base is not self.image.pages)
        return self.image.pages.nbytes + resampled + sum(found.labels.nbytes for found in self.segmented.values())


class Session:
    """The networks of a page and the images that are looked at.

    Args:
        networks: One, or the original and the slimmed one.
        limits: How much a file may hold.
        dataset: Annotated images to choose from, if any.
    """

    def __init__(self, networks: Sequence[Network], limits: Limits = Limits(), dataset: Dataset | None = None) -> None:
        self.networks, self.limits, self.dataset = tuple(networks), limits, dataset
        self.samples = _choose_samples(self.networks[0], dataset) if dataset else ()
        self._held: OrderedDict[str, Held] = OrderedDict()

    def hold(self, image: Opened) -> str:
        """Keep an image; those that were looked at longest ago are forgotten where memory ends.

        Returns:
            Its key, which nobody can guess.
        """
        key = token_urlsafe(12)
        self._held[key] = Held(image)
        while len(self._held) > 1 and (len(self._held) > MOST_HELD or self._bytes() > MOST_BYTES):
            self._held.popitem(last=False)
        return key

    def find(self, key: str) -> Held:
        """An image by its key.

        Raises:
            RefusalError: It was forgotten, or never came.
        """
        if key not in self._held:
            raise RefusalError(
                HTTPStatus.GONE, "this image is no longer held, because others came after it; drop it again"
            )
        self._held.move_to_end(key)
        return self._held[key]

    def find_plane(self, key: str, plane: int) -> Opened:
        """An image that has such a plane.

        Raises:
            RefusalError: There is none.
        """
        image = self.find(key).image
        _check_plane(image, plane)
        return image

    def open_sample(self, name: str) -> Opened:
        """An image of the dataset.

        Raises:
            RefusalError: There is none of that name, or it is too large.
            DataError: It cannot be read.
        """
        if self.dataset is None or name not in self.samples:
            raise RefusalError(HTTPStatus.NOT_FOUND, "there is no such sample; choose one of the list")
        item = self.dataset.item(name)
        image = self.dataset.read_image(item)
        self.limits.check_pixels(image[0].size, name)
        return Opened(name, np.array(image)[None], self.dataset.read_spacing(item))

    def segment(self, key: str, network: int, plane: int, on_tile: Progress = ignore) -> Segmented:
        """Segment an image that is held, or the page of a stack.

        Args:
            key: The image.
            network: Number of the network.
            plane: Plane that is looked at; of a volume, all planes are segmented together.
            on_tile: Called with tiles done and tiles in all; what it raises ends the work.

        Returns:
            The labels with the time that they took; the same again if it was done before.

        Raises:
            RefusalError: There is no such image, network or plane.
            DataError: The image is not for this network.
        """
        held, chosen = self.find(key), self._network(network)
        page, _ = _check_plane(held.image, plane)
        if (network, page) not in held.segmented:
            held.segmented[network, page] = _segment(chosen, held.image, page, on_tile)
        return held.segmented[network, page]

    def know(self, key: str, network: int, plane: int, pixel: tuple[int, int]) -> Known:
        """What every layer of a network says at a pixel.

        It is read from a box around the pixel, whatever the size of the image: all that the network sees from there.

        Args:
            key: The image.
            network: Number of the network.
            plane: Plane of the pixel.
            pixel: Its place in the plane, (y, x).

        Returns:
            What it says, equal to what it says in the whole image; with instance norm, in the tile of the pixel.

        Raises:
            RefusalError: There is no such image, network or pixel.
            DataError: The image is not for this network.
        """
        held, chosen = self.find(key), self._network(network)
        page, inside = _check_plane(held.image, plane)
        place, shape = (*inside, *pixel), held.image.pages.shape[2:]
        if not all(0 <= at < size for at, size in zip(place, shape, strict=True)):
            raise RefusalError(HTTPStatus.BAD_REQUEST, f"pixel {pixel} lies outside of the image; choose one inside")
        seen, affine = self._see(held, network, page)
        at = tuple((2 * i + 1) * new // (2 * old) for i, new, old in zip(place, seen.shape[1:], shape, strict=True))
        box = _box_of(chosen, seen.shape[1:], at)
        block = affine.apply(read_mirrored(seen, box))
        layers = read_pixel(chosen.subject, block, [i - part.start for i, part in zip(at, box, strict=True)])
        readers = {layer: reader.chances(layers[layer][None])[0] for layer, reader in chosen.readers.items()}
        return Known(_softmax(next(reversed(layers.values()))), layers, readers)

    def _see(self, held: Held, network: int, page: int) -> tuple[NDArray[Any], Affine]:
        """A page on a network's grid, and what normalizes it."""
        if (network, page) not in held.seen:
            segmenter, image = self.networks[network].segmenter, held.image
            whole = image.pages[page]
            grid = segmenter.grid(whole.shape[1:], image.spacing)
            seen = whole if grid == whole.shape[1:] else resample_image(whole, grid)
            held.seen[network, page] = seen, segmenter.normalization.affine(seen, image.name)
        return held.seen[network, page]

    def _network(self, number: int) -> Network:
        if not 0 <= number < len(self.networks):
            raise RefusalError(HTTPStatus.BAD_REQUEST, f"there is no network {number}; choose one from 0 on")
        return self.networks[number]

    def _bytes(self) -> int:
        return sum(held.bytes for held in self._held.values())


def _choose_samples(network: Network, dataset: Dataset) -> tuple[str, ...]:
    """Names of the images that the network was not trained on, as far as the dataset has them, or of all."""
    tested = set(network.checkpoint.split.get("test", ()))
    names = [name for name in dataset.names if name in tested] or dataset.names
    count = min(MOST_SAMPLES, len(names))
    return tuple(names[place * len(names) // count] for place in range(count))


def _check_plane(image: Opened, plane: int) -> tuple[int, tuple[int, ...]]:
    """The page that holds a plane, and where the plane lies in it."""
    if not 0 <= plane < image.planes:
        raise RefusalError(
            HTTPStatus.BAD_REQUEST, f"{image.name} has {image.planes} planes; choose one of them, from 0 on"
        )
    return image.place(plane)


def _segment(network: Network, image: Opened, page: int, on_tile: Progress) -> Segmented:
    """Segment a page once, and small ones again, to know the time."""
    segmenter, pixels = network.segmenter, image.pages[page]
    plan = segmenter.plan(segmenter.grid(pixels.shape[1:], image.spacing))
    seconds: list[float] = []
    while not seconds or (len(seconds) < RUNS and sum(seconds) < ENOUGH):
        done = iter(range(1, 1 + len(plan.tiles)))
        started = time.perf_counter()
        labels = segmenter.fill(pixels, image.name, image.spacing, on_tile=lambda: on_tile(next(done), len(plan.tiles)))  # noqa: B023
        seconds.append(time.perf_counter() - started)
    objects = int(segmenter.objects(labels).max(initial=0)) if segmenter.finds_objects else None
    return Segmented(labels, 1000 * median(seconds), len(seconds), len(plan.tiles), objects)


def _box_of(network: Network, shape: tuple[int, ...], pixel: tuple[int, ...]) -> Box:
    """What to feed the network for a pixel: what it sees from there; with instance norm the tile of the pixel."""
    segmenter = network.segmenter
    if segmenter.spec.norm != "instance":
        return box_around(segmenter.spec, shape, pixel)
    tiles = segmenter.plan(shape).tiles
    return next(t.read for t in tiles if all(p.start <= i < p.stop for p, i in zip(t.write, pixel, strict=True)))


def _softmax(scores: Features) -> NDArray[np.float64]:
    powers = np.exp(scores.astype(np.float64) - scores.max())
    chances: NDArray[np.float64] = powers / powers.sum()
    return chances
