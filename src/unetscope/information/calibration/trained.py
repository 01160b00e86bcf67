"""A small U-Net that learns to read block images, and what its layers know; knows torch.

Every batch is drawn anew, so that the network cannot learn images by heart and comes near the best that any can do.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from unetscope.information.calibration.blocks import SIDES, bound_layer, draw_blocks, solve_window
from unetscope.information.calibration.rows import Tolerance, Trial
from unetscope.information.estimators.family import Family
from unetscope.information.estimators.logistic import Logistic
from unetscope.information.estimators.perceptron import Perceptron
from unetscope.information.intervals import standard_error
from unetscope.information.observation import observe
from unetscope.information.pixels import Pixels, PixelSettings, sample_pixels
from unetscope.information.reading import Reading
from unetscope.information.tally import Tally
from unetscope.information.usable import CrossFit, cross_fit, prior_losses
from unetscope.information.views import view_arrays
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.wiring import HEAD

SPEC = UNetSpec.by_level((8, 16, 16, 16), norm="batch")
BATCH, STEPS, RATE = 8, 300, 0.01
IMAGES, OFFSETS = 80, 2  # that are read: pixels of one block tell little more than one of them
UNSEEN = 1_000_000  # seeds of the images that are read, beyond those of training
TARGET = 0.85  # bits that a trained network must reach
SLACK = 0.02  # bits that an estimate may lie above what there is


def measure_network(seed: int) -> Iterator[Trial]:
    """G6: no layer of a trained U-Net knows more than what it reads can tell, and its output comes near that."""
    network = train_on_blocks(SPEC, seed)
    drawn = draw_blocks(SPEC.ndim, IMAGES, UNSEEN + seed)
    views = view_arrays(list(drawn.images), list(drawn.labels))
    blocks = int(np.prod(drawn.labels.shape[1:])) // SIDES[SPEC.ndim] ** SPEC.ndim
    pixels = sample_pixels(views, SPEC.total_stride, PixelSettings(blocks, OFFSETS, pixels=1), seed)
    readings = observe(network, SPEC.wiring, views, pixels).layers
    whole = solve_window(SIDES[SPEC.ndim] ** SPEC.ndim)
    output = _read(Logistic(), readings[HEAD], pixels)
    reached = Tolerance(whole - TARGET, SLACK)
    yield Trial("G6 trained U-Net output", whole, output.mean, reached, standard_error(output))
    for layer in SPEC.wiring.layers:
        gains = _read(Perceptron(), readings[layer], pixels)
        bound = bound_layer(SPEC, layer, pixels.place)
        yield Trial(f"G6 trained {layer}", bound, gains.mean, Tolerance(np.inf, SLACK), standard_error(gains))


def train_on_blocks(spec: UNetSpec, seed: int, steps: int = STEPS) -> UNet:
    """A network that has learned to tell bright blocks from dark ones.

    Args:
        spec: The network, for one channel and two classes.
        seed: Start of its weights, and of the images that it sees.
        steps: Batches that it learns from.

    Returns:
        The network in its eval mode.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = UNet(spec)
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
    for step in range(steps):
        optimizer.zero_grad()
        torch.autograd.backward(_lose(network, spec.ndim, seed * steps + step))
        optimizer.step()
        schedule.step()
    return network.eval()


def _lose(network: nn.Module, ndim: int, seed: int) -> Tensor:
    """The loss on a fresh batch."""
    drawn = draw_blocks(ndim, BATCH, seed)
    scores = network(torch.from_numpy(drawn.images))
    loss: Tensor = functional.cross_entropy(scores, torch.from_numpy(drawn.labels))
    return loss


def _read(family: Family, reading: Reading, pixels: Pixels) -> Tally:
    """Bits that a family gains on H0, cross-fitted by image."""
    settings = CrossFit(classes=2)
    losses = cross_fit(family, reading, pixels.labels, pixels.view, settings)
    return Tally.gather(prior_losses(pixels.labels, pixels.view, settings) - losses, pixels.view, IMAGES)
