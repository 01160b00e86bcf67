"""Runs become rows, words follow from their scores, and what cannot be compared is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from math import isnan
from pathlib import Path

import numpy as np
import pytest
import torch

from displayed import read_html
from unetscope.checkpoint import Checkpoint
from unetscope.data.dataset import Dataset
from unetscope.data.images import write_image, write_labels
from unetscope.data.normalization import Normalization
from unetscope.errors import DataError, SlimError
from unetscope.evaluation import evaluate, fingerprint
from unetscope.model.spec import UNetSpec
from unetscope.model.unet import UNet
from unetscope.scores.difference import compare_groups, judge
from unetscope.slimming import scoring
from unetscope.slimming.comparison import Comparison, ComparisonSettings, compare
from unetscope.slimming.comparison_text import describe_power
from unetscope.slimming.rows import Row, Training
from unetscope.slimming.scoring import EXACT, score_run
from unetscope.slimming.speed import Timing

LARGE, SMALL = UNetSpec.by_level((4, 8)), UNetSpec.by_level((2, 4))
CLASSES = ("background", "foreground")
UNTIMED = ComparisonSettings(ways=())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Eight images; the last one has no foreground."""
    folder = tmp_path_factory.mktemp("plain")
    for name in "abcdefgh":
        rng = np.random.default_rng(ord(name))
        write_image(folder / "images" / f"{name}.png", rng.integers(0, 255, (16, 24), np.uint8))
        labels = (rng.random((16, 24)) < 0.5) * (name != "h")
        write_labels(folder / "labels" / f"{name}.png", labels.astype(np.uint8))
    return Dataset.open(folder)


def save_run(folder: Path, dataset: Dataset, spec: UNetSpec, seed: int, learned: str = "ab", **rest) -> Path:
    """A run that was never trained, but has seen images."""
    torch.manual_seed(seed)
    provenance = {"seed": seed, "seen": {"train": fingerprint(dataset, learned), "validation": []}}
    provenance |= rest.pop("provenance", {})
    recipe = {"seed": seed, "epochs": 3, **rest.pop("recipe", {})}
    Checkpoint(
        spec,
        UNet(spec).state_dict(),
        Normalization("image"),
        **{"classes": CLASSES, "recipe": recipe, "provenance": provenance, **rest},
    ).save(folder)
    return folder


@pytest.fixture(scope="module")
def runs(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two seeds of a large network, three of a small one."""
    root = tmp_path_factory.mktemp("runs")
    large = [save_run(root / f"large{seed}", dataset, LARGE, seed) for seed in range(2)]
    return large + [save_run(root / f"small{seed}", dataset, SMALL, seed) for seed in range(3)]


@pytest.fixture(scope="module")
def compared(runs: list[Path], dataset: Dataset) -> Comparison:
    return compare(runs, dataset, UNTIMED)


# --------------------------------------------------------------------------------------------------------- rows


def test_seeds_of_a_network_are_one_row(compared: Comparison, runs: list[Path], dataset: Dataset):
    assert [(row.name, len(row.trainings)) for row in compared.rows] == [("4-8", 2), ("2-4", 3)]
    assert compared.images == tuple("cdefgh") == compared.groups
    assert compared.size == (16, 24)
    for row, own in zip(compared.rows, (runs[:2], runs[2:]), strict=True):
        expected = [[image.dice for image in evaluate(Checkpoint.load(run), dataset).images] for run in own]
        assert row.scores[:, :-1] == pytest.approx(np.array(expected)[:, :-1].astype(float), abs=0.05)
        assert np.isnan(row.scores[:, -1]).all()
        assert row.file_bytes == (own[0] / "model.safetensors").stat().st_size


def test_everything_said_follows_from_the_scores(compared: Comparison):
    first, second = compared.rows
    expected = compare_groups(first.scores, second.scores)
    assert compared.differences == (expected,)
    assert compared.words == (judge(expected, 0.01),) == ("no verdict",)
    assert any("too few" in warning for warning in compared.warnings)
    dice = np.nanmean(first.scores, axis=1)
    assert compared.against_others == pytest.approx((dice[0] - dice[1], dice[1] - dice[0]))
    assert second.class_dice("foreground") == pytest.approx(np.nanmean(second.scores))


def test_an_order_of_runs_decides_only_who_is_first(runs: list[Path], dataset: Dataset, compared: Comparison):
    turned = compare(runs[::-1], dataset, UNTIMED)
    assert [row.name for row in turned.rows] == ["2-4", "4-8"]
    assert turned.differences[0].value == pytest.approx(-compared.differences[0].value)


def test_networks_of_equal_widths_are_told_apart_by_what_differs(dataset: Dataset, tmp_path: Path):
    bare = replace(LARGE, skips=())
    longer = {"recipe": {"epochs": 6}}
    made = {
        "plain": save_run(tmp_path / "plain", dataset, LARGE, 0),
        "again": save_run(tmp_path / "again", dataset, LARGE, 1),
        "longer": save_run(tmp_path / "longer", dataset, LARGE, 2, **longer),
        "bare": save_run(tmp_path / "bare", dataset, bare, 3),
        "sliced": save_run(
            tmp_path / "sliced", dataset, LARGE, 4, provenance={"start": {"weights": "abc", "origin": {"how": "slice"}}}
        ),
    }
    rows = compare(list(made.values()), dataset, UNTIMED).rows
    assert [len(row.trainings) for row in rows] == [2, 1, 1, 1]
    assert [row.name for row in rows] == [
        "4-8, epochs 3, from scratch",
        "4-8, epochs 6, from scratch",
        "4-8 skips none",
        "4-8, epochs 3, from slices",
    ]


# ------------------------------------------------------------------------------------------------------- scores


def test_scores_are_computed_once(runs: list[Path], dataset: Dataset, monkeypatch: pytest.MonkeyPatch):
    first = score_run(runs[0], dataset)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("scored again")

    monkeypatch.setattr(scoring, "score_items", refuse)
    assert score_run(runs[0], dataset) == first
    with pytest.raises(AssertionError, match="scored again"):
        score_run(runs[0], dataset, "all")
    with pytest.raises(AssertionError, match="scored again"):
        score_run(runs[0], dataset.subset("abcd"))


def test_kept_scores_are_those_of_the_exact_evaluation(runs: list[Path], dataset: Dataset):
    assert score_run(runs[1], dataset) == evaluate(Checkpoint.load(runs[1]), dataset, tiling=EXACT)


def test_damaged_scores_are_computed_anew(dataset: Dataset, tmp_path: Path):
    run = save_run(tmp_path / "run", dataset, SMALL, 0)
    first = score_run(run, dataset)
    (path,) = (run / "scores").iterdir()
    for damage in ("", "[]", '{"facts": {}}', path.read_text().replace('"dice": 0.', '"dice": 7.')):
        path.write_text(damage)
        assert score_run(run, dataset) == first
    assert json.loads(path.read_text())["facts"]["weights"] == Checkpoint.load(run).digest()


# ----------------------------------------------------------------------------------------------------- refusals


def test_an_image_that_another_run_has_learned_from_is_refused(runs: list[Path], dataset: Dataset, tmp_path: Path):
    other = save_run(tmp_path / "other", dataset, SMALL, 7, learned="abc")
    with pytest.raises(DataError, match=r"c is a test image of .*large0, and .*other has learned from it"):
        compare([runs[0], other], dataset, UNTIMED)
    fewer = save_run(tmp_path / "fewer", dataset, SMALL, 7, learned="a")
    with pytest.raises(DataError, match=r"b is a test image of .*fewer, and .*large0 has learned"):
        compare([runs[0], fewer], dataset, UNTIMED)
    assert len(compare([runs[0], other], dataset, ComparisonSettings("all", ways=())).images) == 8


@pytest.mark.parametrize(
    ("spec", "rest", "message"),
    [
        (UNetSpec.by_level((2, 4), classes=2), {"classes": ("background", "cell")}, "differ in classes"),
        (UNetSpec.by_level((2, 4)), {"objects": True}, "background, inside, border"),
        (UNetSpec.by_level((2, 4), ndim=3), {}, "holds 2D images; this network segments 3D"),
    ],
)
def test_runs_of_other_tasks_are_refused(runs, dataset, tmp_path, spec, rest, message):
    other = save_run(tmp_path / "other", dataset, spec, 7, **rest)
    with pytest.raises((SlimError, DataError), match=message):
        compare([runs[0], other], dataset, UNTIMED)


def test_a_copy_is_no_other_training(runs: list[Path], dataset: Dataset, tmp_path: Path):
    copy = tmp_path / "copy"
    Checkpoint.load(runs[0]).save(copy)
    with pytest.raises(SlimError, match="hold the same weights"):
        compare([runs[0], copy], dataset, UNTIMED)
    with pytest.raises(SlimError, match="no run came"):
        compare([], dataset, UNTIMED)


# ------------------------------------------------------------------------------------------------- many images


def make_comparison(*networks: np.ndarray, learned: str = "same") -> Comparison:
    """A comparison of made-up scores, (seeds, images) each."""
    rows = tuple(
        Row(
            f"network {place}",
            LARGE if place == 0 else SMALL,
            {},
            tuple(
                Training(f"run{seed}", seed, f"{place}{seed}", learned, {"cell": tuple(map(float, values))})
                for seed, values in enumerate(scores)
            ),
            1000,
            10,
            10,
        )
        for place, scores in enumerate(networks)
    )
    names = tuple(f"image{index}" for index in range(networks[0].shape[1]))
    return Comparison(rows, names, names, (16, 16), "test", 0.01)


def made_scores(mean: float, seeds: int, spread: float = 0.001) -> np.ndarray:
    generator = np.random.default_rng(int(1e4 * mean) + seeds)
    hard = np.random.default_rng(9).normal(0, 0.05, 40)
    return mean + hard + generator.normal(0, spread, (seeds, 1)) + generator.normal(0, 0.005, (seeds, 40))


def test_words_of_networks_that_are_told_apart():
    found = make_comparison(made_scores(0.85, 3), made_scores(0.852, 3), made_scores(0.8, 3))
    assert found.words == ("as good", "worse")
    assert found.chance_word == "as good" and found.chance.value == 0
    assert found.detectable < 0.01 and not found.warnings


def test_single_trainings_are_warned_of():
    borrowed = make_comparison(made_scores(0.85, 3), made_scores(0.8, 1))
    assert borrowed.differences[0].borrowed and any("taken for both" in each for each in borrowed.warnings)
    unknown = make_comparison(made_scores(0.85, 1), made_scores(0.8, 1))
    assert unknown.words == ("not separable",) and unknown.chance is None
    assert any("another seed might say the opposite" in each for each in unknown.warnings)
    assert unknown.detectable == np.inf and unknown.to_json()["detectable"] is None


# ------------------------------------------------------------------------------------------------ in a notebook


def test_a_notebook_shows_what_can_be_told_the_tables_and_the_warnings():
    found = make_comparison(made_scores(0.85, 3), made_scores(0.852, 3), made_scores(0.8, 1))
    power, costs, scores, *sentences = read_html(found._repr_html_())
    assert power == describe_power(found)
    assert [row[:2] for row in costs.rows] == [(row.name, f"{row.parameters:,}") for row in found.rows]
    assert [row[0] for row in scores.rows] == ["network 0", "network 0, another seed", "network 1", "network 2"]
    assert [row[-1] for row in scores.rows] == ["", found.chance_word, *found.words]
    assert scores.rows[-1][-3].startswith("-0.05")
    assert sentences[1:] == list(found.warnings) and len(sentences) > 1


def test_a_notebook_shows_times_where_there_are_any(compared: Comparison):
    timing = Timing("torch", "float32", (16, 16), (0.002, 0.001), (0.002, 0.001))
    rows = tuple(replace(row, timings=(timing,)) for row in compared.rows)
    _, _, _, times, *_ = read_html(replace(compared, rows=rows)._repr_html_())
    assert [row[:3] for row in times.rows] == [(row.name, "torch float32", "2") for row in rows]


# -------------------------------------------------------------------------------------------------------- files


def test_a_comparison_survives_its_file(compared: Comparison, tmp_path: Path):
    path = tmp_path / "comparison.json"
    compared.save(path)
    read = Comparison.load(path)
    assert [row.trainings for row in read.rows] == [row.trainings for row in compared.rows]
    assert read.to_json() == compared.to_json()
    assert json.loads(json.dumps(read.to_json())) == json.loads(path.read_text())
    assert read.differences == compared.differences
    assert isnan(read.rows[0].scores[0, -1])


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.pop("rows"),
        lambda content: content.update(margin=2),
        lambda content: content.update(groups=["a"]),
        lambda content: content["rows"][0].update(trainings=[]),
        lambda content: content["rows"][0]["spec"].pop("widths"),
        lambda content: content["rows"][0]["trainings"][0]["dice"].update(foreground=[0.5]),
        lambda content: content["rows"][0]["trainings"][0]["dice"].update(foreground=[7.0] * 6),
        lambda content: content.update(rows=[]),
    ],
)
def test_a_damaged_file_is_refused(compared: Comparison, tmp_path: Path, damage):
    content = json.loads(json.dumps(compared.to_json()))
    damage(content)
    path = tmp_path / "comparison.json"
    path.write_text(json.dumps(content))
    with pytest.raises(SlimError, match="compare again"):
        Comparison.load(path)


def test_what_is_no_file_of_ours_is_refused(tmp_path: Path):
    for text in ("", "{", "[]", "{}"):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(SlimError, match="compare again"):
            Comparison.load(tmp_path / "other.json")
    with pytest.raises(SlimError, match="cannot be read"):
        Comparison.load(tmp_path / "none.json")
