"""unetscope: train a U-Net on a few annotated images and see how information flows through it.

Eight nouns and the verbs that turn one into another:

    >>> sorted(__all__)
    ['Bundle', 'Checkpoint', 'Comparison', 'Dataset', 'Profile', 'Recipe', 'Scores', 'SlimPlan', 'Tiling', 'UNet',
     'UNetSpec', 'compare', 'evaluate', 'export', 'profile', 'propose', 'prove', 'segment', 'shrink', 'slim', 'train']

Names are imported when they are first used, so that the command line answers before torch is loaded.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from unetscope.checkpoint import Checkpoint
    from unetscope.data.dataset import Dataset
    from unetscope.engines.bundle import Bundle
    from unetscope.evaluation import evaluate
    from unetscope.exports import export
    from unetscope.information.profile import Profile
    from unetscope.information.profiling import profile
    from unetscope.model.spec import UNetSpec
    from unetscope.model.unet import UNet
    from unetscope.scores.overlap import Scores
    from unetscope.segmentation import Tiling, segment
    from unetscope.slimming.comparison import Comparison, compare
    from unetscope.slimming.evidence import prove
    from unetscope.slimming.plan import SlimPlan
    from unetscope.slimming.proposal import propose
    from unetscope.slimming.shrinking import shrink
    from unetscope.slimming.slim import slim
    from unetscope.training.loop import train
    from unetscope.training.recipe import Recipe

_HOMES = {
    "Bundle": "engines.bundle",
    "Checkpoint": "checkpoint",
    "Comparison": "slimming.comparison",
    "Dataset": "data.dataset",
    "Profile": "information.profile",
    "Recipe": "training.recipe",
    "Scores": "scores.overlap",
    "SlimPlan": "slimming.plan",
    "Tiling": "segmentation",
    "UNet": "model.unet",
    "UNetSpec": "model.spec",
    "compare": "slimming.comparison",
    "evaluate": "evaluation",
    "export": "exports",
    "profile": "information.profiling",
    "propose": "slimming.proposal",
    "prove": "slimming.evidence",
    "segment": "segmentation",
    "shrink": "slimming.shrinking",
    "slim": "slimming.slim",
    "train": "training.loop",
}

__all__ = [
    "Bundle",
    "Checkpoint",
    "Comparison",
    "Dataset",
    "Profile",
    "Recipe",
    "Scores",
    "SlimPlan",
    "Tiling",
    "UNet",
    "UNetSpec",
    "compare",
    "evaluate",
    "export",
    "profile",
    "propose",
    "prove",
    "segment",
    "shrink",
    "slim",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home."""
    if name in _HOMES:
        return getattr(import_module(f"unetscope.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'unetscope' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return [*__all__, "__version__"]
