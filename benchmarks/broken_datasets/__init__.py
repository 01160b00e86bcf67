"""Datasets as users have them, broken or only odd: how each is built, and what must become of it."""

from broken_datasets import classes as classes
from broken_datasets import folders as folders
from broken_datasets import images as images
from broken_datasets import masks as masks
from broken_datasets import outlines as outlines
from broken_datasets import volumes as volumes
from broken_datasets.cases import CASES as CASES
