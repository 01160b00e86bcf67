"""The figures to print of what a page tells; knows which there are, not how they are drawn."""

from __future__ import annotations

from pathlib import Path

from unetscope.reporting import paper_figures, paper_uplot
from unetscope.reporting.page.sources import Network, Sources
from unetscope.reporting.pareto import save_paretos
from unetscope.reporting.pictures import save_profiles

TRAINING, PUBLISHED = "training", "published"


def save_figures(sources: Sources, folder: Path) -> list[Path]:
    """Write the figures of every network and of their comparison.

    Args:
        sources: What a page tells.
        folder: Where to write; of two networks each has a folder in it.

    Returns:
        The files.

    Raises:
        OutputError: A figure cannot be written.
    """
    written: list[Path] = []
    for network in sources.networks:
        written += _save_network(network, folder / sources.stage(network))
    if sources.comparison is not None:
        written += save_paretos(sources.comparison, folder)
        written += paper_figures.save_figures((), folder, sources.comparison)
    return written


def _save_network(network: Network, folder: Path) -> list[Path]:
    """The pictures of one network's profiles; those over training and as published stand apart."""
    written: list[Path] = []
    end = [(0, profile) for epoch, profile in network.profiles if epoch is None]
    series = [(epoch, profile) for epoch, profile in network.profiles if epoch is not None]
    if end:
        written += save_profiles(end, folder, is_series=False) + paper_figures.save_figures(end, folder)
    if series:
        own = folder / TRAINING if end else folder
        written += save_profiles(series, own, is_series=True) + paper_figures.save_figures(series, own)
    if network.paper is not None:
        written += paper_uplot.save_figures(network.paper, folder / PUBLISHED if network.profiles else folder)
    return written
