"""Runs made ready to be asked: engine, layers and their readers; knows run folders and datasets, no dropped images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.errors import DataError
from unetscope.information.readers import OnStep, Reader, teach_readers
from unetscope.information.subject import Subject, subject_of
from unetscope.information.views import FEWEST_IMAGES, Role, view_dataset
from unetscope.segmentation import Segmenter

TITLES = ("original", "slimmed")


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network.

    Attributes:
        name: The name of its run folder.
        title: What it is on the page: "original", "slimmed", or nothing where it is alone.
        checkpoint: The network with all that is known of it.
        segmenter: What segments, in the engine that was chosen for this machine.
        subject: The same network in torch, in float32, whose layers are heard.
        readers: What each layer knows of the labels; nothing where there were no annotated images.
        teachers: Role of the images that taught them: "profile", those that training validated with, or "train".
    """

    name: str
    title: str
    checkpoint: Checkpoint
    segmenter: Segmenter
    subject: Subject
    readers: Mapping[str, Reader] = field(default_factory=dict)
    teachers: Role = "profile"


def open_networks(runs: Sequence[Path]) -> tuple[Network, ...]:
    """Networks that can be shown side by side.

    Args:
        runs: Run folders: that of the original, and that of the slimmed network where there is one.

    Returns:
        The networks without readers. The first time on a machine, engines are compared.

    Raises:
        CheckpointError: A folder is no finished run.
        DataError: The networks read other images, or tell other classes.
    """
    checkpoints = [Checkpoint.load(run) for run in runs]
    _check_alike(checkpoints)
    titles = TITLES if len(runs) > 1 else ("",)
    names = (run.absolute().name for run in runs)
    return tuple(
        Network(name, title, checkpoint, Segmenter(checkpoint), subject_of(checkpoint, name))
        for name, title, checkpoint in zip(names, titles, checkpoints, strict=True)
    )


def teach(network: Network, dataset: Dataset, on_step: OnStep | None = None) -> Network:
    """The network with a linear reader for every layer, taught by the images that its training validated with.

    Where these are fewer than two (of very few images, cut into blocks), those that it learned from teach.

    Args:
        network: The network.
        dataset: The images and labels that it was trained on.
        on_step: Called with how much is done, how much there is to do, and what was done.

    Raises:
        DataError: The dataset does not fit, or lacks these images.
    """
    enough = len(network.checkpoint.split.get("profile", ())) >= FEWEST_IMAGES
    role: Role = "profile" if enough else "train"
    views = view_dataset(network.checkpoint, dataset, role)
    return replace(network, readers=teach_readers(network.subject, views, on_step=on_step), teachers=role)


def _check_alike(checkpoints: Sequence[Checkpoint]) -> None:
    """Refuse networks that read other images or tell other classes."""
    first, *others = checkpoints
    for other in others:
        for what, ours, theirs in [
            ("axes", first.ndim, other.ndim),
            ("channels", first.spec.image_channels, other.spec.image_channels),
            ("classes", ", ".join(first.classes), ", ".join(other.classes)),
        ]:
            if ours != theirs:
                raise DataError(
                    f"the two networks differ in their {what} ({ours} and {theirs}); give two that were trained on "
                    "the same images"
                )
