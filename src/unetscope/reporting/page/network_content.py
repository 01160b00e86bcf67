"""A network as a page carries it: its drawing, its layers, its facts, and what was measured at them by epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from unetscope.information.profile import Profile
from unetscope.model.geometry import receptive_field
from unetscope.reporting.page.costs import Costs, count_costs
from unetscope.reporting.page.maps import show_maps
from unetscope.reporting.page.measures import (
    MEASURES,
    list_bridges,
    measure_costs,
    measure_paper,
    measure_profile,
)
from unetscope.reporting.page.numbers import shorten_number
from unetscope.reporting.page.sources import Network, Sources
from unetscope.reporting.page.u_geometry import arrange_u
from unetscope.reporting.page.u_svg import draw_svg
from unetscope.wiring import Wiring

SHOWN_DIGEST = 12

Fact = list[str]


def show_networks(sources: Sources) -> list[dict[str, Any]]:
    """The networks of a page with everything that was measured of them, drawn to one scale."""
    scale = min(arrange_u(complete_wiring(network)).per_channel for network in sources.networks)
    return [_show_network(network, sources, scale) for network in sources.networks]


def _show_network(network: Network, sources: Sources, scale: float) -> dict[str, Any]:
    """A network; a channel is drawn as wide as the scale says."""
    costs = None if network.spec is None else count_costs(network.spec)
    wiring = complete_wiring(network)
    return {
        "name": network.name,
        "label": sources.stage(network),
        "svg": draw_svg(wiring, network.name, per_channel=scale),
        "layers": [_describe_layer(wiring, layer, costs) for layer in wiring.layers],
        "facts": list(_list_facts(network, costs)),
        "epochs": _list_epochs(network, costs),
        "maps": show_maps(network, 1 / len(sources.networks)),
    }


def list_measures(networks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The measures that some network has, as the page offers them."""
    taken = {key for network in networks for epoch in network["epochs"] for key in epoch["measures"]}
    return [
        {"key": one.key, "name": one.name, "unit": one.unit, "help": one.help, "digits": one.digits}
        for one in MEASURES
        if one.key in taken
    ]


def complete_wiring(network: Network) -> Wiring:
    """The wiring with the channels of all layers, which a profile knows where the wiring does not."""
    known = {} if network.profile is None else {layer.layer: layer.width for layer in network.profile.layers}
    return Wiring(network.wiring.sources, network.wiring.strides, {**known, **network.wiring.widths})


def _describe_layer(wiring: Wiring, layer: str, costs: Costs | None) -> dict[str, Any]:
    return {
        "name": layer,
        "stride": list(wiring.strides[layer]),
        "width": wiring.widths.get(layer),
        "parameters": None if costs is None else costs.parameters[layer],
        "multiply_adds": None if costs is None else shorten_number(costs.multiply_adds[layer]),
    }


def _list_facts(network: Network, costs: Costs | None) -> Iterator[Fact]:
    """What is known of a network as a whole, names and texts."""
    spec, profile = network.spec, network.profile
    if spec is not None and costs is not None:
        unit, short = ("pixel", "megapixel") if spec.ndim == 2 else ("voxel", "megavoxel")
        yield ["widths", "-".join(map(str, spec.level_widths))]
        yield ["parameters", f"{sum(costs.parameters.values()):,}"]
        yield [f"multiply-adds per {unit}", f"{sum(costs.multiply_adds.values()):,.0f}"]
        yield ["poolings", str(spec.depth)]
        yield ["skips at levels", ", ".join(map(str, spec.skip_levels)) or "none"]
        yield ["receptive field", f"{' x '.join(map(str, receptive_field(spec)))} {unit}s"]
        if costs.prediction is not None:
            said = costs.prediction
            low, high = (end / said.pixels * 1e6 for end in (said.low, said.high))
            text = f"{said.milliseconds_per_megapixel:,.0f} (8 in 10: {low:,.0f} to {high:,.0f}), {costs.engine}"
            yield [f"milliseconds per {short} here, predicted", text]
    else:
        yield ["layers", str(len(network.wiring.layers))]
    if profile is not None:
        yield ["profiled images", str(len(profile.images))]
        if profile.networks > 1:
            yield ["networks in the profile", str(profile.networks)]
    if network.weights:
        yield ["weights", network.weights[:SHOWN_DIGEST]]


def _list_epochs(network: Network, costs: Costs | None) -> list[dict[str, Any]]:
    """What was measured by epoch; what holds for all epochs stands with the last."""
    shown = [_show_epoch(epoch, profile) for epoch, profile in network.profiles]
    last = shown[-1] if shown else {"epoch": None, "measures": {}, "bridges": []}
    if network.paper is not None:
        last["measures"] |= measure_paper(network.paper)
    if costs is not None:
        last["measures"] |= measure_costs(costs)
    return shown or [last]


def _show_epoch(epoch: int | None, profile: Profile) -> dict[str, Any]:
    return {"epoch": epoch, "measures": measure_profile(profile), "bridges": list_bridges(profile)}
