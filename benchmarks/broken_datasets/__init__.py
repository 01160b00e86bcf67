"""Datasets as users have them, broken or only odd: how each is built, and what must become of it."""

from broken_datasets import classes, folders, images, masks, outlines, volumes  # noqa: F401 (they fill CASES)
from broken_datasets.cases import CASES, Case, NotHereError

__all__ = ["CASES", "Case", "NotHereError"]
