"""Training as the 2015 paper does it, drawn: one tile a step with a high momentum, and the weights at borders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unet_drawing import BLUE, GRAY, GRAYS, ORANGE, make_figure, open_frame, shrink, strip
from unetscope.data.objects import border_weights
from unetscope.data.scenes import packed_cells
from unetscope.training.optimization import make_optimizer
from unetscope.training.recipe import Recipe

PAPER = Recipe.preset("ronneberger2015")
USUAL = 0.9


def trace_step(momentum: float, gradients: np.ndarray) -> np.ndarray:
    """How far one weight moves in every step that the optimizer makes on these gradients, in learning rates."""
    holder = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(holder.weight)
    optimizer = make_optimizer(holder, replace(PAPER, momentum=momentum))
    moves, before = [], holder.weight.item()
    for gradient in gradients:
        holder.weight.grad = torch.full_like(holder.weight, float(gradient))
        optimizer.step()
        moves.append((before - holder.weight.item()) / PAPER.learning_rate)
        before = holder.weight.item()
    return np.asarray(moves)


def draw_momentum() -> Figure:
    """What one tile's gradient does to the steps that follow, and how it calms noisy ones."""
    figure = make_figure(2.7)
    left, right = figure.subplots(1, 2)
    once = np.zeros(400)
    once[0] = 1
    noisy = 1 + 5 * np.random.default_rng(0).standard_normal(3000)
    for momentum, color in ((USUAL, ORANGE), (PAPER.momentum, BLUE)):
        moves = trace_step(momentum, once)
        label = f"momentum {momentum}: {moves.sum():.0f} learning rates in all"
        open_frame(left).plot(moves, color=color, label=label, linewidth=1.8)
        calm = trace_step(momentum, noisy)[1000:] * (1 - momentum)
        spread = calm.std()
        label = f"momentum {momentum}: 1 ± {spread:.2f}"
        open_frame(right).plot(calm[:600], color=color, label=label, linewidth=1.1)
    left.set(xlabel="steps since the tile was seen", ylabel="its part in the step", ylim=(0, 1.25))
    left.set_title("The gradient of one tile acts on", fontsize=8.5)
    right.axhline(1, color=GRAY, linewidth=0.8)
    right.set(xlabel="step", ylabel="step / its mean", ylim=(-4, 8))
    right.set_title("Gradients of 1 ± 5, one tile a step", fontsize=8.5)
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=7.5, loc="upper right")
    return figure


def draw_borders() -> Figure:
    """Touching cells, their numbers, and the weight of equation 2 between them."""
    scene = packed_cells((160, 208), 4)
    weights = PAPER.border * border_weights(scene.objects, PAPER.border_reach)
    figure = make_figure(2.4)
    panels = figure.subplots(1, 3)
    panels[0].imshow(shrink(scene.image[0].astype(float), 2), cmap=GRAYS)
    panels[1].imshow(_shuffled(scene.objects), cmap="tab20")
    drawn = panels[2].imshow(weights, cmap="viridis", vmin=0, vmax=PAPER.border)
    titles = ("image", f"{len(np.unique(scene.objects)) - 1} objects", "extra weight of a pixel")
    for axes, title in zip(panels, titles, strict=True):
        strip(axes).set_title(title, fontsize=8.5)
    _add_bar(figure, panels[2], drawn)
    return figure


def _shuffled(objects: np.ndarray) -> np.ndarray:
    """Numbers that neighbors do not share; the background is masked."""
    numbers = np.random.default_rng(0).permutation(objects.max() + 1) % 20
    return np.ma.masked_where(objects == 0, numbers[objects])


def _add_bar(figure: Figure, axes: Axes, drawn: object) -> None:
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8)
    bar.ax.tick_params(labelsize=7)
