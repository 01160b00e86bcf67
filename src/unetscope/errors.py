"""What can go wrong, as one small tree; knows nothing of the rest.

    UnetscopeError
    |-- SpecError           a U-Net that cannot be built
    |   `-- SizeError       an image size that a U-Net cannot take
    |-- RecipeError         a training setting out of range
    |   `-- DivergenceError     a training whose numbers were lost
    |-- DataError           a dataset that cannot be used as it is
    |   `-- ImageError      a file that cannot be read as an image
    |-- CheckpointError     a run folder that cannot be read or continued, or a bundle that cannot be read
    |-- SlimError           a plan that cannot be followed, or an aim that cannot be reached
    |-- ExportError         a network that cannot be exported, or whose export computes something else
    `-- OutputError         a result that cannot be written

A message is one sentence: what came, what was needed, what to do. The command line prints it and exits with 2.
"""

from __future__ import annotations


class UnetscopeError(Exception):
    """The user can mend this: the message says what came, what was needed and what to do."""


class SpecError(UnetscopeError, ValueError):
    """A U-Net that cannot be built."""


class SizeError(SpecError):
    """An image size that a U-Net cannot take."""


class RecipeError(UnetscopeError, ValueError):
    """A training setting out of range."""


class DivergenceError(RecipeError):
    """A training whose numbers were lost."""


class DataError(UnetscopeError, ValueError):
    """A dataset that cannot be used as it is."""


class ImageError(DataError):
    """A file that cannot be read as an image."""


class CheckpointError(UnetscopeError):
    """A run folder that cannot be read or continued, or a bundle that cannot be read."""


class SlimError(UnetscopeError, ValueError):
    """A plan that cannot be followed, or an aim that cannot be reached."""


class ExportError(UnetscopeError):
    """A network that cannot be exported, or whose export computes something else."""


class OutputError(UnetscopeError, OSError):
    """A result that cannot be written."""
