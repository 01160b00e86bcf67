"""A network whose layers are measured, whoever built it, and its untrained twin; knows modules, no measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unetscope.checkpoint import Checkpoint
from unetscope.information.views import Views
from unetscope.wiring import Wiring

Norms = nn.modules.batchnorm._BatchNorm

BATCH = 8
"""Images of one size that norms see together."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A network that is measured.

    Attributes:
        name: What it is called in tables and pictures.
        module: The network in its eval mode; it takes (batch, channels, [z,] y, x).
        wiring: What feeds each of its layers; their names are paths of submodules.
        twin: For a seed, the same network with fresh weights, in eval mode. The running statistics of its batch norms
            are those it was born with (0 and 1), which makes it no fair control: see `untrained`.
    """

    name: str
    module: nn.Module
    wiring: Wiring
    twin: Callable[[int], nn.Module]

    def untrained(self, views: Views, seed: int = 0) -> Subject:
        """The same network with fresh weights, its batch norms adapted to the images: the control of training."""
        return replace(self, name=f"{self.name}, untrained", module=adapt_norms(self.twin(seed), views))


def subject_of(checkpoint: Checkpoint, name: str = "network") -> Subject:
    """A trained U-Net as what is measured.

    Args:
        checkpoint: The network.
        name: What to call it.

    Returns:
        The network with its weights, ready to predict.

    Raises:
        CheckpointError: The weights are not those of the described network.

    Example:
        >>> from unetscope.data.normalization import Normalization
        >>> from unetscope.model.spec import UNetSpec
        >>> from unetscope.model.unet import UNet
        >>> spec = UNetSpec.by_level((4, 8))
        >>> blank = Checkpoint(spec, UNet(spec).state_dict(), Normalization.range(0, 255), ("background", "cell"))
        >>> subject_of(blank).wiring.joins()
        ('decoder.0.conv1',)
    """
    return Subject(
        name, checkpoint.network(), checkpoint.spec.wiring, lambda seed: checkpoint.untrained(seed).network()
    )


def device_of(module: nn.Module) -> torch.device:
    """Where a network computes."""
    return next(module.parameters(), torch.zeros(())).device


def make_batch(module: nn.Module, *images: NDArray[np.float32]) -> Tensor:
    """Images of one size as a batch where a network computes; a copy, which the network may work on in place.

    Args:
        module: The network.
        images: (channels, [z,] y, x) each.

    Returns:
        (batch, channels, [z,] y, x).
    """
    return torch.from_numpy(np.stack(images)).to(device_of(module))


def adapt_norms(module: nn.Module, views: Views) -> nn.Module:
    """Give the batch norms of an untrained network the statistics of the images, as training would have.

    Weights stay as they are. Statistics are the averages over batches of up to 8 images of one size; a lone image comes
    twice, since a norm needs more than one value a channel.

    Args:
        module: The network, which is changed and left in eval mode.
        views: The images.

    Returns:
        The same network.
    """
    norms = [part for part in module.modules() if isinstance(part, Norms) and part.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    module.eval()
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        with torch.no_grad():
            for batch in _neighbors(views) if norms else ():
                module(make_batch(module, *(batch if len(batch) > 1 else batch * 2)))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        module.eval()
    return module


def _neighbors(views: Views) -> Iterator[list[NDArray[np.float32]]]:
    """Images of one size that come one after another, a few together."""
    waiting: list[NDArray[np.float32]] = []
    for view in views:
        if waiting and (len(waiting) == BATCH or view.image.shape != waiting[0].shape):
            yield waiting
            waiting = []
        waiting.append(view.image)
    yield waiting
