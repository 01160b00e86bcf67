"""What network, recipe and dataset must have in common before a run begins; knows their values, trains nothing."""

from __future__ import annotations

import math

from unetscope.data.dataset import Dataset
from unetscope.errors import DataError, RecipeError
from unetscope.model.geometry import layer_shapes
from unetscope.model.spec import UNetSpec
from unetscope.training.recipe import Recipe


def check_classes(spec: UNetSpec, dataset: Dataset) -> None:
    """Refuse a network for other images or classes.

    Raises:
        DataError: Axes, channels or classes differ.
    """
    found = (spec.ndim, spec.image_channels, max(2, spec.classes))
    needed = (dataset.ndim, dataset.channels, len(dataset.classes))
    if found != needed:
        raise DataError(
            f"the network is {found[0]}D for {found[1]} channels and {found[2]} classes, {dataset.root} holds "
            f"{needed[0]}D images of {needed[1]} channels and {needed[2]} classes; change the network to match"
        )


def check_weights(recipe: Recipe, dataset: Dataset) -> None:
    """Refuse class weights for another number of classes.

    Raises:
        RecipeError: Their number differs.
    """
    weights, classes = recipe.class_weights, dataset.classes
    if weights is not None and len(weights) != len(classes):
        raise RecipeError(f"{len(weights)} class_weights came; give {len(classes)}, for {', '.join(classes)}")


def check_batch(spec: UNetSpec, batch: int, patch: tuple[int, ...]) -> None:
    """Refuse batches that leave batch norm nothing to average.

    Raises:
        RecipeError: A layer would put out a single value per channel.
    """
    values = batch * min(math.prod(shape) for shape in layer_shapes(spec, patch).values())
    if spec.norm == "batch" and values < 2:
        raise RecipeError(
            f"a batch of {batch} with patches of {'x'.join(map(str, patch))} pixels leaves a single value to batch "
            "norm, which needs two or more; use a larger batch or patch"
        )
