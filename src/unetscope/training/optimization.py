"""The optimizer and its step size at every step; knows a recipe and parameters, neither data nor losses."""

from __future__ import annotations

import math

import torch
from torch import nn

from unetscope.training.recipe import Recipe


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The step size of a step: a linear warm-up, then constant or down to zero along a cosine.

    Args:
        recipe: Peak, schedule and warm-up.
        step: Steps done before.
        steps: Steps in all.

    Returns:
        The learning rate.

    Source:
        Loshchilov & Hutter 2017 (SGDR), equation 5, one period.

    Example:
        >>> [learning_rate(Recipe(warmup=2), step, 10) for step in (0, 1, 10)]
        [0.0005, 0.001, 0.0]
    """
    warm = min(1.0, (step + 1) / recipe.warmup) if recipe.warmup else 1.0
    if recipe.schedule == "constant":
        return recipe.learning_rate * warm
    done = min(1.0, max(0.0, (step + 1 - recipe.warmup) / max(1, steps - recipe.warmup)))
    return recipe.learning_rate * warm * (1 + math.cos(math.pi * done)) / 2


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimizer that the recipe names, in its fused form."""
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            network.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay, fused=True
        )
    return torch.optim.AdamW(network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)
