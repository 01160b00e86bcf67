"""Which commands make again what a page shows; knows runs and options, runs nothing."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from unetscope.errors import UnetscopeError
from unetscope.model.spec import UNetSpec
from unetscope.reporting.page.numbers import look_up
from unetscope.reporting.page.sources import Network, Sources
from unetscope.training.recipe import Recipe


def list_commands(sources: Sources) -> tuple[str, ...]:
    """The commands by which the networks and results of a page are made again, as they would be typed."""
    return tuple(dict.fromkeys(_list(sources)))


def name_run(network: Network) -> str:
    """A network's run folder, or the word for one, as a shell takes it."""
    return "RUN" if network.run is None else shlex.quote(network.run.path.absolute().name)


def _list(sources: Sources) -> Iterator[str]:
    dataset = shlex.quote(sources.dataset or "DATASET")
    for network in sources.networks:
        if network.run is not None:
            yield from filter(None, [_train(network, dataset)])
        if network.profile is not None and network.spec is not None:
            yield f"unetscope profile {name_run(network)} {dataset} --out profile.json{_profile_options(network)}"
        if network.paper is not None:
            coding = network.paper.settings.coding
            chosen = "" if coding == "blocks" else f" --coding {coding}"
            yield f"unetscope profile {name_run(network)} {dataset} --out paper.json --paper{chosen}"
    first = name_run(sources.networks[0]) if sources.networks else "RUN"
    if sources.searches:
        search = "prove" if sources.proof is not None else "shrink"
        yield f"unetscope {search} {first} {dataset} --out {search}"
    elif sources.plan is not None:
        yield f"unetscope propose {first} profile.json --out plan.json"


def _train(network: Network, dataset: str) -> str | None:
    """The training of a network; None where it cannot be said in options."""
    assert network.run is not None
    checkpoint, out = network.run.checkpoint, name_run(network)
    how = look_up(checkpoint.provenance, "start", "origin", "how")
    if how:
        return f"unetscope slim RUN plan.json {dataset} --out {out} --how {shlex.quote(str(how))}"
    try:
        recipe = Recipe.from_json(checkpoint.recipe)
    except (UnetscopeError, TypeError, ValueError):
        return None
    options = describe_network(checkpoint.spec)
    if options is None:
        return None
    objects = ["--objects"] if checkpoint.objects else []
    words = ["unetscope", "train", dataset, "--out", out, *objects, *options, *describe_recipe(recipe)]
    return " ".join(words[:5]) + "".join(f" {shlex.quote(word)}" for word in words[5:])


def describe_network(spec: UNetSpec) -> list[str] | None:
    """The options that make a network; None where no options do.

    Example:
        >>> describe_network(UNetSpec.by_level((8, 16), norm="batch"))
        ['--widths', '8,16']
    """
    default = UNetSpec.preset("default")
    options = ["--widths", ",".join(map(str, spec.level_widths))]
    changes: dict[str, Any] = {"widths": spec.level_widths}
    for name in ("convolutions", "norm", "activation", "down", "up", "dropout"):
        value = getattr(spec, name)
        if value != getattr(default, name):
            options += [f"--{name}", str(value)]
        changes[name] = value
    if spec.skip_levels != tuple(range(spec.depth)):
        options += ["--skips", ",".join(map(str, spec.skip_levels))]
        changes["skips"] = spec.skip_levels
    if not spec.padded:
        options.append("--valid")
        changes["padded"] = False
    if spec.classes == 1:  # one score for the foreground, which only this preset makes of two classes
        options = ["--preset", "lee2021", "--norm", spec.norm, *_drop(options, "--norm")]
    made = UNetSpec.preset(
        "default", ndim=spec.ndim, image_channels=spec.image_channels, classes=spec.classes, **changes
    )
    return options if made == spec else None


def _drop(options: list[str], name: str) -> list[str]:
    """Options without one of them and its value."""
    if name not in options:
        return options
    at = options.index(name)
    return options[:at] + options[at + 2 :]


def describe_recipe(recipe: Recipe) -> list[str]:
    """The options in which a recipe differs from the plain one.

    Example:
        >>> describe_recipe(Recipe(epochs=5, class_weights=(1.0, 2.0)))
        ['--epochs', '5', '--class-weights', '1.0', '2.0']
    """
    plain, words = Recipe(), list[str]()
    for entry in fields(Recipe):
        value = getattr(recipe, entry.name)
        if value != getattr(plain, entry.name) and value is not None:
            words.append(f"--{entry.name.replace('_', '-')}")
            words += map(str, value) if isinstance(value, tuple) else [str(value)]
    return words


def _profile_options(network: Network) -> str:
    """How a profile was measured, where that was not as usual."""
    assert network.profile is not None
    settings = network.profile.settings
    role = settings.get("role", "profile")
    said = "" if role == "profile" else f" --role {shlex.quote(str(role))}"
    thorough = " --thorough" if settings.get("effort") == "thorough" else ""
    seed = settings.get("seed", 0)
    return f"{said}{thorough}" + (f" --seed {seed}" if seed else "")
