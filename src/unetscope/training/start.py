"""What a training begins from: a network, and perhaps given weights and a teacher; knows no images and no steps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unetscope.checkpoint import digest_weights
from unetscope.data.dataset import Dataset
from unetscope.errors import CheckpointError
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet, load_weights
from unetscope.training.distillation import Teacher, Tutor
from unetscope.training.recipe import Recipe
from unetscope.training.state import State


@dataclass(frozen=True)
class Start:
    """What a training begins from.

    Attributes:
        spec: The network.
        weights: One array for each of its own; drawn at random if None.
        teacher: Whom it learns from beside the labels.
        origin: What the weights or the network came from, plain values that the checkpoint records.

    Example:
        >>> Start(UNetSpec.by_level((4, 8))).describe()
        {'weights': None, 'origin': {}, 'teacher': None}
    """

    spec: UNetSpec
    weights: Mapping[str, NDArray[np.generic]] | None = field(default=None, repr=False)
    teacher: Teacher | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(given: UNetSpec | Start | None, dataset: Dataset) -> Start:
        """What `train` was given as a start: the default network for a dataset if that was nothing."""
        if isinstance(given, Start):
            return given
        images = {"ndim": dataset.ndim, "image_channels": dataset.channels, "classes": len(dataset.classes)}
        return Start(given or UNetSpec.preset("default", **images))

    def describe(self) -> dict[str, Any]:
        """What the run remembers of it: plain values, digests in place of weights."""
        return {
            "weights": None if self.weights is None else digest_weights(self.weights),
            "origin": json.loads(json.dumps(dict(self.origin))),
            "teacher": None if self.teacher is None else self.teacher.describe(),
        }

    def network(self, seed: int) -> UNet:
        """The network with the weights that it begins with.

        Args:
            seed: Of random weights; sets the generator of torch.

        Raises:
            CheckpointError: The given weights are not those of the network.
        """
        torch.manual_seed(seed)
        network = UNet(self.spec)
        if self.weights is None:
            return network
        try:
            return load_weights(network, self.weights)
        except RuntimeError as error:
            problem = str(error).splitlines()[-1].strip()
            raise CheckpointError(
                f"the weights to begin with do not fit the network ({problem}); give exactly one array for each of its "
                "own"
            ) from error

    def tutor(self, shape: tuple[int, ...], device: torch.device) -> Tutor | None:
        """The teacher at work, if there is one.

        Args:
            shape: What the network reads of a patch, [z,] y, x pixels.
            device: Where both compute.

        Raises:
            RecipeError: The teacher cannot teach this network on such patches.
        """
        return Tutor(self.teacher, self.spec, shape, device) if self.teacher else None


def continue_start(state: State, given: UNetSpec | Start | None) -> Start:
    """The start of a run that goes on.

    The weights are in the run's folder and need not be given again. A teacher is not, and must be.

    Args:
        state: Where the run stands.
        given: Nothing, or what the run was begun with.

    Returns:
        The network and teacher to go on with.

    Raises:
        CheckpointError: The run was begun with something else, or its teacher is missing.
    """
    network, begun = UNetSpec.from_json(state.facts["spec"]), recall_start(state)
    if given is None:
        if begun["teacher"] is not None:
            raise CheckpointError(
                f"the run learns from a teacher (weights {begun['teacher']['weights'][:12]}), which its folder does "
                "not hold; give the start with the teacher again"
            )
        return Start(network)
    start = given if isinstance(given, Start) else Start(given)
    if start.spec != network:
        raise CheckpointError("the run was begun with another network than came; drop its options or train anew")
    for key, came in start.describe().items():
        if came != begun[key]:
            raise CheckpointError(
                f"the run was begun with {_NAMES[key]} {_name(begun[key])}, and {_name(came)} came; give the start "
                "that it was begun with, or train anew"
            )
    return start


def recall_start(state: State) -> Mapping[str, Any]:
    """What a run remembers of its start; states of former versions know of random weights only."""
    return state.facts.get("start") or {"weights": None, "origin": {}, "teacher": None}


def record_start(begun: Mapping[str, Any], tutor: Tutor | None, steps: int) -> dict[str, Any]:
    """What a checkpoint records of how its training began.

    Args:
        begun: The start, as `Start.describe` tells of it.
        tutor: The teacher at work, if there is one.
        steps: Steps done; each shows its batch to the teacher once.

    Returns:
        "start" where that was more than chance; "teacher" and "teacher_steps" where there was one.
    """
    start = {key: begun[key] for key in ("weights", "origin")}
    known: dict[str, Any] = {"start": start} if any(start.values()) else {}
    if tutor is not None:
        known |= {"teacher": {**begun["teacher"], "layers": list(tutor.layers)}, "teacher_steps": steps}
    return known


def continue_recipe(state: State, given: Recipe) -> Recipe:
    """The recipe of a run that goes on.

    Args:
        state: Where the run stands.
        given: Settings of the run's own recipe, or plain ones.

    Raises:
        CheckpointError: The run was begun with other settings.
    """
    stored = Recipe.from_json(state.facts["recipe"])
    plain, kept = Recipe().to_json(), stored.to_json()
    for name, value in given.to_json().items():
        if value not in (plain[name], kept[name]):
            raise CheckpointError(
                f"the run was begun with {name} {kept[name]}, and {value} came; drop it or train anew"
            )
    return stored


_NAMES = {"weights": "weights", "origin": "the origin", "teacher": "the teacher"}


def _name(described: Any) -> str:
    """A part of a start, for a message."""
    if isinstance(described, str):
        return described[:12]
    return "none" if not described else ", ".join(f"{key} {str(value)[:12]}" for key, value in described.items())
