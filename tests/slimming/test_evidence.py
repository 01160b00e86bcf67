"""Every search is counted by what it asked for, no rival costs more than the winner, and all can be stopped."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from simulated import COST, SPEC, STEPS, Truth, simulate, write_origin, write_pruned

from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.information.intervals import Interval
from unetscope.model.spec import UNetSpec
from unetscope.slimming import evidence
from unetscope.slimming.evidence import PROOF, Proof, compare_all, list_rivals, list_unguided, prove
from unetscope.slimming.plan import SlimPlan
from unetscope.slimming.rules import Rule
from unetscope.slimming.shapes import multiply_adds_per_pixel
from unetscope.slimming.shrinking import RACE, Shrinking, ShrinkSettings, Watcher, shrink
from unetscope.slimming.trials import DONE, Trial
from unetscope.training.recipe import Recipe

SETTINGS = ShrinkSettings(seeds=2, rule=Rule("plain", "2026-01-31", widths_by="keep"))
UNGUIDED = ("blind bisection, flat", "blind bisection, uniform", "unguided successive halving")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    return write_origin(tmp_path_factory.mktemp("simulated"))


def put_in_place(patch: pytest.MonkeyPatch) -> list[tuple[SlimPlan, Recipe]]:
    """Simulations in the place of trainings; returns the plans and recipes by which networks are pruned."""
    simulate(patch)
    made = list[tuple[SlimPlan, Recipe]]()

    def slim(
        checkpoint: Checkpoint,
        plan: SlimPlan,
        dataset: Dataset,
        out: Path,
        how: str,
        recipe: Recipe,
        *_: Any,
        **__: Any,
    ) -> None:
        assert how == "slice"
        made.append((plan, recipe))
        write_pruned(out, checkpoint, plan)

    patch.setattr(evidence, "slim", slim)
    return made


@pytest.fixture(autouse=True)
def pruned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[SlimPlan, Recipe]]:
    return put_in_place(monkeypatch)


@dataclass(frozen=True)
class Proved:
    """A proof, its folder, and what was pruned for it."""

    proof: Proof
    folder: Path
    pruned: list[tuple[SlimPlan, Recipe]]


@pytest.fixture(scope="module")
def proved(place: tuple[Dataset, Path], tmp_path_factory: pytest.TempPathFactory) -> Proved:
    folder = tmp_path_factory.mktemp("proof")
    with pytest.MonkeyPatch.context() as patch:
        made = put_in_place(patch)
        return Proved(prove(place[1], place[0], folder, SETTINGS), folder, made)


@pytest.fixture
def proof(proved: Proved) -> Proof:
    return proved.proof


# --- searches ----------------------------------------------------------------------------------------------------


def test_the_guided_search_is_that_of_shrink(place: tuple[Dataset, Path], tmp_path: Path) -> None:
    begun = list[Trial]()
    alone = shrink(place[1], place[0], tmp_path, SETTINGS, Watcher(on_trial=begun.append))
    before = list(begun)
    proof = prove(place[1], place[0], tmp_path, SETTINGS, Watcher(on_trial=begun.append))
    assert proof.searches[0] == alone
    assert proof.winner == alone.good
    assert not set(begun[len(before) :]) & set(before), "what a search trained is there for the others"
    assert max(Counter(begun).values()) == 1
    for found, name in zip(proof.searches, ("guided", *UNGUIDED), strict=True):
        assert found.strategy == name
        trainings = [run for run in (tmp_path / "trials").iterdir() if (run / DONE).exists()]
        assert 0 < found.trainings < len(trainings)
        assert found.steps <= STEPS * found.trainings


@pytest.mark.parametrize("place_of_smallest", [0, 1, 3])
def test_a_search_that_found_a_smaller_network_is_named(proof: Proof, place_of_smallest: int) -> None:
    searches = [replace(found, good=SPEC) for found in proof.searches]
    smaller = UNetSpec.by_level((4, 8, 16), convolutions=1)
    searches[place_of_smallest] = replace(searches[place_of_smallest], good=smaller)
    said = [sentence for sentence in replace(proof, searches=tuple(searches)).sentences if "the winner is" in sentence]
    assert len(said) == (place_of_smallest > 0)
    assert all(searches[place_of_smallest].strategy in sentence and "4-8-16" in sentence for sentence in said)


def test_unguided_searches_know_nothing_of_the_network() -> None:
    flat, uniform, halving = list_unguided(SPEC, seed=3)
    assert all(strategy.start is None for strategy in (flat, uniform, halving))
    assert [len(strategy.shapes) for strategy in (flat, uniform, halving)] == [1, 1, 8]
    assert set(flat.shapes[0].spec.level_widths) == {16}
    assert uniform.shapes[0].spec == SPEC
    assert list_unguided(SPEC, seed=3) == (flat, uniform, halving)
    assert list_unguided(SPEC, seed=4)[2] != halving


def test_a_stopped_proof_goes_on_as_if_it_had_not_been(
    place: tuple[Dataset, Path], tmp_path: Path, proved: Proved
) -> None:
    done = list[Trial]()

    def stop(trial: Trial) -> None:
        for path in (tmp_path / "parts").glob("race*.json"):
            assert json.loads(path.read_text())["sentences"]
        if trial not in done:
            done.append(trial)
            if len(done) % 9 == 4:
                raise KeyboardInterrupt

    found = None
    while found is None:
        try:
            found = prove(place[1], place[0], tmp_path / "parts", SETTINGS, Watcher(on_trial=stop))
        except KeyboardInterrupt:
            assert len(done) < 200
    whole, parts = ((folder / PROOF).read_text() for folder in (proved.folder, tmp_path / "parts"))
    assert whole.replace(str(proved.folder), str(tmp_path / "parts")) == parts
    assert found.winner == proved.proof.winner
    assert (tmp_path / "parts" / RACE).exists()
    assert len(list((tmp_path / "parts").glob("race-*.json"))) == len(UNGUIDED)


# --- rivals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.01, 0.2, 1.0])
@pytest.mark.parametrize("origin", [SPEC, UNetSpec.by_level((8, 8)), UNetSpec.by_level((4,))])
def test_rivals_cost_at_most_as_much_and_differ(origin: UNetSpec, share: float) -> None:
    cost = share * multiply_adds_per_pixel(origin)
    rivals = list_rivals(origin, cost, seed=0)
    assert len(set(rivals.values())) == len(rivals)
    assert all(multiply_adds_per_pixel(spec) <= cost for spec in rivals.values())
    assert share < 0.2 or rivals


def test_rivals_are_trained_with_as_many_seeds(proof: Proof, proved: Proved) -> None:
    cost = multiply_adds_per_pixel(proof.winner)
    assert {"flat", "uniform", "random 1", "paper: fewer levels", "paper: no skips", "L1 pruning, fine-tuned"} <= set(
        proof.rivals
    )
    for runs in proof.rivals.values():
        specs = {Checkpoint.load(Path(run)).spec for run in runs}
        assert len(runs) == 2
        assert all(multiply_adds_per_pixel(spec) <= cost and spec != proof.winner for spec in specs)
    assert [recipe.seed for _, recipe in proved.pruned] == [2, 3]
    assert {recipe.epochs * (recipe.epoch_steps or 0) for _, recipe in proved.pruned} == {STEPS}
    assert len({plan.weights for plan, _ in proved.pruned}) == 2, "each seed's own weights are pruned"


def test_where_nothing_smaller_is_as_good_nothing_is_pruned(
    place: tuple[Dataset, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pruned: list[Any]
) -> None:
    monkeypatch.setattr(Truth, "boundary", COST)
    proof = prove(place[1], place[0], tmp_path, SETTINGS)
    assert proof.winner == SPEC
    assert not pruned
    assert "L1 pruning, fine-tuned" not in proof.rivals


# --- words and files ---------------------------------------------------------------------------------------------


def test_the_headline_says_who_had_to_train_less(proof: Proof) -> None:
    first, *others = proof.searches
    cheapest = min(others, key=lambda found: found.steps)
    told = proof.sentences
    assert [sentence.split(":")[0] for sentence in told[:4]] == [found.strategy for found in proof.searches]
    assert f"{first.steps / cheapest.steps:.2f} times the steps" in told[4]
    assert cheapest.strategy in told[4]
    assert told[4].endswith("no fewer") == (first.steps >= cheapest.steps)
    assert [sentence.split(":")[0].split()[-1] for sentence in told[-2:]] == ["before", "after"]


@pytest.mark.parametrize(("guided", "word"), [(10, "fewer"), (40, "no fewer"), (60, "no fewer")])
def test_guidance_that_saves_nothing_is_said_to(proof: Proof, guided: int, word: str) -> None:
    steps = (guided, 50, 40, 90)
    searches = tuple(replace(found, steps=count) for found, count in zip(proof.searches, steps, strict=True))
    told = replace(proof, searches=searches).sentences[4]
    assert f"guidance took {guided / 40:.2f} times the steps" in told
    assert told.endswith(f": {word}")


def test_a_proof_comes_back_from_its_file(proof: Proof, proved: Proved) -> None:
    written = json.loads((proved.folder / PROOF).read_text())
    again = Proof.from_json(written)
    assert (again.searches, again.rivals) == (proof.searches, proof.rivals)
    assert json.loads(json.dumps(again.to_json())) == json.loads(json.dumps(proof.to_json())) == written
    assert written["sentences"] == list(proof.sentences)
    assert set(proof.bits) == {"before", "after"}
    assert all(isinstance(bits, Interval) and bits.low < bits.value < bits.high for bits in proof.bits.values())


def test_all_that_was_trained_to_the_end_is_compared_once(
    place: tuple[Dataset, Path], proof: Proof, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = list[Any]()
    monkeypatch.setattr(evidence, "compare", lambda *given: calls.append(given))
    for timed in (True, False):
        compare_all(proof, place[0], 0.02, timed)
    for (runs, dataset, settings, _), timed in zip(calls, (True, False), strict=True):
        assert runs[0] == place[1]
        assert len(set(runs)) == len(runs)
        assert {run for runs in proof.rivals.values() for run in runs} <= set(map(str, runs))
        assert (dataset, settings.part, settings.margin, bool(settings.ways)) == (place[0], "test", 0.02, timed)


def test_every_search_can_be_read_by_itself(proof: Proof, proved: Proved) -> None:
    files = [proved.folder / RACE, *sorted(proved.folder.glob("race-*.json"))]
    read = [Shrinking.from_json(json.loads(path.read_text())) for path in files]
    assert {found.strategy for found in read} == {found.strategy for found in proof.searches}
    assert read[0] == proof.searches[0]
