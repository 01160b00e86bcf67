"""unetscope: train a U-Net on a few annotated images and see how information flows through it."""

from __future__ import annotations

__version__ = "0.1.0"
