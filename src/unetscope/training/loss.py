"""The training loss: weighted cross-entropy plus Dice, with pixels that do not count; knows scores and labels only."""

from __future__ import annotations

import torch
from torch import Tensor

from unetscope.training.recipe import Recipe

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
    logs, truth = scores.float().log_softmax(1), mark_classes(labels, scores.shape[1])
    total = logs.new_zeros(())
    if recipe.cross_entropy:
        extra = None if border is None else recipe.border * border
        total = total + recipe.cross_entropy * cross_entropy(logs, truth, recipe.class_weights, extra)
    if recipe.dice:
        total = total + recipe.dice * (1 - soft_dice(logs, truth))
    return total


def mark_classes(labels: Tensor, classes: int) -> Tensor:
    """1 where a pixel is of a class, 0 elsewhere; all 0 where it counts nowhere.

    Args:
        labels: (batch, [z,] y, x) class indices; -1 counts nowhere.
        classes: How many there are.

    Returns:
        (batch, classes, [z,] y, x) float32.

    Example:
        >>> mark_classes(torch.tensor([[0, 1, -1]]), 2).tolist()
        [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    """
    indices = torch.arange(classes, device=labels.device).reshape(-1, *[1] * (labels.ndim - 1))
    return (labels.unsqueeze(1) == indices).float()


def cross_entropy(
    logs: Tensor, truth: Tensor, class_weights: tuple[float, ...] | None = None, extra: Tensor | None = None
) -> Tensor:
    """Weighted cross-entropy, nats per pixel; 0 when no pixel counts.

    Args:
        logs: (batch, classes, [z,] y, x), logarithms of the probabilities.
        truth: (batch, classes, [z,] y, x), see `mark_classes`.
        class_weights: One for each class; all 1 if None.
        extra: (batch, [z,] y, x), added to the class weight of every pixel.

    Returns:
        The sum of weighted terms over the sum of class weights: extra weight adds to the loss.

    Source:
        Ronneberger, Fischer, Brox 2015, equations 1 and 2.

    Example:
        >>> cross_entropy(torch.full((1, 2, 3), 0.5).log(), mark_classes(torch.tensor([[0, 1, -1]]), 2)).item()
        0.693147...
    """
    weights = logs.new_ones(logs.shape[1]) if class_weights is None else logs.new_tensor(class_weights)
    right, axes = logs * truth, _pixel_axes(logs)
    loss = -(weights * right.sum(axes)).sum()
    if extra is not None:
        loss = loss - (right * extra.unsqueeze(1)).sum()
    return loss / (weights * truth.sum(axes)).sum().clamp_min(1e-6)


def soft_dice(logs: Tensor, truth: Tensor) -> Tensor:
    """Mean over foreground classes of the soft Dice coefficient of the whole batch.

    Args:
        logs: (batch, classes, [z,] y, x), logarithms of the probabilities.
        truth: (batch, classes, [z,] y, x), see `mark_classes`.

    Source:
        Milletari, Navab, Ahmadi 2016 (V-Net), section 3, with plain sums in the denominator.

    Example:
        >>> logs = torch.tensor([[[9.0, -9.0], [-9.0, 9.0]]]).log_softmax(1)
        >>> round(soft_dice(logs, mark_classes(torch.tensor([[0, 1]]), 2)).item(), 3)
        1.0
    """
    probabilities, axes = logs.exp(), _pixel_axes(logs)
    overlap = (probabilities * truth).sum(axes)
    size = (probabilities * truth.sum(1, keepdim=True)).sum(axes) + truth.sum(axes)
    return ((2 * overlap + SMOOTH) / (size + SMOOTH))[1:].mean()


def _pixel_axes(scores: Tensor) -> tuple[int, ...]:
    """All axes but that of the classes."""
    return (0, *range(2, scores.ndim))
