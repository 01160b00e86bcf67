"""What a page is made of, as values: networks, what was measured of each, and what was said of them together.

Knows the values of the floors below; neither files nor what a page looks like.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unetscope.checkpoint import Checkpoint
from unetscope.data.inspection import Inspection
from unetscope.evaluation import Part
from unetscope.information.profile import Profile
from unetscope.information.published.paper import PaperProfile
from unetscope.model.spec import UNetSpec
from unetscope.scores.overlap import Scores
from unetscope.slimming.comparison import Comparison
from unetscope.slimming.evidence import Proof
from unetscope.slimming.plan import SlimPlan
from unetscope.slimming.shrinking import Shrinking
from unetscope.wiring import Wiring

Epochs = tuple[tuple[int | None, Profile], ...]
Maps = Mapping[str, NDArray[np.generic]]
Stage = Literal["before", "after", ""]


@dataclass(frozen=True, eq=False)
class Run:
    """A training.

    Attributes:
        path: Its folder.
        checkpoint: What came out.
        history: What every epoch brought.
    """

    path: Path
    checkpoint: Checkpoint
    history: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, eq=False)
class Network:
    """A network with what is known of it.

    Attributes:
        name: What to call it.
        wiring: What feeds each of its layers.
        spec: The network, where it is ours.
        weights: Digest of its weights; empty where none are known.
        run: Its training, where the folder came.
        profiles: Its profiles by epoch, in order; that of the kept weights, under None, stands last.
        paper: Its profile as published.
        scores: On annotated images.
        part: Which images these are.
        maps: Pictures of its layers, as `information.gallery` writes them.
    """

    name: str
    wiring: Wiring = field(repr=False)
    spec: UNetSpec | None = None
    weights: str = ""
    run: Run | None = None
    profiles: Epochs = ()
    paper: PaperProfile | None = None
    scores: Scores | None = None
    part: Part = "test"
    maps: Maps | None = field(default=None, repr=False)

    @property
    def profile(self) -> Profile | None:
        """The profile of the kept weights, or of the last epoch."""
        return self.profiles[-1][1] if self.profiles else None


@dataclass(frozen=True, eq=False)
class Specimen:
    """An image to look at, ready for a screen.

    Attributes:
        name: The image.
        dice: Of the first network; None where the image has no foreground.
        uncertainty: Entropy of the first network's soft-max over that of a coin with a side for each class, mean over
            all pixels, from 0 to 1; None where the image is too large to tell.
        image: (y, x, 3), from 0 to 255.
        truth: (y, x) classes; negative where no label is known.
        found: (y, x) classes, by network; None for one without a run.
        size: Pixels across and down before it was thinned for the screen.
        plane: Which plane of a volume is shown.
    """

    name: str
    dice: float | None
    uncertainty: float | None
    image: NDArray[np.uint8]
    truth: NDArray[np.integer]
    found: tuple[NDArray[np.integer] | None, ...]
    size: tuple[int, int]
    plane: str = ""


@dataclass(frozen=True, eq=False)
class Sources:
    """Everything that a page tells.

    Attributes:
        networks: One or two; of two the first is the one before, the second the one after.
        plan: How the second came from the first, or could.
        comparison: Networks side by side on the same images.
        searches: Searches for the smallest network; the guided one first.
        proof: What these searches are worth.
        progress: What a search says that is not done yet.
        sizing: What `size` wrote, plain values.
        dataset: Name of the dataset; empty where none is known.
        folder: Where it is, if it came.
        classes: Names of the classes of the specimens, the background first.
        inspection: What its files hold.
        specimens: Images to look at, from the worst to the best.
        warnings: What a reader has to know of the sources.
    """

    networks: tuple[Network, ...]
    plan: SlimPlan | None = None
    comparison: Comparison | None = None
    searches: tuple[Shrinking, ...] = ()
    proof: Proof | None = None
    progress: tuple[str, ...] = ()
    sizing: Mapping[str, Any] | None = None
    dataset: str = ""
    folder: Path | None = None
    classes: tuple[str, ...] = ()
    inspection: Inspection | None = None
    specimens: tuple[Specimen, ...] = ()
    warnings: tuple[str, ...] = ()

    def stage(self, network: Network) -> Stage:
        """Which of two a network is; nothing where there is one."""
        if len(self.networks) < 2:
            return ""
        return "before" if network is self.networks[0] else "after"

    def call(self, network: Network) -> str:
        """What to call a network among the others."""
        stage = self.stage(network)
        return f"{network.name} ({stage})" if stage else network.name
