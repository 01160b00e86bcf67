"""A page tells all that came and nothing else: every combination of sources gives a whole document, always the same."""

from __future__ import annotations

import csv
import json
from base64 import b64decode
from dataclasses import replace
from io import BytesIO, StringIO
from math import isfinite
from pathlib import Path

import numpy as np
import pytest
from page_sources import HISTORY, IMAGES, Place, make_maps, profile_of, write_profile
from PIL import Image
from simulated import SPEC

from unetscope.checkpoint import Checkpoint
from unetscope.information.sentences import describe
from unetscope.reporting.page import maps as maps_module
from unetscope.reporting.page import segmentation_content
from unetscope.reporting.page.content import build_content
from unetscope.reporting.page.gathering import gather
from unetscope.reporting.page.measures import MEASURES
from unetscope.reporting.page.segmenting import look
from unetscope.reporting.page.sources import Sources, Specimen

QUESTIONS = ["segment", "flow", "design", "cost", "trust"]
KEYS = ["version", "title", "answers", "segmentation", "networks", "measures", "design", "evidence", "provenance",
        "downloads"]  # fmt: skip


@pytest.fixture(scope="module")
def looked(place: Place) -> dict:
    """The content of two runs with their dataset."""
    return build_content(look(gather([place.run, place.other, place.profile]), place.dataset))


COMBINATIONS = {
    "run": ("run",),
    "profile": ("profile",),
    "foreign": ("foreign",),
    "paper": ("paper",),
    "plan": ("plan",),
    "run and profile": ("run", "profile"),
    "profile and run": ("profile", "run"),
    "both profiles": ("profile", "paper"),
    "two runs": ("run", "other", "profile"),
    "run and foreign": ("run", "foreign"),
    "search": ("search",),
    "run and search": ("run", "search"),
    "run and sizing": ("run", "sizing", "plan"),
}


def tell(place: Place, *names: str) -> dict:
    return build_content(gather([getattr(place, name) for name in names]))


@pytest.mark.parametrize("names", COMBINATIONS.values(), ids=COMBINATIONS)
def test_every_combination_gives_a_whole_document(place: Place, names: tuple[str, ...]) -> None:
    check_document(tell(place, *names))


def test_the_same_sources_give_the_same_document(place: Place) -> None:
    one, other = (tell(place, "run", "profile", "plan", "sizing") for _ in range(2))
    assert json.dumps(one) == json.dumps(other)


def check_document(content: dict) -> None:
    """What holds of every page."""
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert list(content) == KEYS
    assert [answer["id"] for answer in content["answers"]] == QUESTIONS
    for answer in content["answers"]:
        assert answer["sentences"] and all(sentence.strip() for sentence in answer["sentences"])
        if answer["sentences"][0].startswith("Cannot tell"):
            assert answer["missing"].startswith("unetscope ")
    known = {measure["key"] for measure in content["measures"]}
    assert known <= {measure.key for measure in MEASURES}
    assert [network["label"] for network in content["networks"]] in ([""], ["before", "after"])
    for network in content["networks"]:
        layers = [layer["name"] for layer in network["layers"]]
        assert all(f'data-layer="{name}"' in network["svg"] for name in layers)
        for epoch in network["epochs"]:
            assert epoch["measures"].keys() <= known
            for measure in epoch["measures"].values():
                assert set(measure["layers"]) <= set(layers)
                check_values(measure)
            for bridge in epoch["bridges"]:
                assert {bridge["from"], bridge["to"]} <= {*layers, "image"}
                assert bridge["word"] in ("needed", "redundant", "dead", "cannot tell") and bridge["why"]
    for file in content["downloads"]:
        check_download(file)


def check_values(measure: dict) -> None:
    """Intervals hold their values, and what is hollow says why."""
    for value in measure["layers"].values():
        ends = [value["lo"], value["hi"]]
        assert value["word"] == "ok" or value["why"]
        assert value["v"] is None or isfinite(value["v"])
        if None not in (*ends, value["v"]):
            assert ends[0] <= value["v"] <= ends[1]


def check_download(file: dict) -> None:
    """CSV with as many cells in every row, or JSON."""
    if file["type"] == "text/csv":
        head, *rows = csv.reader(StringIO(file["text"], newline=""))
        assert rows and {len(row) for row in rows} == {len(head)}
    else:
        assert json.loads(file["text"])["networks"]


# ------------------------------------------------------------------------------------------------------ what belongs


def test_a_profile_belongs_to_the_run_whose_weights_it_is_of(place: Place, tmp_path: Path) -> None:
    (alone,) = gather([place.run, place.profile, place.paper]).networks
    assert alone.run is not None and alone.profile is not None and alone.paper is not None and alone.maps is not None
    write_profile(tmp_path / "profile.json", Checkpoint.load(place.other))
    first, second = gather([place.run, tmp_path / "profile.json"]).networks
    assert (first.profile, second.run) == (None, None)
    (joined,) = gather([place.other, tmp_path / "profile.json"]).networks
    assert joined.profile is not None


def test_profiles_over_epochs_belong_to_the_run_in_whose_folder_they_are(place: Place, tmp_path: Path) -> None:
    checkpoint = Checkpoint.load(place.run)
    checkpoint.save(tmp_path / "run")
    for epoch in (2, 10):
        learning = replace(profile_of(checkpoint, skill=epoch / 10), provenance={"weights": f"of epoch {epoch}"})
        learning.save(tmp_path / "run" / "profiles" / f"profile-{epoch:05d}.json")
    content = build_content(gather([tmp_path / "run", place.profile]))
    (network,) = content["networks"]
    assert [epoch["epoch"] for epoch in network["epochs"]] == [2, 10, None]
    assert "multiply_adds" in network["epochs"][-1]["measures"]
    (alone,) = gather([tmp_path / "run" / "profiles"]).networks
    assert [epoch for epoch, _ in alone.profiles] == [2, 10]


def test_scores_that_lie_in_a_run_are_found_and_told_apart(place: Place, tmp_path: Path) -> None:
    checkpoint = Checkpoint.load(place.run)
    checkpoint.save(tmp_path / "run")
    for role, dice in (("validation", 0.5), ("test", 0.75), ("train", 1.0)):
        images = [score_entry(name, dice) for name in checkpoint.split[role]]
        scores = {"classes": [], "images": images, "dice": dice, "pixel_error": 0.1}
        (tmp_path / "run" / f"{role}.json").write_text(json.dumps(scores))
    (network,) = gather([tmp_path / "run"]).networks
    assert (network.part, network.scores.dice) == ("test", 0.75)


def score_entry(name: str, dice: float) -> dict:
    entry = {"name": "cell", "dice": dice, "iou": dice, "precision": dice, "recall": dice, "false_alarm": False}
    return {"name": name, "pixel_error": 0.1, "rand_error": None, "classes": [entry]}


def test_a_folder_of_shrink_shows_before_and_after(place: Place) -> None:
    sources = gather([place.search])
    before, after = sources.networks
    assert before.weights == Checkpoint.load(place.run).digest() and before.profile is not None
    assert after.run is not None and after.run.path.parent.name == "trials"
    content = build_content(sources)
    search = json.loads((place.search / "race.json").read_text())
    assert content["evidence"]["sentences"][0].lower().startswith(search["sentences"][0].lower()[:40])
    findings = content["evidence"]["boundary"]["findings"]["rows"]
    assert len(findings) == len(search["findings"]) + len(search["confirmed"]) + bool(search["control"])
    assert any("trained on" in row[0] for row in findings), "the original, beside slices"
    points = content["evidence"]["pareto"][0]["points"]
    assert len(content["evidence"]["table"]["rows"]) == len(points) > 2
    assert [point["first"] for point in points] == [True] + [False] * (len(points) - 1)
    assert content["design"]["plan"] == json.loads((place.search / "plan.json").read_text())
    assert [answer["missing"] for answer in content["answers"]][2:] == [None] * 3


def test_a_search_that_still_goes_on_says_so(place: Place, tmp_path: Path) -> None:
    said = {"strategy": "guided", "sentences": ["3 networks judged so far; the search goes on"], "findings": []}
    (tmp_path / "race.json").write_text(json.dumps(said))
    (tmp_path / "plan.json").write_text(place.plan.read_text())
    content = build_content(gather([tmp_path]))
    assert content["evidence"]["sentences"] == ["3 networks judged so far; the search goes on."]
    assert [network["label"] for network in content["networks"]] == ["before", "after"]


def test_runs_that_a_search_names_are_found_where_its_folder_was_moved_to(place: Place, tmp_path: Path) -> None:
    search = json.loads((place.search / "race.json").read_text())
    gone = {end: [f"/gone/{Path(path).name}" for path in paths] for end, paths in search["runs"].items()}
    (tmp_path / "race.json").write_text(json.dumps({**search, "runs": gone}))
    winner = Path(gone["good"][0]).name
    Checkpoint.load(place.search / "trials" / winner).save(tmp_path / "trials" / winner)
    before, after = gather([tmp_path]).networks
    assert before.run is None and after.run is not None
    assert any("not where the search left it" in warning for warning in gather([tmp_path]).warnings)


# ------------------------------------------------------------------------------------------------------ what is told


def test_what_is_told_is_what_the_profile_says(place: Place) -> None:
    profile = gather([place.profile]).networks[0].profile
    content = tell(place, "profile")
    sentences = describe(profile)
    answers = {answer["id"]: answer["sentences"] for answer in content["answers"]}
    assert answers["flow"] == list(sentences[:-1])
    assert answers["trust"][0] == sentences[-1]
    measured = content["networks"][0]["epochs"][-1]["measures"]["linear"]
    for layer in profile.layers:
        value = measured["layers"][layer.layer]
        assert value["v"] == pytest.approx(layer.linear.value, abs=1e-5)
        assert value["word"] == profile.word(layer)
        assert measured["twin"][layer.layer] == pytest.approx(layer.bits["untrained"].value, abs=1e-5)
    names = [mark["name"] for mark in measured["marks"]]
    assert names[:2] == ["H0", "position"] and not any(name.endswith("mlp") for name in names)


def test_a_control_that_fails_makes_a_value_hollow(place: Place, tmp_path: Path) -> None:
    write_profile(tmp_path / "profile.json", Checkpoint.load(place.run), failing=("encoder.0.conv1",))
    content = build_content(gather([tmp_path / "profile.json"]))
    value = content["networks"][0]["epochs"][0]["measures"]["linear"]["layers"]["encoder.0.conv1"]
    assert value["word"] == "fails control" and "labels exchanged between images" in value["why"]


def test_published_estimates_say_what_makes_them_worthless(place: Place) -> None:
    (network,) = tell(place, "paper")["networks"]
    labels = network["epochs"][0]["measures"]["paper_label"]["layers"]
    assert {value["word"] for value in labels.values()} == {"ok", "saturated", "fails control"}
    assert network["epochs"][0]["measures"]["cka_label"]["twin"] is None


def test_training_is_told_epoch_by_epoch(place: Place) -> None:
    (training,) = tell(place, "run")["segmentation"]["training"]
    assert training == {
        "network": 0, "epochs": [1, 2], "loss": [0.9, 0.5], "dice": [0.4, 0.6], "classes": {"cell": [0.4, 0.6]},
        "best": HISTORY[1]["epoch"],
    }  # fmt: skip


def test_a_sizing_says_whether_more_images_would_help(place: Place) -> None:
    content = tell(place, "run", "sizing")
    learning = content["segmentation"]["learning"]
    assert (learning["images"], learning["high"]) == ([2, 4, 8], [None] * 3)
    assert learning["sentences"][0] in content["answers"][4]["sentences"]
    assert "2 poolings" in content["answers"][2]["sentences"][0]


def test_what_nobody_gave_is_not_guessed(place: Place, tmp_path: Path) -> None:
    Checkpoint.load(place.run).save(tmp_path / "origin")
    missing = {answer["id"]: answer["missing"] for answer in build_content(gather([tmp_path / "origin"]))["answers"]}
    assert missing == {
        "segment": "unetscope report origin --dataset cells",
        "flow": "unetscope profile origin cells --out profile.json",
        "design": "unetscope propose origin profile.json --out plan.json",
        "cost": "unetscope shrink origin cells --out smaller",
        "trust": "unetscope evaluate origin cells",
    }
    content = tell(place, "foreign")
    assert content["networks"][0]["layers"][0]["parameters"] is None
    assert content["segmentation"]["scores"] is None and content["segmentation"]["gallery"] == []


# ------------------------------------------------------------------------------------------------------ images


def decode(uri: str) -> Image.Image:
    return Image.open(BytesIO(b64decode(uri.partition(",")[2])))


def test_images_stand_from_the_worst_to_the_best_with_what_both_networks_make_of_them(looked: dict) -> None:
    check_document(looked)
    segmentation = looked["segmentation"]
    gallery = segmentation["gallery"]
    assert {image["name"] for image in gallery} == {"test/000", "test/001"}
    assert [image["dice"] for image in gallery] == sorted(image["dice"] for image in gallery)
    assert set(segmentation["first"]) == {"test/000", "test/001"}
    for image in gallery:
        assert 0 <= image["uncertainty"] <= 1
        pictures = [image["image"], image["label"], *image["predictions"], *image["errors"]]
        assert len(pictures) == 6
        assert {decode(uri).size for uri in pictures} == {(image["width"], image["height"])} == {(32, 32)}
    assert {row[0] for row in segmentation["scores"]["rows"]} == {"origin (before)", "other (after)"}
    assert segmentation["check"] and segmentation["colors"] == {"cell": "#0072B2"}
    assert looked["answers"][0]["missing"] is None


def test_scores_are_kept_in_the_run_and_recalled(place: Place, looked: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetscope.slimming.scoring.score_items", None)
    assert build_content(look(gather([place.run, place.other, place.profile]), place.dataset)) == looked


@pytest.mark.parametrize("count", [0, 1, 2])
def test_as_many_images_are_shown_as_are_asked_for(place: Place, count: int) -> None:
    content = build_content(look(gather([place.run, place.plan]), place.dataset, count))
    assert len(content["segmentation"]["gallery"]) == count
    assert all(image["predictions"][1] is None for image in content["segmentation"]["gallery"])
    assert content["segmentation"]["scores"] is not None


def test_without_test_images_those_of_validation_are_shown_and_called_optimistic(place: Place, tmp_path: Path) -> None:
    checkpoint = Checkpoint.load(place.run)
    seen = {"validation": [item.digest() for item in place.dataset.items]}
    replace(checkpoint, provenance={**checkpoint.provenance, "seen": seen}).save(tmp_path / "run")
    content = build_content(look(gather([tmp_path / "run"]), place.dataset, 2))
    assert "optimistic" in content["answers"][0]["sentences"][0]
    assert any("optimistic" in warning for warning in content["provenance"]["warnings"])


def make_specimen(seed: int, side: int = 160) -> Specimen:
    """Noise, which no format makes smaller."""
    chance = np.random.default_rng(seed)
    found = tuple(chance.integers(0, 4, (side, side)) for _ in range(3))
    picture = chance.integers(0, 256, (side, side, 3), np.uint8)
    return Specimen(f"noise {seed}", 0.5, 0.5, picture, found[0], found[1:], (2 * side, 2 * side), "middle plane of 9")


def test_a_gallery_fits_whatever_the_images_are(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmentation_content, "MOST_CHARACTERS", 60_000)
    sources = replace(gather([place.run, place.other]), specimens=(make_specimen(0), make_specimen(1)))
    gallery = segmentation_content.show_segmentation(sources)["gallery"]
    assert len(json.dumps(gallery)) < 61_000
    assert {image["note"] for image in gallery} == {"middle plane of 9, reduced from 320 x 320 pixels"}
    assert {decode(uri).size for image in gallery for uri in [image["image"], image["label"], *image["errors"]]} == {
        (image["width"], image["height"]) for image in gallery
    }


def test_maps_fit_and_keep_their_order(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = maps_module.show_maps(gather([place.profile]).networks[0])
    assert [image["name"] for image in shown["images"]] == ["image 0", f"image {IMAGES // 2}", f"image {IMAGES - 1}"]
    layer = shown["images"][0]["layers"]["encoder.0.conv1"]
    assert layer["strongest"] == list(range(8))
    strip = np.asarray(decode(layer["channels"]).convert("L"))
    assert np.array_equal(strip, np.concatenate(tuple(make_maps(SPEC)["0/encoder.0.conv1/channels"]), axis=1))
    monkeypatch.setattr(maps_module, "MOST_CHARACTERS", 1000)
    small = maps_module.show_maps(gather([place.profile]).networks[0])
    assert decode(small["images"][0]["layers"]["encoder.0.conv1"]["probe"]).size == (4, 4)


# ------------------------------------------------------------------------------------------------------ hostile names

EVIL = '</script><img src=x onerror="alert(1)">,"\n=cmd|\' /C calc\'!A0\u202e\x00'


def test_names_are_plain_text_wherever_they_come_from(place: Place, tmp_path: Path) -> None:
    profile = gather([place.profile]).networks[0].profile
    evil = replace(profile, name=EVIL, images=(EVIL,) * 3, classes=("background", EVIL), provenance={})
    evil.save(tmp_path / "profile.json")
    sources = gather([tmp_path / "profile.json"])
    specimen = replace(make_specimen(0, 8), name=EVIL)
    content = build_content(replace(sources, specimens=(specimen,), classes=("background", EVIL), warnings=(EVIL,)))
    check_document(content)
    assert content["networks"][0]["name"] == EVIL and content["segmentation"]["gallery"][0]["name"] == EVIL
    assert "<img" not in content["networks"][0]["svg"] and "</script" not in content["networks"][0]["svg"]
    layers = next(file for file in content["downloads"] if file["name"] == "layers.csv")
    assert {row["network"] for row in csv.DictReader(StringIO(layers["text"], newline=""))} == {EVIL}


def test_numbers_that_are_not_finite_become_null(place: Place, tmp_path: Path) -> None:
    nothing = json.loads(place.profile.read_text(), object_hook=count_nothing)
    (tmp_path / "profile.json").write_text(json.dumps(nothing))
    content = build_content(gather([tmp_path / "profile.json"]))
    values = content["networks"][0]["epochs"][0]["measures"]["linear"]["layers"].values()
    assert {value["v"] for value in values} == {None}
    check_document(content)


def count_nothing(entry: dict) -> dict:
    """A tally of no pixels, so that its mean is not defined."""
    return {**entry, "counts": [0.0] * len(entry["counts"])} if "counts" in entry else entry


def test_a_page_of_nothing_but_networks_is_whole(place: Place) -> None:
    (network,) = gather([place.foreign]).networks
    check_document(build_content(Sources((replace(network, profiles=()),))))
