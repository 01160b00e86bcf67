"""`propose`, `slim`, `shrink` and `prove` in a terminal: results for programs, and one sentence for mistakes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import simulated
from known_networks import YES, make_profile

from unetscope.checkpoint import Checkpoint
from unetscope.cli import main
from unetscope.commands.comparing import COMPARISON
from unetscope.data.dataset import Dataset
from unetscope.data.scenes import write_dataset
from unetscope.model.spec import UNetSpec
from unetscope.slimming.plan import SlimPlan
from unetscope.slimming.rules import Rule
from unetscope.training.loop import train
from unetscope.training.recipe import Recipe

RULE = Rule("plain", "2026-01-31", widths_by="keep")
SPEC = UNetSpec.by_level((4, 4, 6), convolutions=1)
RECIPE = Recipe(epochs=2, epoch_steps=2, batch=2, patch=16, warmup=1)


@dataclass(frozen=True)
class Place:
    """A folder with a dataset, a run on it, what its profile says, a rule, and room for results."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "cells"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def profile(self) -> Path:
        return self.root / "profile.json"

    @property
    def plan(self) -> Path:
        return self.root / "plan.json"

    @property
    def rule(self) -> Path:
        return next(self.root.glob("2026*"))

    @property
    def out(self) -> Path:
        return self.root / "out"

    def propose(self, *options: object) -> list[str]:
        return words("propose", self.run, self.profile, "--out", self.out, "--rule", self.rule, *options)

    def slim(self, *options: object) -> list[str]:
        return words("slim", self.run, self.plan, self.data, "--out", self.out, *options)

    def shrink(self, *options: object, verb: str = "shrink") -> list[str]:
        rest = () if "--rule" in options else ("--rule", self.rule)
        return words(verb, self.run, self.data, "--out", self.out, "--no-time", *rest, *options)


def words(*given: object) -> list[str]:
    return list(map(str, given))


@pytest.fixture(scope="module")
def good_place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("good"))
    write_dataset(place.data, "cells", train=4, test=2, shape=(32, 32))
    checkpoint = train(Dataset.open(place.data), place.run, SPEC, RECIPE)
    make_profile(checkpoint, {1: (YES, YES)}).save(place.profile)
    SlimPlan.keep_all(SPEC, checkpoint.digest()).with_changes(depth=1).save(place.plan)
    RULE.freeze(place.root)
    return place


@pytest.fixture
def place(good_place: Place, tmp_path: Path) -> Place:
    """A copy to spoil."""
    shutil.copytree(good_place.root, tmp_path / "place")
    return Place(tmp_path / "place")


def told(given: Sequence[str], capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """What a command that goes well prints for programs."""
    capsys.readouterr()
    code = main([*given, "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


# --- what goes well ----------------------------------------------------------------------------------------------


def test_a_proposal_is_a_file_and_a_table(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(place.propose()) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    for word in ("depth", "skip 0", "ok", "widths 4-4 instead of 4-4-6", "carry it out with `unetscope slim"):
        assert word in " ".join(shown.err.split())
    plan = SlimPlan.load(place.out)
    assert (plan.depth, plan.rule["name"]) == (1, "plain")
    assert told(place.propose("--max-parameters", 200, "--bold"), capsys) == json.loads(place.out.read_text())
    assert SlimPlan.load(place.out).cost["after"]["parameters"] <= 200


@pytest.mark.parametrize("how", ["slice", "distill"])
def test_a_plan_is_carried_out(place: Place, capsys: pytest.CaptureFixture[str], how: str) -> None:
    found = told(place.slim("--how", how, "--epochs", 1), capsys)
    assert (found["run"], found["how"], found["epoch"]) == (str(place.out), how, 1)
    made = Checkpoint.load(place.out)
    assert made.spec == SlimPlan.load(place.plan).spec
    assert made.split == Checkpoint.load(place.run).split
    assert main(place.slim()) == 2, "the folder holds a run"
    assert main(place.slim("--how", how, "--epochs", 1, "--resume")) == 0


@pytest.mark.parametrize("verb", ["shrink", "prove"])
def test_a_search_ends_with_a_table_and_a_winner(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    simulated.simulate(monkeypatch)
    monkeypatch.setattr("unetscope.slimming.evidence.slim", carry_out_nothing)
    dataset, run = simulated.write_origin(tmp_path)
    place = Place(tmp_path)
    rule = RULE.freeze(tmp_path)
    given = words(verb, run, dataset.root, "--out", place.out, "--no-time", "--seeds", 2, "--rule", rule)
    found = told(given, capsys)
    assert found["folder"] == str(place.out)
    race = json.loads((place.out / "race.json").read_text())
    (search,) = [found] if verb == "shrink" else [each for each in found["searches"] if each["strategy"] == "guided"]  # type: ignore[attr-defined]
    assert (search["good"], search["failing"]) == (race["good"], race["failing"])
    table = place.out / ("comparison" if verb == "shrink" else "proof") / COMPARISON
    assert json.loads(table.read_text()) == found["comparison"]
    assert (place.out / "winner").is_dir() == (verb == "shrink")
    assert told(given, capsys) == found, "the same call goes on where it was"


def carry_out_nothing(
    checkpoint: Checkpoint, plan: SlimPlan, dataset: Dataset, out: Path, *_: object, **__: object
) -> None:
    simulated.write_pruned(out, checkpoint, plan)


# --- what does not -----------------------------------------------------------------------------------------------


def refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must be refused; returns its one sentence."""
    capsys.readouterr()
    code = main(given)
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), err
    assert "Traceback" not in err
    assert err.count("error: ") == 1
    return " ".join(err.split("error: ")[1].split())


def spoil_plan(place: Place) -> list[str]:
    place.plan.write_text(place.plan.read_text().replace('"encoder.0.conv1": 4', '"encoder.0.conv1": 5', 1))
    return place.slim()


def spoil_rule(place: Place) -> list[str]:
    place.rule.write_text(place.rule.read_text().replace("1.0", "2.0"))
    return place.propose()


def change_run(place: Place) -> None:
    checkpoint = Checkpoint.load(place.run)
    checkpoint.untrained().save(place.run)


def slim_another(place: Place) -> list[str]:
    change_run(place)
    return place.slim()


def propose_another(place: Place) -> list[str]:
    change_run(place)
    return place.propose()


def spoil_images(place: Place) -> list[str]:
    shutil.rmtree(place.data)
    write_dataset(place.data, "cells", train=4, test=2, shape=(32, 32), seed=9)
    return place.slim()


def write_over(place: Place) -> list[str]:
    place.out.mkdir()
    return place.propose()


Case = Callable[[Place], list[str]]
MISTAKES: dict[str, tuple[Case, str]] = {
    "propose: no run": (lambda p: words("propose", p.root / "no", p.profile, "--out", p.out), "no"),
    "propose: no profile": (lambda p: words("propose", p.run, p.root / "no", "--out", p.out), "give the file that"),
    "propose: no profile at all": (lambda p: words("propose", p.run, p.plan, "--out", p.out), "profile"),
    "propose: another network": (propose_another, "is of another training"),
    "propose: impossible limits": (lambda p: p.propose("--max-parameters", 3), "at most 3 parameters cannot be had"),
    "propose: limit of nothing": (lambda p: p.propose("--max-parameters", 0), "max_parameters is 0"),
    "propose: loss of everything": (lambda p: p.propose("--max-dice-loss", 1), "max_dice_loss is 1"),
    "propose: changed rule": (spoil_rule, "was changed after it was frozen"),
    "propose: out is a folder": (write_over, "is a folder"),
    "propose: no such engine": (lambda p: p.propose("--engine", "steam"), "steam"),
    "slim: no plan": (lambda p: words("slim", p.run, p.root / "no", p.data, "--out", p.out), "cannot be read"),
    "slim: no plan at all": (lambda p: words("slim", p.run, p.profile, p.data, "--out", p.out), "line 2: a plan of"),
    "slim: edited plan": (spoil_plan, "line 9: encoder.0.conv1 is 5 wide; use 1 to 4 channels"),
    "slim: another network": (slim_another, "the plan is for another network"),
    "slim: other images": (spoil_images, "holds other train images"),
    "slim: no data": (lambda p: words("slim", p.run, p.plan, p.root / "no", "--out", p.out), "no"),
    "slim: no such way": (lambda p: p.slim("--how", "melt"), "melt"),
    "slim: no epochs": (lambda p: p.slim("--epochs", 0), "epochs is 0"),
    "slim: run in the way": (lambda p: words("slim", p.run, p.plan, p.data, "--out", p.run), "already holds a run"),
    "shrink: no run": (lambda p: words("shrink", p.root / "no", p.data, "--out", p.out), "no"),
    "shrink: no data": (lambda p: words("shrink", p.run, p.root / "no", "--out", p.out), "no"),
    "shrink: one seed": (lambda p: p.shrink("--seeds", 1), "seeds is 1; use at least 2"),
    "shrink: no rule": (lambda p: p.shrink("--rule", p.root / "no"), "cannot be read as a rule"),
    "shrink: no rule at all": (lambda p: p.shrink("--rule", p.plan), "holds no whole rule"),
    "shrink: no limit": (lambda p: p.shrink("--max-multiply-adds", -1), "max_multiply_adds is -1"),
    "shrink: out is a file": (lambda p: words("shrink", p.run, p.data, "--out", p.plan), "is a file"),
    "prove: one seed": (lambda p: p.shrink("--seeds", 1, verb="prove"), "seeds is 1; use at least 2"),
    "prove: no rule": (lambda p: p.shrink("--rule", p.root / "no", verb="prove"), "cannot be read as a rule"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_ends_with_one_sentence(place: Place, capsys: pytest.CaptureFixture[str], name: str) -> None:
    spoil, said = MISTAKES[name]
    given = spoil(place)
    before = sorted(path for path in place.root.rglob("*"))
    assert said in refused(given, capsys)
    assert sorted(path for path in place.root.rglob("*")) == before, "nothing was written"


@pytest.mark.parametrize("verb", ["shrink", "prove"])
def test_impossible_limits_are_refused_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    simulated.simulate(monkeypatch)
    dataset, run = simulated.write_origin(tmp_path)
    out = tmp_path / "out"
    said = refused(words(verb, run, dataset.root, "--out", out, "--max-parameters", 3), capsys)
    assert "at most 3 parameters cannot be had from this network" in said
    assert not [path for path in (out / "trials").iterdir() if path.is_dir()]
