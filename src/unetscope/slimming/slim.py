"""From a plan to a trained slim network; knows plans and roles, neither how a step is taken nor what is better."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset, Split
from unetscope.errors import DataError, SlimError
from unetscope.evaluation import fingerprint, see
from unetscope.model.spec import UNetSpec
from unetscope.slimming.channels import order_by_weights
from unetscope.slimming.plan import SlimPlan
from unetscope.slimming.surgery import slice_weights
from unetscope.training.distillation import Teacher
from unetscope.training.loop import Resume, train
from unetscope.training.progress import OnEpoch, OnStep
from unetscope.training.recipe import Recipe
from unetscope.training.start import Start

How = Literal["slice", "scratch", "distill"]

ATTENTION = 0.1
"""Weight of a teacher's features: the distances of nine layers begin at about 3 in all, the loss of labels below 1."""


class Watch(TypedDict, total=False):
    """Whom a training tells how it goes on.

    Attributes:
        on_step: As of `train`.
        on_epoch: As of `train`.
    """

    on_step: OnStep | None
    on_epoch: OnEpoch | None


def slim(
    checkpoint: Checkpoint,
    plan: SlimPlan,
    dataset: Dataset,
    out: Path | str,
    how: How = "slice",
    recipe: Recipe | None = None,
    resume: Resume = "never",
    **watch: Unpack[Watch],
) -> Checkpoint:
    """Make the slim network of a plan, and train it.

    Args:
        checkpoint: The network that the plan is for.
        plan: What stays of it.
        dataset: The images that it was trained on; every one keeps its role, so that scores can be compared and no test
            image is learned from.
        out: Run folder to write.
        how: "slice": begin with the weights that are left; "scratch": as born; "distill": begin with the weights that
            are left, and learn from the original beside the labels.
        recipe: How to train; that of the original, for as many steps, if None.
        resume: As of `train`.
        watch: Whom to tell; as of `train`.

    Returns:
        The checkpoint of the best validation score; it records the plan, the way, and the weights of the original.

    Raises:
        SlimError: The plan is for another network, or the recipe shows other images to it than the original saw.
        DataError: The images are not those that the original was trained on.
        RecipeError: The recipe does not fit, or training diverged.
        CheckpointError: The folder holds a run that cannot be continued this way.
        OutputError: The folder cannot be written.
    """
    start = begin(checkpoint, plan, how)
    chosen = repeat_recipe(checkpoint) if recipe is None else recipe
    if how != "scratch":
        _check_view(checkpoint, chosen)
    return train(give_same_roles(checkpoint, dataset), out, start, chosen, resume, **watch)


def begin(checkpoint: Checkpoint, plan: SlimPlan, how: How) -> Start:
    """What the training of a slim network begins from.

    A student that distills begins with slices too: they cost nothing, already look where the teacher does, and leave
    the steps to what the lost channels did.

    Raises:
        SlimError: The plan is for another network.
    """
    plan.check_fits(checkpoint)
    return Start(
        spec=plan.spec,
        weights=None if how == "scratch" else slice_weights(checkpoint, plan),
        teacher=Teacher.of(checkpoint, attention=ATTENTION) if how == "distill" else None,
        origin={"how": how, "plan": plan.digest(), "weights": plan.weights},
    )


def cut_out(checkpoint: Checkpoint, spec: UNetSpec) -> SlimPlan | None:
    """The plan that leaves a given network of a larger one: in every layer the channels of the largest weights.

    Args:
        checkpoint: The larger network.
        spec: The smaller one.

    Returns:
        The plan; None where the smaller one is no part of the larger: wider somewhere, deeper, or of another kind.

    Example:
        >>> from unetscope.data.normalization import Normalization
        >>> from unetscope.model.unet import UNet
        >>> spec = UNetSpec.by_level((8, 16, 16))
        >>> known = Checkpoint(spec, UNet(spec).state_dict(), Normalization("image"), ("background", "cell"))
        >>> plan = cut_out(known, UNetSpec.by_level((4, 9)))
        >>> plan.spec.level_widths, cut_out(known, UNetSpec.by_level((9, 9)))
        ((4, 9), None)
    """
    origin = checkpoint.spec
    whole = SlimPlan.keep_all(origin, checkpoint.digest()).with_changes(order=order_by_weights(checkpoint))
    if spec.depth > origin.depth or not set(spec.skip_levels) <= set(origin.skip_levels):
        return None
    shallower = whole.with_changes(depth=spec.depth, skips=spec.skip_levels)
    widths = {shallower.source_of(layer): width for layer, width in spec.widths.items()}
    if any(width > origin.widths.get(layer, 0) for layer, width in widths.items()):
        return None
    plan = shallower.with_changes(widths={**origin.widths, **widths})
    return plan if plan.spec == spec else None


def give_same_roles(checkpoint: Checkpoint, dataset: Dataset) -> Dataset:
    """A dataset whose images have the roles that they had when a network was trained.

    Args:
        checkpoint: The network.
        dataset: The images that it was trained on, perhaps among others, which are left out.

    Returns:
        The dataset with roles, in the blocks that a few images were cut into, and as classes of objects where the
        network tells them apart.

    Raises:
        SlimError: The network does not say which images had which role.
        DataError: Images are missing, or are not those of then.
    """
    if not checkpoint.split:
        raise SlimError("the network does not say which images it was trained on; give one that `train` wrote")
    divided = see(checkpoint, dataset).with_roles(Split.from_json(dict(checkpoint.split)))
    for role, known in checkpoint.provenance.get("seen", {}).items():
        if fingerprint(divided, checkpoint.split[role]) != list(known):
            raise DataError(
                f"{dataset.root} holds other {role} images under the names of those that the network has seen; give "
                "the dataset that it was trained on"
            )
    return divided


def repeat_recipe(checkpoint: Checkpoint) -> Recipe:
    """The recipe that a network was trained by, for as many optimizer steps of as many patches.

    By itself a recipe takes as many steps an epoch as the network's patches ask for, or as a machine does in so many
    minutes. Both would be others for a smaller network.

    Raises:
        SlimError: The network was trained for minutes, and does not say how many steps these were.
    """
    recipe, known = Recipe.from_json(checkpoint.recipe), checkpoint.provenance
    if not known.get("epoch"):
        return recipe
    each = ceil(known["step"] / known["epoch"])
    if recipe.minutes is None:
        return replace(recipe, epoch_steps=each)
    if "steps" not in known:
        raise SlimError(
            f"the network was trained for {recipe.minutes:g} minutes and does not say how many steps these were; give "
            "a recipe with epochs"
        )
    return replace(recipe, minutes=None, epochs=ceil(known["steps"] / each), epoch_steps=each)


def _check_view(checkpoint: Checkpoint, recipe: Recipe) -> None:
    """Refuse to show other intensities or spacings to weights than they were trained on."""
    before = Recipe.from_json(checkpoint.recipe)
    for name in ("normalization", "spacing"):
        if (came := getattr(recipe, name)) != (was := getattr(before, name)):
            raise SlimError(
                f"the recipe's {name} is {came}, and the weights were trained with {was}; use that, or begin from "
                "scratch"
            )
