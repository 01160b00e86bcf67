"""What a network loses when a skip or an up path says nothing any more; knows modules and Dice, not bits.

A part of a join's input becomes its mean over the images, channel by channel. Only the join is deceived: whatever else
reads the same layer still sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unetscope.errors import SpecError
from unetscope.information.capture import check_joined, find_layer, split_sources
from unetscope.information.observation import Moments, first_pixel
from unetscope.information.subject import Subject, make_batch
from unetscope.information.tally import Tally
from unetscope.information.views import View, Views
from unetscope.model.unet import class_scores
from unetscope.scores.overlap import confusion
from unetscope.wiring import Wiring

OnStep = Callable[[int, int], None]


@dataclass(frozen=True)
class Cut:
    """A part of a join's input that is taken away.

    Attributes:
        join: The layer that reads it.
        source: The layer whose output it is.
    """

    join: str
    source: str


@contextmanager
def ablate(module: nn.Module, wiring: Wiring, cut: Cut, mean: NDArray[np.floating[Any]]) -> Iterator[None]:
    """While it lasts, a join reads a constant for each channel of one of its sources; other readers see the source.

    Args:
        module: The network.
        wiring: What feeds each of its layers.
        cut: What is taken away.
        mean: (channels of the source,) what is read instead.

    Raises:
        SpecError: There is no such part, or the means are not one a channel.
    """
    if cut.source not in wiring.sources.get(cut.join, ()):
        raise SpecError(
            f"layer {cut.join!r} does not read {cut.source!r}; cut one of {', '.join(wiring.sources.get(cut.join, ()))}"
        )
    part = split_sources(wiring, cut.join)[cut.source]
    if mean.shape != (part.stop - part.start,):
        raise SpecError(
            f"means of shape {mean.shape} came for {part.stop - part.start} channels of {cut.source!r}; give one each"
        )

    def replace(_module: nn.Module, inputs: tuple[object, ...]) -> tuple[object, ...]:
        joined = check_joined(wiring, cut.join, inputs[0] if inputs else None).clone()
        level = torch.as_tensor(mean, dtype=joined.dtype, device=joined.device)
        joined[:, part] = level.reshape(-1, *[1] * (joined.ndim - 2))
        return joined, *inputs[1:]

    handle = find_layer(module, cut.join).register_forward_pre_hook(replace)
    try:
        yield
    finally:
        handle.remove()


def measure_dice(module: nn.Module, views: Views) -> Tally:
    """How well a network segments, image by image.

    Args:
        module: The network, in its eval mode.
        views: The images.

    Returns:
        Mean Dice over the foreground classes that the labels of an image contain, as in `Scores`; it counts 1, or 0
        where there is none, whatever is predicted there: every cut of a network is scored on the same images.
    """
    return _tally([_score(module, view, len(views.classes)) for view in views])


def lost_dice(
    subject: Subject,
    views: Views,
    moments: Mapping[str, Mapping[str, Moments]],
    cuts: Sequence[Cut],
    on_step: OnStep | None = None,
) -> Mapping[Cut, Tally]:
    """Dice lost by each of several cuts, each made alone.

    Args:
        subject: The network.
        views: The images.
        moments: Of what each source brings to every join: their means are put in its place.
        cuts: What is taken away.
        on_step: Called with images done and images in all.

    Returns:
        For every cut, image by image, Dice of the network less Dice without that part.

    Raises:
        SpecError: A cut names no part of the network.
    """
    count, module = len(views.classes), subject.module
    whole: list[float | None] = []
    lessened: dict[Cut, list[float | None]] = {cut: [] for cut in cuts}
    for done, view in enumerate(views, start=1):
        whole.append(_score(module, view, count))
        for cut, scores in lessened.items():
            with ablate(module, subject.wiring, cut, moments[cut.join][cut.source].mean):
                scores.append(_score(module, view, count))
        if on_step:
            on_step(done, len(views))
    return {cut: _tally(whole) - _tally(scores) for cut, scores in lessened.items()}


def _tally(scores: Sequence[float | None]) -> Tally:
    return Tally.of([score or 0.0 for score in scores], [float(score is not None) for score in scores])


def _score(module: nn.Module, view: View, count: int) -> float | None:
    """Mean Dice of an image over its foreground classes; None where its labels have none."""
    with torch.no_grad():
        scores = module(make_batch(module, view.image))
    if not isinstance(scores, Tensor):
        raise SpecError(f"the network put out {type(scores).__name__}; wrap it so that it returns one tensor of scores")
    found = class_scores(scores)[0].argmax(0).cpu().numpy()
    start = first_pixel(view.labels.shape, found.shape, (1,) * found.ndim)
    truth = view.labels[tuple(slice(at, at + size) for at, size in zip(start, found.shape, strict=True))]
    counts = confusion(truth, found, count)
    true, either = counts.sum(1), counts.sum(0) + counts.sum(1)
    present = np.flatnonzero(true[1:]) + 1
    return float(np.mean(2 * counts.diagonal()[present] / either[present])) if len(present) else None
