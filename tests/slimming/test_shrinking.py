"""A search names the boundary that there is, wherever it is stopped, and says how sure it is."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, get_args

import pytest
from simulated import COST, SPEC, STEPS, SimulatedTrials, Truth, simulate, write_origin

from unetscope.data.dataset import Dataset
from unetscope.errors import DataError, SlimError
from unetscope.model.cost import count_parameters
from unetscope.model.spec import UNetSpec
from unetscope.slimming import shrinking
from unetscope.slimming.jury import Finding
from unetscope.slimming.plan import SlimPlan
from unetscope.slimming.race import RATIO
from unetscope.slimming.rules import Rule
from unetscope.slimming.shapes import multiply_adds_per_pixel
from unetscope.slimming.shrinking import (
    PLAN,
    PROFILE,
    RACE,
    Shrinking,
    ShrinkSettings,
    Watcher,
    compare_ends,
    guided,
    shrink,
)
from unetscope.slimming.slim import How
from unetscope.slimming.targets import Target
from unetscope.slimming.trials import Trial

RULE = Rule("plain", "2026-01-31", widths_by="keep")
SETTINGS = ShrinkSettings(rule=RULE)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    return write_origin(tmp_path_factory.mktemp("simulated"))


@pytest.fixture(autouse=True)
def efforts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return simulate(monkeypatch)


def search(place: tuple[Dataset, Path], out: Path, settings: ShrinkSettings = SETTINGS, **watch: Any) -> Shrinking:
    return shrink(place[1], place[0], out, settings, Watcher(**watch))


class Listener:
    """Remembers what was trained, and how much of it before the end of the search."""

    def __init__(self) -> None:
        self.begun, self.searched = list[Trial](), 0

    def hear(self, text: str) -> None:
        if text.startswith("training both ends"):
            self.searched = len(self.begun)


# --- the boundary ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("spread", [0.0, 0.003])
def test_the_boundary_is_found(
    place: tuple[Dataset, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, spread: float
) -> None:
    monkeypatch.setattr(Truth, "boundary", share * COST)
    monkeypatch.setattr(Truth, "seeds", spread)
    listener = Listener()
    found = search(place, tmp_path, on_trial=listener.begun.append, on_text=listener.hear)
    begun = listener.begun[: listener.searched]
    good = multiply_adds_per_pixel(found.good)
    assert good >= share * COST
    assert found.failing is not None
    assert multiply_adds_per_pixel(found.failing) < good
    assert found.factor is not None
    assert found.factor <= RATIO
    others = [trial for trial in begun if trial.spec != SPEC]
    assert found.trainings == len(others) == len(set(begun)) - 2, "two more seeds of the origin"
    assert found.steps == sum(int(STEPS * trial.share) for trial in others)
    words = {finding.spec: finding.word for finding in found.findings}
    assert words.get(found.good, "as good") == "as good"
    assert words[found.failing] in ("worse", "not separable")
    assert found.runs["origin"][0] == str(place[1])
    assert {name: len(runs) for name, runs in found.runs.items()} == dict.fromkeys(
        ("origin", "good", "failing", "again"), 5
    )
    assert [finding.spec for finding in found.confirmed] == [
        spec for spec in (found.good, found.failing) if spec != SPEC
    ]
    assert {finding.difference.seeds for finding in found.confirmed} == {(5, 5)}
    assert found == Shrinking.from_json(json.loads((tmp_path / RACE).read_text()))
    assert sum("with all seeds of the end" in sentence for sentence in found.sentences) == len(found.confirmed)


@pytest.mark.parametrize("how", get_args(How))
def test_beside_slices_the_origin_is_trained_on(place: tuple[Dataset, Path], tmp_path: Path, how: How) -> None:
    found = search(place, tmp_path, replace(SETTINGS, how=how))
    assert (found.control is not None) == ("again" in found.runs) == (how != "scratch")
    assert any("the original itself, trained on" in sentence for sentence in found.sentences) == (how != "scratch")
    assert found == Shrinking.from_json(json.loads((tmp_path / RACE).read_text()))
    if found.control:
        assert (found.control.spec, found.control.difference.seeds) == (SPEC, (5, 5))
        assert len(set(found.runs["again"])) == 5


def test_the_plan_comes_first(place: tuple[Dataset, Path], tmp_path: Path, efforts: list[str]) -> None:
    """The profile says that nothing comes up into level 1: the race begins there, beside the flat network."""
    begun = list[Trial]()
    search(place, tmp_path, on_trial=begun.append)
    plan = SlimPlan.load(tmp_path / PLAN)
    assert (plan.depth, plan.rule["name"]) == (1, "plain")
    short = [trial for trial in begun if trial.share < 1]
    assert {trial.spec.depth for trial in begun if trial.spec != SPEC} == {1}
    assert len({trial.spec for trial in short}) == 2
    assert max(multiply_adds_per_pixel(trial.spec) for trial in short) <= multiply_adds_per_pixel(plan.spec)
    assert plan.spec in {trial.spec for trial in short}
    assert efforts == ["brief"]


def test_a_plan_that_keeps_all_is_raced_too(
    place: tuple[Dataset, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = guided(SlimPlan.keep_all(SPEC, ""))
    assert [shape.spec.depth for shape in strategy.shapes] == [2, 2]
    level = UNetSpec.by_level((8, 8))
    assert len(guided(SlimPlan.keep_all(level, "")).shapes) == 1, "a flat network has no flat rival"
    monkeypatch.setattr(shrinking, "plan_run", lambda *_: SlimPlan.keep_all(SPEC, ""))
    found = search(place, tmp_path)
    assert found.findings
    assert found.good != SPEC


def test_where_all_are_as_good_nothing_fails(
    place: tuple[Dataset, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Truth, "boundary", 1e-9)
    found = search(place, tmp_path)
    assert (found.failing, found.factor) == (None, None)
    assert set(found.runs) == {"origin", "good", "again"}
    assert any("no network of these shapes is too small" in sentence for sentence in found.sentences)


def test_where_none_is_as_good_the_origin_stays(
    place: tuple[Dataset, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Truth, "boundary", COST)
    found = search(place, tmp_path)
    assert found.good == SPEC
    assert found.runs["good"] == found.runs["origin"]
    assert found.sentences[0] == "keep it: no smaller network was found to be as good"


# --- targets -----------------------------------------------------------------------------------------------------


def test_what_exceeds_the_target_is_never_trained(place: tuple[Dataset, Path], tmp_path: Path) -> None:
    begun = list[Trial]()
    limited = replace(SETTINGS, target=Target(max_parameters=400))
    found = search(place, tmp_path, limited, on_trial=begun.append)
    assert all(count_parameters(trial.spec) <= 400 for trial in begun if trial.spec != SPEC)
    assert found.good == SPEC or count_parameters(found.good) <= 400


def test_impossible_targets_are_refused_before_anything_is_trained(place: tuple[Dataset, Path], tmp_path: Path) -> None:
    begun = list[Trial]()
    with pytest.raises(SlimError, match="cannot be had from this network"):
        search(place, tmp_path, replace(SETTINGS, target=Target(max_parameters=3)), on_trial=begun.append)
    with pytest.raises(SlimError, match="came without an engine"):
        search(place, tmp_path, replace(SETTINGS, target=Target(max_memory=1e9)), on_trial=begun.append)
    assert not begun


@pytest.mark.parametrize("seeds", [1, 0, -1])
def test_one_seed_tells_nothing(seeds: int) -> None:
    with pytest.raises(SlimError, match=f"seeds is {seeds}; use at least 2"):
        ShrinkSettings(seeds=seeds)


# --- stopping ----------------------------------------------------------------------------------------------------


class StoppedError(Exception):
    """What stops a search from outside."""


def test_a_stopped_search_goes_on_as_if_it_had_not_been(
    place: tuple[Dataset, Path], tmp_path: Path, efforts: list[str]
) -> None:
    """Stopped before every single training, one after the other; the file can be read each time."""
    whole = search(place, tmp_path / "whole")
    done = list[Trial]()

    def stop(trial: Trial) -> None:
        content = json.loads((tmp_path / "parts" / RACE).read_text())
        assert [Finding.from_json(finding) for finding in content["findings"]] == list(whole.findings)[
            : len(content["findings"])
        ]
        assert content["sentences"]
        if trial not in done:
            done.append(trial)
            raise StoppedError

    found = None
    while found is None:
        try:
            found = search(place, tmp_path / "parts", on_trial=stop)
        except StoppedError:
            assert len(done) < 100
    assert found.to_json() | {"runs": {}} == whole.to_json() | {"runs": {}}
    assert efforts == ["brief", "brief"], "one profile each"
    again = list[Trial]()
    assert search(place, tmp_path / "parts", on_trial=again.append) == found
    assert not again
    written = json.loads((tmp_path / "parts" / RACE).read_text())
    assert Shrinking.from_json(written) == found
    assert written["provenance"]["data"] == place[0].digest()
    assert set(written["provenance"]) == {"versions", "recipe", "how", "split", "data", "origin"}


def test_a_profile_is_taken_up_again_if_it_took_effort_enough(
    place: tuple[Dataset, Path], tmp_path: Path, efforts: list[str]
) -> None:
    for effort in ("brief", "default", "brief"):
        search(place, tmp_path, replace(SETTINGS, effort=effort))
    assert efforts == ["brief", "default"]
    (tmp_path / PROFILE).write_text("{")
    with pytest.raises(DataError, match="cannot be read as a profile"):
        search(place, tmp_path)


# --- words -------------------------------------------------------------------------------------------------------


def test_everything_is_told(place: tuple[Dataset, Path], tmp_path: Path) -> None:
    texts, findings, left = list[str](), list[Finding](), list[int]()
    found = search(place, tmp_path, on_text=texts.append, on_finding=findings.append, on_heat=left.append)
    assert texts[0] == "profiling the network"
    assert "Dice cannot be told; training the origin with other seeds" in texts[1]
    assert texts[2] == "searching (guided)"
    assert tuple(findings) == found.findings
    assert len(left) == len(findings)
    good, failing, counted, *_ = found.sentences
    assert "-".join(map(str, found.good.level_widths)) in good
    assert "as good" in good
    assert "no verdict" not in good
    assert found.failing is not None
    assert "-".join(map(str, found.failing.level_widths)) in failing
    assert f"{found.trainings} trainings, {found.steps} optimizer steps" in counted


@pytest.mark.parametrize(("images", "told"), [(19, "a difference below"), (1, "cannot tell any difference")])
def test_on_few_images_it_says_that_means_decided(
    place: tuple[Dataset, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: int, told: str
) -> None:
    monkeypatch.setattr(Truth, "images", images)
    found = search(place, tmp_path)
    good, failing, counted, *_ = found.sentences
    assert f"by its mean alone (no verdict: {images} images are too few)" in good
    assert f"is not as good by its mean alone (no verdict: {images} images are too few)" in failing
    assert told in counted
    assert (found.detectable == inf) == (images == 1)
    assert Shrinking.from_json(json.loads((tmp_path / RACE).read_text())) == found


def test_the_ends_are_compared_on_the_test_images(
    place: tuple[Dataset, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = list[Any]()
    monkeypatch.setattr(shrinking, "compare", lambda *given: calls.append(given))
    found = search(place, tmp_path)
    for timed in (True, False):
        compare_ends(found, place[0], 0.02, timed)
    for (runs, dataset, settings, _), timed in zip(calls, (True, False), strict=True):
        assert list(map(str, runs)) == [
            run for name in ("origin", "good", "failing", "again") for run in found.runs[name]
        ]
        assert (dataset, settings.part, settings.margin) == (place[0], "test", 0.02)
        assert bool(settings.ways) == timed


def test_the_simulation_takes_the_place_of_trainings(place: tuple[Dataset, Path], tmp_path: Path) -> None:
    trials = SimulatedTrials(tmp_path, place[0], place[1])
    assert (trials.origin_spec, trials.recipe.epochs, trials.recipe.seed) == (SPEC, 10, 2)
