"""From results to the file of a page: gathered, looked at, told and assembled; knows the order, none of the steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unetscope.data.dataset import Dataset
from unetscope.files import write_text
from unetscope.reporting.page.assembly import assemble
from unetscope.reporting.page.content import build_content
from unetscope.reporting.page.gathering import gather
from unetscope.reporting.page.segmenting import IMAGES, OnStep, look
from unetscope.reporting.page.sources import Sources

PAGE = "report.html"


def collect(
    paths: Sequence[Path], dataset: Dataset | None = None, images: int = IMAGES, on_step: OnStep | None = None
) -> Sources:
    """Everything that a page tells of some results.

    Args:
        paths: As of `gather`.
        dataset: Annotated images, to score the runs and to show how they segment; None to show no images.
        images: Images to show, at most.
        on_step: As of `look`.

    Raises:
        DataError: As `gather` and `look`.
        CheckpointError: As `gather`.
        SlimError: As `gather`.
    """
    sources = gather(paths)
    return sources if dataset is None else look(sources, dataset, images, on_step)


def write_page(sources: Sources, path: Path) -> None:
    """Write one HTML file that needs nothing beside itself, whole or not at all.

    Args:
        sources: What it tells.
        path: The file.

    Raises:
        OutputError: It cannot be written.
    """
    write_text(path, assemble(build_content(sources)))
