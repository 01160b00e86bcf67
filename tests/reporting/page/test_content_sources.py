"""What a page is made of is recognized by its content; whatever else comes is refused in a sentence."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from page_sources import Place

from unetscope import cli
from unetscope.checkpoint import Checkpoint
from unetscope.data.normalization import Normalization
from unetscope.errors import DataError, UnetscopeError
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.reporting.page.content import build_content
from unetscope.reporting.page.gathering import gather
from unetscope.reporting.page.repetition import describe_network, list_commands
from unetscope.reporting.page.segmenting import look
from unetscope.reporting.page.sources import Network, Run, Sources
from unetscope.training.recipe import RECIPES, Recipe

FILES = ("profile", "paper", "plan", "sizing", "race", "comparison", "checkpoint", "history")
WEIRD = (None, True, "", "x", -1, 0.5, [], {}, [None], {"a": 1}, "</script>")


def file_of(place: Place, name: str) -> Path:
    """A file of that kind."""
    inner = {
        "race": place.search / "race.json",
        "comparison": place.search / "comparison" / "comparison.json",
        "checkpoint": place.run / "checkpoint.json",
        "history": place.run / "history.jsonl",
    }
    return inner.get(name) or getattr(place, name)


def places_in(content: object, depth: int = 4) -> list[tuple]:
    """Where something stands in nested values, a few levels deep; of long lists the first entries."""
    entries = (
        content if isinstance(content, dict) else dict(enumerate(content[:2] if isinstance(content, list) else ()))
    )
    deeper = [(key, *rest) for key, value in entries.items() if depth > 1 for rest in places_in(value, depth - 1)]
    return [(key,) for key in entries] + deeper


def put(content: object, where: tuple, value: object) -> object:
    """The same with another value at one place."""
    copied = dict(content) if isinstance(content, dict) else list(content)
    first, *rest = where
    copied[first] = put(copied[first], tuple(rest), value) if rest else value
    return copied


@pytest.mark.parametrize("name", [name for name in FILES if name != "history"])
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_an_altered_file_is_shown_or_refused_in_a_sentence(
    place: Place, name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    source = file_of(place, name)
    content = json.loads(source.read_text())
    altered = put(content, data.draw(st.sampled_from(places_in(content))), data.draw(st.sampled_from(WEIRD)))
    folder = tmp_path_factory.mktemp("altered")
    target = folder / source.name
    if name == "checkpoint":
        for path in place.run.glob("*.safetensors"):
            (folder / path.name).symlink_to(path)
    target.write_text(json.dumps(altered))
    shown = folder if name == "checkpoint" else target
    try:
        sources = gather([shown] if name != "sizing" else [place.foreign, shown])
        json.dumps(build_content(sources), allow_nan=False)
    except UnetscopeError as error:
        assert len(str(error)) > 20


@pytest.mark.parametrize("text", ["", "[]", "1", "{}", '"text"', '{"gates": []}', '{"format": 1}', "\x00", "{" * 5000])
def test_what_is_no_result_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=r"a\.json"):
        gather([tmp_path / "a.json"])
    with pytest.raises(DataError, match="holds no result"):
        gather([tmp_path])


def test_what_is_not_there_or_too_much_is_refused(place: Place, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        gather([tmp_path / "none.json"])
    with pytest.raises(DataError, match="no network to show"):
        gather([place.sizing])
    with pytest.raises(DataError, match="3 networks came"):
        gather([place.run, place.other, place.foreign])
    for name in "abc":
        Checkpoint.load(place.other).save(tmp_path / "runs" / name)
    with pytest.raises(DataError, match="3 runs"):
        gather([tmp_path / "runs"])
    with pytest.raises(DataError, match="without a run"):
        look(gather([place.profile]), place.dataset)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY"])
def test_damaged_maps_are_told(place: Place, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text(place.profile.read_text())
    (tmp_path / "profile.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"profile\.npz"):
        gather([tmp_path / "profile.json"])


def test_maps_of_something_else_are_left_out(place: Place, tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text(place.profile.read_text())
    odd = {"0/image": np.zeros((1, 4, 4)), "0/labels": np.zeros((4, 4)), "0/head/channels": np.zeros(3)}
    np.savez(tmp_path / "profile.npz", **odd)
    maps = build_content(gather([tmp_path / "profile.json"]))["networks"][0]["maps"]
    assert maps["images"][0]["layers"] == {}


def test_runs_of_one_name_are_told_apart(place: Place, tmp_path: Path) -> None:
    for number, run in enumerate((place.run, place.other)):
        Checkpoint.load(run).save(tmp_path / str(number) / "run")
    first, second = gather([tmp_path / "0" / "run", tmp_path / "1" / "run"]).networks
    assert (first.name, second.name) == ("run 16-32-64", "run 4-8")
    assert len(gather([place.run, place.run]).networks) == 1


# ------------------------------------------------------------------------------------------------------ commands

SPECS = {
    "default": UNetSpec.preset("default"),
    "flat": UNetSpec.preset("flat", width=4, depth=1),
    "lee2021": UNetSpec.preset("lee2021"),
    "ronneberger2015": UNetSpec.preset("ronneberger2015", width=2, widest=8),
    "no skips": UNetSpec.by_level((4, 8, 8), skips=(), norm="instance", activation="leaky"),
    "some skips": UNetSpec.by_level((4, 8, 8), skips=(1,), down="strided", up="nearest", norm="batch"),
    "volumes": UNetSpec.by_level((4, 8), ndim=3, classes=4, image_channels=2, up="subpixel"),
    "no depth": UNetSpec.by_level((4,), convolutions=3),
}


def make_run(spec: UNetSpec, recipe: Recipe) -> Network:
    classes = tuple(f"class {number}" for number in range(max(2, spec.classes)))
    checkpoint = Checkpoint(spec, {}, Normalization("image"), classes, recipe=recipe.to_json())
    return Network("a run", spec.wiring, spec, "", Run(Path("a run"), checkpoint))


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("preset", RECIPES)
def test_the_command_of_a_run_trains_the_same_network_by_the_same_recipe(name: str, preset: str) -> None:
    spec, recipe = SPECS[name], Recipe.preset(preset, seed=3, class_weights=(1.0, 2.5), minutes=4.5)
    (command,) = list_commands(Sources((make_run(spec, recipe),), dataset="my images"))
    words = shlex.split(command)
    assert words[:5] == ["unetscope", "train", "my images", "--out", "a run"]
    _, bound, _ = cli.app.parse_args(words[1:], exit_on_error=False, print_error=False)
    network = bound.arguments["network"]
    made = network.spec_for(spec.ndim, spec.image_channels, max(2, spec.classes))
    assert made == spec
    assert bound.arguments["settings"].recipe(network.preset) == recipe


def test_what_no_option_can_say_is_not_said() -> None:
    assert describe_network(SPECS["default"].with_widths({"encoder.0.conv1": 5})) is None
    assert list_commands(Sources((make_run(SPECS["default"].with_widths({"encoder.0.conv1": 5}), Recipe()),))) == ()


def test_every_command_of_a_page_is_understood(place: Place) -> None:
    sources = gather([place.search, place.paper])
    slim = replace(sources.networks[0].run.checkpoint, provenance={"start": {"origin": {"how": "slice"}}})
    made = replace(sources.networks[0], run=Run(Path("slim one"), slim))
    commands = list_commands(replace(sources, networks=(made, *sources.networks[1:])))
    said = [answer["missing"] for names in (["run"], ["foreign"]) for answer in missing(place, *names)]
    assert len(commands) > 3
    for command in (*commands, *filter(None, said)):
        words = shlex.split(command)
        assert words[0] == "unetscope"
        cli.app.parse_args(words[1:], exit_on_error=False, print_error=False)


def missing(place: Place, *names: str) -> list[dict]:
    return build_content(gather([getattr(place, name) for name in names]))["answers"]


def test_weights_of_a_checkpoint_decide_not_its_name(place: Place) -> None:
    spec = UNetSpec.by_level((2, 2))
    assert Checkpoint(spec, UNet(spec).state_dict(), Normalization("image"), ("a", "b")).digest() not in {
        network.weights for network in gather([place.run, place.other]).networks
    }
