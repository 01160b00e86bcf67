"""The training loss: weighted cross-entropy plus Dice, with pixels that do not count; knows scores and labels only."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from unetscope.training.recipe import Recipe

IGNORE = -1
SMOOTH = 1.0


def compute_loss(scores: Tensor, labels: Tensor, recipe: Recipe, border: Tensor | None = None) -> Tensor:
    """The loss of a batch.

    Args:
        scores: (batch, classes, [z,] y, x) before soft-max, at least two classes.
        labels: (batch, [z,] y, x) class indices; -1 counts nowhere.
        recipe: Weights of the two losses, of the classes and of gaps between objects.
        border: (batch, [z,] y, x), how narrow the gap between objects is, from 0 to 1.

    Returns:
        A scalar: cross-entropy (nats per pixel) and 1 - Dice, weighted.
    """
    scores = scores.float()
    total = scores.new_zeros(())
    if recipe.cross_entropy:
        extra = None if border is None else recipe.border * border
        total = total + recipe.cross_entropy * cross_entropy(scores, labels, recipe.class_weights, extra)
    if recipe.dice:
        total = total + recipe.dice * (1 - soft_dice(scores, labels))
    return total


def cross_entropy(
    scores: Tensor, labels: Tensor, class_weights: tuple[float, ...] | None = None, extra: Tensor | None = None
) -> Tensor:
    """Weighted cross-entropy, nats per pixel; 0 when no pixel counts.

    Args:
        scores: (batch, classes, [z,] y, x) before soft-max.
        labels: (batch, [z,] y, x) class indices; -1 counts nowhere.
        class_weights: One for each class; all 1 if None.
        extra: (batch, [z,] y, x), added to the class weight of every pixel.

    Returns:
        The sum of weighted terms over the sum of class weights: extra weight adds to the loss.

    Source:
        Ronneberger, Fischer, Brox 2015, equations 1 and 2.

    Example:
        >>> cross_entropy(torch.zeros(1, 2, 3), torch.tensor([[0, 1, -1]])).item()  # log(2)
        0.693147...
    """
    weights = None if class_weights is None else scores.new_tensor(class_weights)
    loss = functional.cross_entropy(scores, labels, weights, ignore_index=IGNORE, reduction="sum")
    if extra is not None:
        plain = functional.cross_entropy(scores, labels, ignore_index=IGNORE, reduction="none")
        loss = loss + (plain * extra).sum()
    counted = labels[labels != IGNORE]
    size = float(counted.numel() if weights is None else weights[counted].sum())
    return loss / max(size, 1e-6)


def soft_dice(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean over foreground classes of the soft Dice coefficient of the whole batch.

    Source:
        Milletari, Navab, Ahmadi 2016 (V-Net), section 3, with plain sums in the denominator.

    Example:
        >>> round(soft_dice(torch.tensor([[[9.0, -9.0], [-9.0, 9.0]]]), torch.tensor([[0, 1]])).item(), 3)
        1.0
    """
    counted = (labels != IGNORE).unsqueeze(1)
    probabilities = scores.softmax(1) * counted
    truth = torch.zeros_like(probabilities).scatter_(1, labels.clamp_min(0).unsqueeze(1), 1.0) * counted
    axes = (0, *range(2, scores.ndim))
    overlap, size = (probabilities * truth).sum(axes), (probabilities + truth).sum(axes)
    return ((2 * overlap + SMOOTH) / (size + SMOOTH))[1:].mean()
