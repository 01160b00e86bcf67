"""Everything that a page tells, as one document of plain values; knows the sources, neither HTML nor files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from unetscope import __version__
from unetscope.reporting.page.answers import answer
from unetscope.reporting.page.downloads import list_downloads
from unetscope.reporting.page.evidence_content import show_design, show_evidence
from unetscope.reporting.page.network_content import list_measures, show_networks
from unetscope.reporting.page.numbers import look_up, make_plain
from unetscope.reporting.page.repetition import list_commands
from unetscope.reporting.page.segmentation_content import show_segmentation
from unetscope.reporting.page.sources import Network, Sources

FORMAT = 1
SHOWN_DIGEST = 16


def build_content(sources: Sources) -> dict[str, Any]:
    """What a page tells, ready for JSON; the same sources give the same document.

    Args:
        sources: What `gathering.gather` found, and `segmenting.look` saw of it.

    Returns:
        Plain values without any number that is not finite. Texts of users stand in them as they are: whoever shows
        them escapes them; only the drawings of networks are markup, which escapes its names itself.
    """
    networks = show_networks(sources)
    content = {
        "version": FORMAT,
        "title": _name(sources),
        "answers": answer(sources),
        "segmentation": show_segmentation(sources),
        "networks": networks,
        "measures": list_measures(networks),
        "design": show_design(sources),
        "evidence": show_evidence(sources),
        "provenance": _show_provenance(sources),
    }
    plain = make_plain(content)
    assert isinstance(plain, dict)
    return {**plain, "downloads": list_downloads(sources, plain)}


def _name(sources: Sources) -> str:
    """What the page is called."""
    names = " and ".join(network.name for network in sources.networks)
    return f"{names} on {sources.dataset}" if sources.dataset else names


def _show_provenance(sources: Sources) -> dict[str, Any]:
    """Where the networks come from, and how to make them again."""
    versions: dict[str, Any] = {"unetscope": __version__}
    for network in sources.networks:
        if network.run is not None:
            known = look_up(network.run.checkpoint.provenance, "versions")
        else:
            known = None if network.profile is None else look_up(network.profile.provenance, "versions")
        versions |= known if isinstance(known, Mapping) else {}
    return {
        "versions": versions,
        "rows": [row for network in sources.networks for row in _list_rows(network, sources)],
        "commands": list(list_commands(sources)),
        "warnings": list(sources.warnings),
    }


def _list_rows(network: Network, sources: Sources) -> Iterator[list[str]]:
    """What determined a network, names and texts."""
    after = f" ({stage})" if (stage := sources.stage(network)) else ""
    for name, text in _list_facts(network):
        yield [f"{name}{after}", text]


def _list_facts(network: Network) -> Iterator[tuple[str, str]]:
    run = network.run
    if run is not None:
        known = run.checkpoint.provenance
        yield from _name_all({"data hash": look_up(known, "data", "sha256"), "seed": known.get("seed")})
        yield "split", ", ".join(f"{len(names)} {role}" for role, names in run.checkpoint.split.items())
        yield "classes", ", ".join(map(str, run.checkpoint.classes))
        yield "normalization", str(run.checkpoint.normalization.scheme)
        if run.checkpoint.spacing is not None:
            spacing = run.checkpoint.spacing
            yield "spacing", f"{' x '.join(f'{step:.4g}' for step in spacing.steps)} {spacing.unit}"
        yield from _name_all({name: known.get(name) for name in ("epoch", "step", "threads", "device", "processes")})
    elif network.profile is not None:
        known = network.profile.provenance
        yield from _name_all({"data hash": known.get("data")})
        yield "classes", ", ".join(map(str, network.profile.classes))
    if network.weights:
        yield "weights", network.weights
    if network.profile is not None:
        settings = network.profile.settings
        yield "profile", ", ".join(f"{name} {value}" for name, value in settings.items())


def _name_all(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Those that are known, as texts."""
    return ((name, str(value)) for name, value in facts.items() if value is not None and value != "")
